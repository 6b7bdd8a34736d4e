"""Child processes that do not outlive the program that started them, however that ends."""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == 'linux' else None


def end_with_parent(parent: int, signal: int) -> None:
    """Have the kernel send this process `signal` when its parent, of that id, has ended."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal))
        if os.getppid() != parent:  # ended before this took effect
            os._exit(1)
