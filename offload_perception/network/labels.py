"""Names of classes."""

import re
from collections import Counter
from pathlib import Path

from offload_perception.errors import ModelError
from offload_perception.incoming import text

FILE_BYTES = 4 << 20
MOST_CLASSES = 1 << 16
_INDEXED = re.compile(r'(\d{1,9})(?:[ \t]*[:,;][ \t]*|[ \t]+)(\S.*)', re.ASCII)
_BYTE_ORDER_MARKS = {b'\xff\xfe': 'utf-16', b'\xfe\xff': 'utf-16'}


def read_labels(path: str | Path, classes: int | None) -> tuple[str, ...]:
    """Return the labels in `path` for a network of `classes` classes, None if it does not say.

    One label a line, in the order of training; or, as Coral and Teachable Machine write them,
    each after its class number (`0  person`, `1: car`), in any order. Classes that such a file
    leaves out before the last are called `class N`. Blank lines, a byte order mark and CRLF do
    not matter.

    :raises ModelError: if the file cannot be read or does not fit the network.
    """
    lines = [line.strip() for line in _read(Path(path)).split('\n') if line.strip()]
    labels = _by_number(path, lines, classes or MOST_CLASSES) or lines
    if classes is not None and len(labels) != classes:
        raise ModelError(f'the labels file {path} has {len(labels)} lines, but the network has '
                         f'{classes} classes; write one label a line, in the order of training, '
                         'or each after its class number')
    return tuple(map(text, labels))


def _by_number(path: str | Path, lines: list[str], classes: int) -> list[str] | None:
    """Return the labels if every line begins with a class number, else None.

    Numbers that cannot be those of the classes belong to the labels, as in `1 euro`, `5 euro`.
    """
    found = [match for line in lines if (match := _INDEXED.fullmatch(line))]
    if not found or len(found) < len(lines):
        return None
    numbers = [int(match[1]) for match in found]
    if max(numbers) >= classes:
        return None
    if max(numbers) < classes - 1 and classes != MOST_CLASSES:
        raise ModelError(f'the labels file {path} ends with class {max(numbers)}, but the network '
                         f'has {classes} classes, 0 to {classes - 1}; is it the right file?')
    twice, times = Counter(numbers).most_common(1)[0]
    if times > 1:
        raise ModelError(f'the labels file {path} names class {twice} more than once; keep one')
    labels = [f'class {i}' for i in range(min(classes, max(numbers) + 1))]
    for number, match in zip(numbers, found, strict=True):
        labels[number] = match[2]
    return labels


def _read(path: Path) -> str:
    try:
        with open(path, 'rb') as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise ModelError(f'the labels file {path} has more than {FILE_BYTES} bytes; '
                             'is it the right file?')
        return data.decode(_BYTE_ORDER_MARKS.get(data[:2], 'utf-8-sig')).replace('\r', '\n')
    except (OSError, ValueError) as e:
        raise ModelError(f'the labels file {path} cannot be read ({e}); save it as UTF-8') from e
