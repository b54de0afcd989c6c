"""A folder or file that cannot be read stops no other site, and its windows are copied once it can be read."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from benchmarks.faults.postgresql_sync import differences
from collector.postgresql.synchronise import Synchroniser, Target
from collector.store.compaction import compact
from tests.support.permissions import unreadable
from tests.support.postgresql import needs_postgresql, number, rows, sync
from tests.support.store import put, window

pytestmark = needs_postgresql
DAY = "date=2026-03-29"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of two sites with two windows each, those of shop-2 in a Parquet file."""
    put(tmp_path / "store", *(window(seq, site="shop-2") for seq in (1, 2)))
    list(compact(tmp_path / "store", date(2026, 4, 1)))
    put(tmp_path / "store", *(window(seq, site="shop-1") for seq in (1, 2)))
    return tmp_path / "store"


def sites(url: str) -> list[tuple[str, int]]:
    """Return the number of windows of each site in PostgreSQL."""
    return rows(url, "SELECT site, count(*) FROM windows GROUP BY site ORDER BY site")  # type: ignore[return-value]


@pytest.mark.parametrize("what", [f"{DAY}/site=shop-2", "file"])
def test_the_other_sites_are_copied(root: Path, url: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command names what it could not read, and exits with 1. Nothing of it is lost."""
    path = next(root.glob(f"{DAY}/site=shop-2/*.parquet")) if what == "file" else root / what
    with unreadable(path):
        assert sync(root, url) == 1
        assert sites(url) == [("shop-1", 2)]
        log = capsys.readouterr().err
        assert f"not copied, the rest was: {path.relative_to(root)}: left out: Permission denied" in log
        assert "Traceback" not in log
    assert sync(root, url) == 0
    assert differences(url, root) == []


def test_a_day_that_cannot_be_read_later_is_not_read_again(
    root: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was copied of it stays known, and its windows stay."""
    assert sync(root, url) == 0
    with unreadable(root / DAY):
        assert sync(root, url) == 1
        assert number(url, "SELECT count(*) FROM windows") == 4
    capsys.readouterr()
    assert sync(root, url) == 0
    assert "files=0 windows=0" in capsys.readouterr().err


def test_a_file_in_place_of_a_folder(root: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is reported as the page reports it."""
    (root / DAY / "site=shop-3").write_text("no folder")
    assert sync(root, url) == 1
    assert sites(url) == [("shop-1", 2), ("shop-2", 2)]
    assert f'event=left_out file="{DAY}/site=shop-3" rows=all reason="Not a directory"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "pattern", [DAY, f"{DAY}/site=shop-2", f"{DAY}/site=shop-2/*.parquet", f"{DAY}/site=shop-1/*.csv"]
)
def test_each_change_is_logged_once(root: Path, url: str, pattern: str, caplog: pytest.LogCaptureFixture) -> None:
    """What was mended and then cannot be read a second time is logged a second time."""
    (path,) = root.glob(pattern)
    passes = Synchroniser(Target(root, url, None, ZoneInfo("UTC")), lambda: False)
    for _ in range(2):
        with unreadable(path):
            for _ in range(2):
                passes.run(read_again=True)
        passes.run()
    assert ["event=left_out" in message for message in caplog.messages].count(True) == 2
