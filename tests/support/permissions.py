"""Obey the permissions of files, also as root."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 0x20080522
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
"""Capabilities of Linux: to read and write any file, to read any file."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def obeyed() -> Iterator[None]:
    """Give up root's right to read and write any file, in this thread."""
    libc, header, sets = ctypes.CDLL(None, use_errno=True), _Header(VERSION, 0), (_Sets * 2)()
    if libc.capget(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capget")
    before = sets[0].effective
    try:
        _set_effective(libc, header, sets, before & ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH))
        yield
    finally:
        _set_effective(libc, header, sets, before)


def _set_effective(libc: ctypes.CDLL, header: _Header, sets: ctypes.Array[_Sets], effective: int) -> None:
    sets[0].effective = effective
    if libc.capset(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capset")


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Take all permissions of a file or folder away, and give them back at the end."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with obeyed():
            assert not os.access(path, os.R_OK, effective_ids=True)
            yield
    finally:
        path.chmod(mode)
