"""The compiled part of the codec."""

import ctypes
import threading
from functools import cache
from importlib.util import find_spec

import numpy as np

from offload_perception.errors import RuntimeUnavailableError


def at(array: np.ndarray) -> int:
    """Return the address of an array's elements."""
    return array.ctypes.data


class _Scratch(threading.local):
    memory = np.empty(0, np.uint8)


_scratch = _Scratch()


def scratch(size: int) -> np.ndarray:
    """Return `size` bytes of any content, the same memory for each call of a thread."""
    if _scratch.memory.size < size:
        _scratch.memory = np.empty(size, np.uint8)
    return _scratch.memory[:size]


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
    chooser = [*[pointer] * 4, number]
    for name, result, arguments in (
            ('tables', None, [pointer, *[size] * 3, *[pointer] * 3]),
            ('encode', size, [pointer, *[size] * 3, *chooser, *[pointer] * 3, size]),
            ('decode', number, [pointer, size, pointer, *[size] * 3, *chooser, *[pointer] * 2]),
            ('adaptive_encode', size, [pointer, *[size] * 3, number, number,
                                       *[pointer] * 5]),
            ('adaptive_decode', number, [pointer, size, pointer, *[size] * 3, number, number,
                                         *[pointer] * 4])):
        function = getattr(lib, f'offload_{name}')
        function.restype, function.argtypes = result, arguments
    return lib
