"""What the writer has flushed is on the disk: a copy of the disk at that moment has every row."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.store.append_file import FEW_FILES
from collector.store.load import load
from collector.store.writer import StoreWriter
from tests.support.store import START, window

IMAGE_BYTES = 32 * 2**20
GROUPS = 4
LAZY = "loop,commit=600"
"""Mount options: the kernel itself writes nothing for ten minutes, so that only what is synced reaches the disk."""


def run(*command: object) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount a file as a disk. What the kernel has not written to the disk is not in the file."""
    folder.mkdir(exist_ok=True)
    run("mount", "-o", LAZY, image, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file as a disk")
@pytest.mark.parametrize("sites", [2, 3 * FEW_FILES])
def test_flushed_rows_survive_a_power_cut(tmp_path: Path, sites: int) -> None:
    """Few files are synced one by one, many files at once; both ways nothing that was flushed is lost."""
    image, copy = tmp_path / "disk.img", tmp_path / "copy.img"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", image)
    with mounted(image, tmp_path / "disk") as disk, StoreWriter(disk / "store", "w1") as store:
        for group in range(GROUPS):
            for site in range(sites):
                store.add(window(group, start=START, site=f"shop-{site}"))
            store.flush()
            shutil.copyfile(image, copy)
            with mounted(copy, tmp_path / "after") as after:
                assert len(load(after / "store")) == (group + 1) * sites
