"""The structure of a JPEG file, read so strictly that no decoder can read it otherwise.

After ITU-T T.81, annex B. Decoders differ in how they skip what should not be there, and one that
finds another size than was checked writes where it must not. So a file with anything between its
segments, with two frame headers or with a marker that no camera writes is refused.
"""

from dataclasses import dataclass

from offload_perception.errors import ImageError

_SOS, _EOI = b'\xff\xda', b'\xff\xd9'
_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive, with Huffman coding
_PROGRESSIVE = 0xC2
_OTHERS = {0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)}  # DHT, DQT, DRI, COM, APPn
_SEGMENTS = 1000  # before the first scan; with the bytes that fill up between them
_SCANS = 100
# A decoder may read 8 bytes ahead: with this many after the data it reaches the end of a complete
# picture, and not that of a truncated one. Ones (with the zero that is stuffed after
# each byte of them) are no code, so hardly a block is decoded from them.
_AHEAD = b'\xff\0' * 8


@dataclass(frozen=True)
class Jpeg:
    """The headers of a JPEG file.

    `scans` is how often the decoder goes over the picture. `data` is the file for a decoder that
    stops where data is missing: an end marker, which would make it paint the rest grey, is taken
    off if the picture comes in one scan.
    """

    height: int
    width: int
    scans: int
    data: bytes


def read_jpeg(raw: memoryview) -> Jpeg:
    """Return what the headers say; raises ImageError for a file that is not plain and whole."""
    try:
        frame, marker, scan = _headers(raw)
        height, width, components = _frame(raw, frame)
    except IndexError:
        raise ImageError(f'truncated jpeg data: {len(raw)} bytes end within its header') from None
    file = bytes(raw)
    end = file.find(_EOI, scan)
    stop = end if end >= 0 else len(file)
    starts = _scans(file, scan, stop)
    one_scan = (marker != _PROGRESSIVE and len(starts) == 1
                and file[scan + 4:scan + 5] == bytes((len(components),)))
    if not one_scan and (end < 0 or not _all_bits(file, starts, components)):
        raise ImageError(f'truncated jpeg data: {len(raw)} bytes of a picture of {width} x '
                         f'{height} pixels in several scans')
    return Jpeg(height, width, len(starts), file[:stop] + (_AHEAD if one_scan else _EOI))


def _headers(raw: memoryview) -> tuple[int, int, int]:
    """Return where the frame header is, its marker, and where the first scan's header is."""
    at, frame = 2, 0
    for _ in range(_SEGMENTS):
        if raw[at] != 0xFF:
            raise ImageError(f'broken jpeg data: no marker at byte {at}')
        marker = raw[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _SOS[1]:
            if not frame:
                raise ImageError('broken jpeg data: no picture size before its pixels')
            return frame, raw[frame + 1], at
        if marker in _FRAMES:
            if frame:
                raise ImageError('broken jpeg data: it declares two picture sizes')
            frame = at
        elif marker not in _OTHERS:
            raise ImageError(f'jpeg data of a kind that is not decoded: marker {marker:#04x}')
        at += 2 + max(2, _number(raw, at + 2))
    raise ImageError('broken jpeg data: no picture size in its first segments')


def _frame(raw: memoryview, at: int) -> tuple[int, int, set[int]]:
    """Return height, width and the numbers of the components, each of 8 bits a sample."""
    length, precision = _number(raw, at + 2), raw[at + 4]
    components = {raw[at + 10 + 3 * i] for i in range(raw[at + 9])}
    if precision != 8 or len(components) not in (1, 3, 4) or length != 8 + 3 * len(components):
        raise ImageError(f'jpeg data of a kind that is not decoded: {precision} bits, '
                         f'{len(components)} components')
    return _number(raw, at + 5), _number(raw, at + 7), components


def _scans(file: bytes, first: int, stop: int) -> list[int]:
    """Return where the scans begin; within their data this marker cannot occur."""
    starts, at = [], first
    while at >= 0:
        starts.append(at)
        if len(starts) > _SCANS:
            raise ImageError(f'jpeg data with more than {_SCANS} scans')
        at = file.find(_SOS, at + 2, stop)
    return starts


def _all_bits(file: bytes, starts: list[int], components: set[int]) -> bool:
    """Return whether the scans carry every coefficient of every component to its last bit."""
    seen: dict[int, set[int]] = {component: set() for component in components}
    for at in starts:
        count = file[at + 4] if at + 4 < len(file) else 0
        if not 1 <= count <= 4 or at + 8 + 2 * count > len(file):
            return False
        first, last, bits = file[at + 5 + 2 * count:at + 8 + 2 * count]
        for i in range(count):
            if not bits & 0x0F:
                seen.get(file[at + 5 + 2 * i], set()).update(range(first, min(last, 63) + 1))
    return all(len(coefficients) == 64 for coefficients in seen.values())


def _number(raw: memoryview, at: int) -> int:
    return raw[at] << 8 | raw[at + 1]
