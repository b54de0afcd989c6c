"""A small disk of its own for the spool, which can be filled to the last byte and emptied again."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = "8m"


class Disk:
    """A tmpfs mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @property
    def full(self) -> bool:
        """Whether it has been filled."""
        return self._filler.exists()

    def fill(self) -> None:
        """Write until nothing more goes in."""
        with self._filler.open("ab", buffering=0) as file:
            for piece in (65_536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(piece)):
                        pass

    def empty(self) -> None:
        """Room again."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def disk(folder: Path) -> Iterator[Disk | None]:
    """A disk mounted there, or None where only root may mount and this is not root."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        yield None
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "facetally", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607
