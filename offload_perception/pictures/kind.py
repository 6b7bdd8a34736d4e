"""What kind of file some bytes are, by how they begin."""

HEAD = 64  # bytes that suffice
_STARTS = (
    (b'\xff\xd8\xff', 'jpeg'),
    (b'\x89PNG\r\n\x1a\n', 'png'),
    (b'II*\0', 'tiff'), (b'MM\0*', 'tiff'), (b'II+\0', 'tiff'), (b'MM\0+', 'tiff'),
    (b'\0\0\0\x0cjP  \r\n\x87\n', 'jpeg2000'), (b'\xff\x4f\xff\x51', 'jpeg2000'),
    (b'GIF8', 'gif'),
    (b'BM', 'bmp'),
)
_BRANDS = {b'avif': 'avif', b'avis': 'avif', b'heic': 'heic', b'heix': 'heic', b'hevc': 'heic',
           b'hevx': 'heic', b'heim': 'heic', b'heis': 'heic', b'mif1': 'heic', b'msf1': 'heic'}


def kind_of(head: bytes) -> str:
    """Return jpeg, png, webp, tiff, jpeg2000, avif, heic, gif, bmp, or '' for anything else.

    :param head: the first HEAD bytes of the file, or all of them.
    """
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
        return 'webp'
    if head[4:8] == b'ftyp':
        return _container(head)
    return next((kind for start, kind in _STARTS if head.startswith(start)), '')


def _container(head: bytes) -> str:
    """Return the kind of an ISO media file: that of its first brand which is a picture's."""
    size = min(int.from_bytes(head[:4], 'big'), HEAD)
    brands = [head[8:12], *(head[at:at + 4] for at in range(16, size, 4))]
    if brands[0] in (b'mif1', b'msf1') and b'avif' in brands:
        return 'avif'
    return _BRANDS.get(bytes(brands[0]), '')
