"""The compiled part of the codec."""

import ctypes
from functools import cache
from importlib.util import find_spec

import numpy as np

from offload_perception.errors import RuntimeUnavailableError


def at(array: np.ndarray) -> int:
    """Return the address of an array's elements."""
    return array.ctypes.data


@cache
def library() -> ctypes.CDLL:
    """Return the compiled C files: pip puts them beside this file, colcon where libraries are.

    :raises RuntimeUnavailableError: if they were not built.
    """
    module = find_spec('offload_perception.codec._native')
    try:
        lib = ctypes.CDLL(module.origin if module else 'liboffload_codec.so')
    except OSError as e:
        raise RuntimeUnavailableError(
            f"the codec's native part is missing ({e}): build the package with colcon and source "
            'its setup file, or pip install it') from e
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for name, result, arguments in (
            ('contexts', None, [pointer, size, size, size, pointer, pointer]),
            ('encode', size, [pointer, size, size, pointer, number, pointer, pointer]),
            ('decode', number, [pointer, size, pointer, size, size, size, *[pointer] * 4]),
            ('predicted_rows', None, [pointer, size, size, size, number, *[pointer] * 3]),
            ('decode_predicted', number, [pointer, size, pointer, size, size, size, number,
                                          *[pointer] * 4]),
            ('adaptive_encode', size, [pointer, size, size, size, number, number,
                                       *[pointer] * 5]),
            ('adaptive_decode', number, [pointer, size, pointer, size, size, size, number, number,
                                         *[pointer] * 4])):
        function = getattr(lib, f'offload_{name}')
        function.restype, function.argtypes = result, arguments
    return lib
