"""What the writer has flushed is on the disk: a copy of the disk at that moment has every row.

These tests mount files as disks, so they need root and the right to mount.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from collector.errors import StoreFailed
from collector.store.append_file import FEW_FILES
from collector.store.load import load
from collector.store.writer import StoreWriter
from tests.support.store import START, window

IMAGE_BYTES = 32 * 2**20
GROUPS = 4
LAZY = "loop,commit=600"
"""Mount options: the kernel itself writes nothing for ten minutes, so that only what is synced reaches the disk."""


SMALL_BYTES, BLOCK_BYTES = 16 * 2**20, 1024
MAX_GROUPS = 100


def run(*command: object) -> str:
    """Run a command; return what it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
    return done.stdout


@contextmanager
def mounted(image: Path | str, folder: Path, options: str = LAZY, kind: str = "ext4") -> Iterator[Path]:
    """Mount a file as a disk. What the kernel has not written to the disk is not in the file."""
    folder.mkdir(exist_ok=True)
    run("mount", "-t", kind, "-o", options, image, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def missing_mount() -> str:
    """Return why no file can be mounted as a disk on this machine; an empty string if one can be."""
    if os.geteuid() != 0:
        return "only root can mount a file as a disk"
    if missing := [name for name in ("mkfs.ext4", "mount", "umount") if not shutil.which(name)]:
        return f"not installed: {', '.join(missing)} (Debian: apt install e2fsprogs mount)"
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as opened:
        image = Path(scratch) / "image"
        image.write_bytes(bytes(4 * 2**20))
        try:
            run("mkfs.ext4", "-q", image)
            opened.enter_context(mounted(image, Path(scratch) / "disk"))
        except AssertionError as error:
            return f"mounting a file is not permitted: {str(error).splitlines()[0]}"
    return ""


MISSING = missing_mount()
needs_mount = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def group(store: StoreWriter, number: int, sites: int) -> int:
    """Store a window of each site; return how many were new."""
    added = [store.add(window(number, start=START, site=f"shop-{site}")) for site in range(sites)]
    store.flush()
    return sum(added)


@contextmanager
def no_room(image: Path) -> Iterator[None]:
    """Let a disk refuse writes to free blocks, because the disk that its image is on is full. The rest can be written.

    The image must not be mounted when this begins: the free blocks are those that it has then.
    """
    run("fallocate", "-l", SMALL_BYTES, image)
    free = re.findall(r"^  Free blocks: (.*)$", run("dumpe2fs", image), re.MULTILINE)
    for first, last in re.findall(r"([0-9]+)(?:-([0-9]+))?", "\n".join(free)):
        begin, end = int(first) * BLOCK_BYTES, (int(last or first) + 1) * BLOCK_BYTES
        run("fallocate", "--punch-hole", "--offset", begin, "--length", end - begin, image)
    filler = image.with_name("filler")
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@needs_mount
@pytest.mark.parametrize("sites", [2, 3 * FEW_FILES])
def test_flushed_rows_survive_a_power_cut(tmp_path: Path, sites: int) -> None:
    """Few files are synced one by one, many files at once; both ways nothing that was flushed is lost."""
    image, copy = tmp_path / "disk.img", tmp_path / "copy.img"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", image)
    with mounted(image, tmp_path / "disk") as disk, StoreWriter(disk / "store", "w1") as store:
        for number in range(GROUPS):
            group(store, number, sites)
            shutil.copyfile(image, copy)
            with mounted(copy, tmp_path / "after") as after:
                assert len(load(after / "store")) == (number + 1) * sites


@needs_mount
@pytest.mark.parametrize("sites", [2, 3 * FEW_FILES])
def test_rows_that_the_disk_has_refused_are_stored_again(tmp_path: Path, sites: int) -> None:
    """The kernel shows them to readers all the same; they are no repeats, which would be acknowledged and then lost."""
    copy = tmp_path / "copy.img"
    with mounted("tmpfs", tmp_path / "below", f"size={SMALL_BYTES + 4 * 2**20}", "tmpfs") as below:
        image = below / "disk.img"
        image.write_bytes(bytes(SMALL_BYTES))
        run("mkfs.ext4", "-q", "-b", BLOCK_BYTES, "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image)
        with mounted(image, tmp_path / "disk") as disk, StoreWriter(disk / "store", "w1") as store:
            group(store, 0, sites)
        stored = 1
        with ExitStack() as room:
            room.enter_context(no_room(image))
            with mounted(image, tmp_path / "disk") as disk:
                with StoreWriter(disk / "store", "w1") as store, pytest.raises(StoreFailed):
                    for stored in range(1, MAX_GROUPS):
                        group(store, stored, sites)
                room.close()
                with StoreWriter(disk / "store", "w1") as store:
                    assert group(store, stored, sites) > 0  # some of the group may have reached the disk
                    shutil.copyfile(image, copy)
        with mounted(copy, tmp_path / "after") as after:
            assert len(load(after / "store")) == (stored + 1) * sites
