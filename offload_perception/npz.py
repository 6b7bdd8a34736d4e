"""Arrays of an .npz file from outside: bounded before anything is allocated, and never pickled."""

import io
import zipfile
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

MOST_BYTES = 256 << 20
"""Of all arrays together; those of VGG16's calibration have 20 MB."""


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name.

    :raises OSError, zipfile.BadZipFile, ValueError: if it cannot be read, is no archive, is
        damaged, or holds more than `MOST_BYTES`.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if (size := sum(member.file_size for member in members)) > MOST_BYTES:
            raise ValueError(f'it holds {size} bytes, more than {MOST_BYTES}')
        return {member.filename.removesuffix('.npy'): _array(archive.read(member))
                for member in members}


def _array(data: bytes) -> np.ndarray:
    """Return the array of an .npy file; numpy would allocate whatever its header says."""
    stream = io.BytesIO(data)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(
        npy.read_magic(stream))
    if read_header is None:
        raise ValueError('an array is of an unknown version')
    shape, _, kind = read_header(stream)
    if prod(shape) * kind.itemsize != len(data) - stream.tell():
        raise ValueError(f'an array of shape {shape} has {len(data) - stream.tell()} bytes')
    array: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    return array
