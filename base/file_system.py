"""Bring all changes of a file system to disk with one system call, syncfs(2)."""

import ctypes
import os
import re
from pathlib import Path

from base.libc import libc

KNOWN_TYPES = (0xEF53, 0x58465342, 0x9123683E, 0xF2F52010)
"""ext2 to ext4, XFS, Btrfs, F2FS (statfs(2)). FUSE, for example, does not pass the call on."""
REPORTS_ERRORS_SINCE = (5, 8)
"""Version of Linux. Before it the call succeeds even if the disk has refused the data."""


class FileSystem:
    """The file system of a folder, to be opened before files are changed and closed at the end.

    Errors of writes that happened before it was opened may not be reported. OSError if the folder cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._device = os.fstat(self._descriptor).st_dev

    def close(self) -> None:
        """Release the folder."""
        os.close(self._descriptor)

    @property
    def can_sync(self) -> bool:
        """Whether `sync` is as safe as an fsync of each file."""
        version = re.match(r"([0-9]+)\.([0-9]+)", os.uname().release)
        if version is None or (int(version[1]), int(version[2])) < REPORTS_ERRORS_SINCE:
            return False
        if not hasattr(libc(), "syncfs"):
            return False
        status = ctypes.create_string_buffer(512)  # struct statfs has 120 bytes on 64-bit Linux, the type first
        if libc().fstatfs(self._descriptor, status) != 0:
            return False
        return ctypes.c_long.from_buffer(status).value in KNOWN_TYPES

    def holds(self, folder: Path) -> bool:
        """Whether a folder, or where it is missing the folder that it would be in, is on this file system."""
        while True:
            try:
                return folder.stat().st_dev == self._device
            except FileNotFoundError:
                if folder == folder.parent:
                    raise
                folder = folder.parent

    def holds_file(self, descriptor: int) -> bool:
        """Whether an open file is on this file system."""
        return os.fstat(descriptor).st_dev == self._device

    def sync(self) -> None:
        """Bring all changes of all files to disk, also those of other programs. Raises OSError."""
        if libc().syncfs(self._descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
