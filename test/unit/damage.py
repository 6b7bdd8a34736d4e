"""Changes of some bytes, as Hypothesis draws them."""

from hypothesis import strategies as st

edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 3),
                           st.binary(min_size=1, max_size=9)), min_size=1, max_size=8)


def edited(data: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Overwrite, insert, remove or repeat some bytes."""
    for share, what, piece in changes:
        at = int(share * len(data))
        rest = (data[at + len(piece):], data[at:], data[at + len(piece):], data[at // 2:])[what]
        data = data[:at] + (piece if what < 2 else b'') + rest
    return data
