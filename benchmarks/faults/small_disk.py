"""Mount a small file system for the spool, and fill and empty it."""

import contextlib
import math
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "8m"


class SmallDisk:
    """A tmpfs mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        self._emptied = -math.inf

    @property
    def full(self) -> bool:
        """Whether it has been filled."""
        return self._filler.exists()

    def was_full_since(self, since: float) -> bool:
        """Whether it was full at some time after ``since``, monotonic seconds."""
        return self.full or self._emptied >= since

    def fill(self) -> None:
        """Write a file until not one byte more fits."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (65_536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def empty(self) -> None:
        """Delete the file that fills it."""
        if self.full:
            self._filler.unlink()
            self._emptied = time.monotonic()


@contextmanager
def small_disk(folder: Path, size: str = SIZE) -> Iterator[SmallDisk | None]:
    """Create ``folder`` and mount a disk of ``size`` on it; yield None if this user may not mount."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        yield None
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "facetally", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607
