"""`facetally-collector sync` keeps the tables of a real PostgreSQL equal to the store."""

import random
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults.postgresql_sync import differences, run
from benchmarks.load.year import fill
from collector.postgresql.schema import migrations
from collector.store.compaction import compact
from collector.store.load import load
from tests.support.postgresql import Cluster, needs_postgresql, number, rows, sync
from tests.support.store import put, window

pytestmark = needs_postgresql


def test_tables_equal_the_store(varied: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Windows, counts and hours are those of `load` and `break_down`, each once; a second pass changes nothing."""
    assert sync(varied, url) == 0
    assert differences(url, varied) == []
    assert len(load(varied)) == number(url, "SELECT count(*) FROM windows") == 97
    before = rows(url, "SELECT * FROM hours ORDER BY 1, 2, 3, 4, 5")
    capsys.readouterr()
    assert sync(varied, url) == 0
    assert "files=0 windows=0 shares=0" in capsys.readouterr().err
    assert sync(varied, url, "--read-again") == 0
    assert rows(url, "SELECT * FROM hours ORDER BY 1, 2, 3, 4, 5") == before
    assert (
        rows(url, "SELECT state, model_expression FROM devices WHERE site = 'shop-1'")
        == [("online", "seven@ba9876543210")] * 2
    )


def test_only_what_is_new_is_read(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that are appended, a torn line and a compaction between passes are each counted once."""
    root = tmp_path / "store"
    put(root, window(1), window(2))
    assert sync(root, url) == 0
    (path,) = root.glob("date=*/site=*/counts-*.csv")
    whole = path.read_bytes()
    line = whole.splitlines(keepends=True)[-1]
    with path.open("ab") as file:
        file.write(line.replace(b",2,", b",3,", 1)[:-9])
    assert sync(root, url) == 0
    assert number(url, "SELECT count(*) FROM windows") == 2
    put(root, window(3), window(4))
    capsys.readouterr()
    assert sync(root, url) == 0
    assert "files=1 windows=2" in capsys.readouterr().err
    list(compact(root, date(2026, 4, 1)))
    put(root, window(5))
    assert sync(root, url) == 0
    assert differences(url, root) == []
    assert number(url, "SELECT count(*) FROM store_files") == 2


def test_a_damaged_file_is_reported_and_read_again_once_repaired(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines that are no rows, text that PostgreSQL cannot hold and broken Parquet are left out; the rest is stored."""
    root = tmp_path / "store"
    put(root, window(1), window(2), window(3), window(4, site="cut"), window(5, site="nul"))
    paths = {path.parent.name: path for path in root.glob("date=*/site=*/*.csv")}
    good = {name: path.read_bytes() for name, path in paths.items()}
    paths["site=shop-1"].write_bytes(good["site=shop-1"].replace(b",2,", b",two,", 1))
    paths["site=nul"].write_bytes(good["site=nul"].replace(b"door", b"do\0r"))
    list(compact(root, date(2026, 4, 1)))
    parquet = next(root.glob("date=*/site=cut/*.parquet"))
    whole = parquet.read_bytes()
    parquet.write_bytes(whole[:-20])
    assert sync(root, url) == 0
    log = capsys.readouterr().err
    assert "line 3: must be a whole number" in log and "text must be short and without NUL" in log
    assert "Traceback" not in log
    assert number(url, "SELECT count(*) FROM windows") == 2
    damages = dict(rows(url, "SELECT split_part(path, '/', 2), damage FROM store_files WHERE damage IS NOT NULL"))
    assert set(damages) == {"site=shop-1", "site=nul", "site=cut"}
    parquet.write_bytes(whole)
    for name in ("site=shop-1", "site=nul"):
        for path in root.glob(f"date=*/{name}/counts-*.parquet"):
            path.unlink()
        paths[name].write_bytes(good[name])
    assert sync(root, url) == 0
    assert differences(url, root) == []
    assert number(url, "SELECT count(*) FROM store_files WHERE damage IS NOT NULL") == 0


def test_windows_stay_unless_retention_is_followed(varied: Path, url: str) -> None:
    """Days that the store deletes stay; with --follow-retention only their hours and shares do."""
    assert sync(varied, url) == 0
    before = number(url, "SELECT count(*) FROM hours"), number(url, "SELECT count(*) FROM shares")
    for day in ("2026-03-28", "2026-03-29"):
        shutil.rmtree(varied / f"date={day}")
    assert sync(varied, url) == 0
    assert number(url, "SELECT count(*) FROM windows") == 97
    assert sync(varied, url, "--follow-retention") == 0
    assert number(url, "SELECT count(*) FROM windows WHERE site = 'shop-1'") == 1
    assert number(url, "SELECT count(*) FROM windows") == 2
    assert (number(url, "SELECT count(*) FROM hours"), number(url, "SELECT count(*) FROM shares")) == before
    shutil.rmtree(varied / "date=2026-03-31")
    assert sync(varied, url, "--follow-retention") == 0
    assert number(url, "SELECT count(*) FROM windows") == 2


def test_kills_and_restarts_lose_and_repeat_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """After kills of the sync and a crash of PostgreSQL while the store grows, the tables equal the store."""
    root = tmp_path / "store"
    fill(root, 1, 3, np.random.default_rng(1))
    report = run(cluster, root, kills=2, restarts=1, rng=random.Random(2), lifetime_s=(0.05, 0.4))
    assert report.differences == ()
    assert report.windows > 3 * 1440


def test_every_table_and_column_has_a_comment(url: str, tmp_path: Path) -> None:
    """A BI tool shows what a table or column means; the migrations have consecutive numbers."""
    put(tmp_path, window(1))
    assert sync(tmp_path, url) == 0
    query = """
        SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE relnamespace = 'facetally'::regnamespace AND relkind IN ('r', 'v') AND attnum >= 0 AND NOT attisdropped
        AND (col_description(c.oid, attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
    """
    assert rows(url, query) == []
    assert [each.version for each in migrations()] == [*range(1, len(migrations()) + 1)]
    assert rows(url, "SELECT version FROM schema_version ORDER BY 1") == [(each.version,) for each in migrations()]
