"""All changes of a file system are brought to disk at once, where that is as safe as syncing each file."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from base.file_system import FileSystem

OTHER = Path("/dev/shm")
"""A file system in memory, on every Linux."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[FileSystem]:
    file_system = FileSystem(tmp_path)
    yield file_system
    file_system.close()


@pytest.mark.parametrize("folder", ["/proc", "/dev/shm"])
def test_a_file_system_that_is_not_known_to_be_safe_is_not_used(folder: str) -> None:
    """Only types that are known to write all files and to report errors are used."""
    file_system = FileSystem(Path(folder))
    assert not file_system.can_sync
    file_system.close()


@pytest.mark.parametrize(
    ("release", "is_new"), [("5.8.0-rc1", True), ("6.12.25+rpt-rpi-v8", True), ("5.7.19", False), ("odd", False)]
)
def test_an_old_kernel_is_not_trusted(
    here: FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str, is_new: bool
) -> None:
    """Linux before 5.8 does not report that the disk has refused data."""
    told = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True).stdout
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", release, "", "x86_64")))
    assert here.can_sync == (is_new and told.strip() in ("ext2/ext3", "xfs", "btrfs", "f2fs"))


def test_a_sync_reports_errors(tmp_path: Path) -> None:
    """An error of the system call is an OSError with its number."""
    file_system = FileSystem(tmp_path)
    (tmp_path / "a").write_text("a")
    file_system.sync()
    file_system.close()
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        file_system.sync()
    assert caught.value.errno == errno.EBADF


def test_folders_of_another_disk_are_told_apart(here: FileSystem, tmp_path: Path) -> None:
    """A missing folder belongs to the file system of the folder that it would be in; links are followed."""
    (tmp_path / "link").symlink_to(OTHER)
    assert here.holds(tmp_path / "date" / "site")
    assert not here.holds(tmp_path / "link" / "date" / "site")
