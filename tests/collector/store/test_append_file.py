"""A group's rows are in their files, and on disk, before the append returns; any failure is reported."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from base.file_system import FileSystem
from collector.errors import StoreFailed
from collector.store.append_file import FEW_FILES, Addition, GroupAppender

HEAD = "a,b\n"
MANY = FEW_FILES + 1


@pytest.fixture
def appender(tmp_path: Path) -> Iterator[GroupAppender]:
    group = GroupAppender(tmp_path)
    group._can_sync = True  # also where the file system of the tests is of another type
    yield group
    group.close()


def additions(root: Path, number: int, rows: str = "1,2\n") -> list[Addition]:
    return [Addition(root / "date=1" / f"site={at}" / "counts.csv", HEAD, rows) for at in range(number)]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is brought to disk, in order: the name of a file or folder, or all files with their contents."""
    done: list[str] = []
    lock = threading.Lock()
    fsync, sync = os.fsync, FileSystem.sync

    def note_file(descriptor: int) -> None:
        fsync(descriptor)
        with lock:
            done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def note_all(self: FileSystem) -> None:
        root = Path(f"/proc/self/fd/{self._descriptor}").readlink()
        done.extend(f"{path.parent.name}:{path.read_text()}" for path in sorted(root.rglob("*.csv")))
        sync(self)

    monkeypatch.setattr(os, "fsync", note_file)
    monkeypatch.setattr(FileSystem, "sync", note_all)
    return done


@pytest.mark.parametrize("number", [1, FEW_FILES, MANY])
def test_rows_are_appended_under_one_header(tmp_path: Path, appender: GroupAppender, number: int) -> None:
    """Few files or many: each has its header once, and all rows in order."""
    appender.append(additions(tmp_path, number))
    appender.append(additions(tmp_path, number, "3,4\n5,6\n"))
    texts = [path.read_text() for path in tmp_path.rglob("*.csv")]
    assert texts == ["a,b\n1,2\n3,4\n5,6\n"] * number


def test_few_files_are_synced_each(tmp_path: Path, appender: GroupAppender, synced: list[str]) -> None:
    """What other programs write does not delay a small group; a new file's folder is synced as well."""
    appender.append(additions(tmp_path, 2))
    assert synced.count("counts.csv") == 2
    assert {"site=0", "site=1", "date=1", tmp_path.name} <= set(synced)


def test_many_files_are_synced_at_once_after_all_are_written(
    tmp_path: Path, appender: GroupAppender, synced: list[str]
) -> None:
    """One call brings all files to disk, and at its time every row is in its file."""
    appender.append(additions(tmp_path, MANY))
    assert synced == [f"site={at}:a,b\n1,2\n" for at in range(MANY)]


def test_a_file_of_another_disk_is_synced_by_itself(tmp_path: Path, appender: GroupAppender, synced: list[str]) -> None:
    """A day or site that is a link to another disk is not covered by the store's file system."""
    with TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (tmp_path / "date=1").mkdir()
        (tmp_path / "date=1" / "site=3").symlink_to(elsewhere)
        appender.append(additions(tmp_path, MANY))
    assert synced.count("counts.csv") == 1
    assert len([name for name in synced if name.endswith(":a,b\n1,2\n")]) >= MANY - 1


def test_a_link_to_a_file_of_another_disk_is_synced_by_itself(
    tmp_path: Path, appender: GroupAppender, synced: list[str]
) -> None:
    """Also if the file is not there yet."""
    with TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (tmp_path / "date=1" / "site=3").mkdir(parents=True)
        (tmp_path / "date=1" / "site=3" / "counts.csv").symlink_to(Path(elsewhere) / "linked.csv")
        appender.append(additions(tmp_path, MANY))
        assert synced.count("linked.csv") == 1
        assert (Path(elsewhere) / "linked.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize("number", [1, MANY])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, appender: GroupAppender, number: int) -> None:
    """The error names the file, so that nothing of the group is acknowledged."""
    (tmp_path / "date=1" / "site=0" / "counts.csv").mkdir(parents=True)
    with pytest.raises(StoreFailed, match=r"site=0/counts\.csv: Is a directory"):
        appender.append(additions(tmp_path, number))


def test_a_sync_that_fails_is_reported(
    tmp_path: Path, appender: GroupAppender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk refuses the data, the group has failed."""

    def refuse(_: FileSystem) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(FileSystem, "sync", refuse)
    with pytest.raises(StoreFailed, match="Input/output error"):
        appender.append(additions(tmp_path, MANY))


@pytest.mark.parametrize("number", [1, MANY])
def test_a_file_with_another_header_takes_no_rows(tmp_path: Path, appender: GroupAppender, number: int) -> None:
    """A header that was changed since the file was opened stops the append."""
    path = tmp_path / "date=1" / "site=0" / "counts.csv"
    path.parent.mkdir(parents=True)
    path.write_text("x,y\n")
    with pytest.raises(StoreFailed, match="header has changed"):
        appender.append(additions(tmp_path, number))
    assert path.read_text() == "x,y\n"
