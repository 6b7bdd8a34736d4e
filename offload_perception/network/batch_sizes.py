"""How many frames run together."""

MOST = 16


def batch_sizes(most: int) -> list[int]:
    """Return the sizes of batches that are measured and chosen from: 1, 2, 4 .. and `most`."""
    return sorted({*(2 ** i for i in range(most.bit_length())), most})
