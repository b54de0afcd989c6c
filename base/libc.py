"""The C library, for system calls that Python does not offer."""

import ctypes
from functools import cache


@cache
def libc() -> ctypes.CDLL:
    """Return the C library, loaded at the first call; `ctypes.get_errno` tells why a call failed.

    It is loaded once: every CDLL is a new class, which only the garbage collector frees.
    """
    return ctypes.CDLL(None, use_errno=True)
