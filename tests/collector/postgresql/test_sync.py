"""`facetally-collector sync` keeps the tables of a real PostgreSQL equal to the store."""

import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import pytest

from benchmarks.faults.postgresql_sync import differences, run
from benchmarks.load.year import fill
from collector.__main__ import main
from collector.analysis.command_summary import summary_table
from collector.analysis.label_sets import label_sets, with_label_set
from collector.devices.device import Device
from collector.devices.registry_file import RegistryContent, write
from collector.postgresql.schema import migrations
from collector.store.compaction import compact
from collector.store.load import load
from contract.message import Model
from tests.support.brokers import wait_until
from tests.support.device_models import model
from tests.support.postgresql import WITH_PASSWORD, Cluster, needs_postgresql, postgresql
from tests.support.store import START, put, window

pytestmark = needs_postgresql
ZONE = "Europe/Berlin"
ODD = {"calm": 4, "busy": 1, "unknown": 1}
NUMBERS = count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgresql() as running:
        yield running


@pytest.fixture
def url(cluster: Cluster) -> str:
    """Return the URL of a new, empty database."""
    name = f"test_{next(NUMBERS)}"
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return cluster.url(name)


def sync(root: Path, url: str, *arguments: str) -> int:
    """Run the command in this process; return its exit status."""
    return main(["sync", "--root", str(root), "--zone", ZONE, url, *arguments])


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with psycopg.connect(url, options="-c search_path=facetally") as connection:
        return connection.execute(query.encode()).fetchall()


def number(url: str, query: str) -> Any:
    """Return the only value of a query."""
    return rows(url, query)[0][0]


def set_model(root: Path, reported: Model) -> None:
    """Make both devices of shop-1 report a model, in ``devices.json``."""
    devices = tuple(Device(site="shop-1", device=name, model=reported, state="online") for name in ("door", "till"))
    write(root / "devices.json", RegistryContent(devices=devices))


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    """Return a store with all that a store may hold.

    Two sites, two label sets, doubtful windows, windows of two writers, a clock that was never set, a window of three
    hours, a compacted day with a late window beside it, and devices with confusion matrices.
    """
    root = tmp_path / "store"
    mix = {"anger": 2, "disgust": 0, "fear": 0, "happiness": 5, "sadness": 1, "surprise": 0, "neutral": 4, "unknown": 2}
    put(root, *(window(each, mix) for each in range(90)), window(0, site="007", device="NA"))
    put(root, window(200, device="till", end=START + timedelta(hours=6)), window(300, schema=2, doubtful_low=2))
    put(root, *(window(each, mix) for each in range(3)), window(400, ODD, device="till"), writer="w2")
    put(root, window(500, clock="unsynced"), window(501, mix, start=START + timedelta(days=3)))
    assert len(list(compact(root, date(2026, 3, 29)))) == 1
    put(root, window(0, boot="f" * 16))
    set_model(root, model())
    return root


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


def expected_shares(root: Path, kind: str, zone: str) -> dict[tuple[Any, ...], list[float]]:
    """Return the shares that ``summary --corrected`` prints for each label set, by day, site, label set and label."""
    frame, found = load(root), {}
    for each in label_sets(frame):
        part, _ = with_label_set(frame, each.name)
        table = summary_table(part, [kind, "site"], ZoneInfo(zone), None, corrected_by=root)
        for (start, site, label), row in table.iterrows():
            if row["visits"] > 0 or not np.isnan(row["share"]):
                values = row[["visits", "share", "corrected", "low", "high"]].tolist()
                found[start.date(), site, each.name, label] = values
    return {key: values for key, values in found.items() if key[3] != "unknown"}


@pytest.mark.parametrize(("kind", "zone"), [("day", ZONE), ("week", ZONE), ("month", ZONE), ("day", "Asia/Kolkata")])
def test_shares_equal_the_summary(varied: Path, url: str, kind: str, zone: str) -> None:
    """Shares and intervals are the values of ``summary --corrected``, also where days begin within an hour."""
    assert sync(varied, url, "--zone", zone) == 0
    columns = "start_date, site, left(label_set, 8), label, visits, share, corrected, low, high"
    query = f"SELECT {columns} FROM shares WHERE period = '{kind}'"
    found = {row[:4]: [np.nan if value is None else value for value in row[4:]] for row in rows(url, query)}
    expected = expected_shares(varied, kind, zone)
    assert set(found) == set(expected)
    assert sum(not np.isnan(values[2]) for values in expected.values()) >= 7
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-9, abs=1e-9, nan_ok=True), key


def test_shares_follow_a_new_matrix_and_zone(varied: Path, url: str) -> None:
    """A device that reports another confusion matrix changes the shares of earlier days, as on the page."""
    assert sync(varied, url) == 0
    query = "SELECT corrected FROM shares WHERE (start_date, period, label) = ('2026-03-01', 'month', 'happiness')"
    query += " AND site = 'shop-1'"
    before = number(url, query)
    confusion = tuple(tuple(300 if row == column else 90 for column in range(7)) for row in range(7))
    changed = model().expression.__class__(
        name="seven", sha256=model().expression.sha256, labels=model().expression.labels, confusion=confusion
    )
    set_model(varied, Model(schema=1, detector=model().detector, expression=changed))
    assert sync(varied, url) == 0
    assert number(url, query) != before
    expected = expected_shares(varied, "month", ZONE)
    ((_, values),) = [
        each for each in expected.items() if each[0][::3] == (date(2026, 3, 1), "happiness") and each[0][1] == "shop-1"
    ]
    assert number(url, query) == pytest.approx(values[2])
    assert sync(varied, url, "--zone", "UTC") == 0
    assert number(url, "SELECT min(start_date) FROM shares WHERE period = 'day'") == date(2026, 3, 28)
    (varied / "devices.json").write_bytes(b"{")
    put(varied, window(600))
    assert sync(varied, url, "--zone", "UTC") == 0
    assert number(url, query) is not None


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


def command(root: Path, url: str, *arguments: str, **of: Any) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    line = [sys.executable, "-W", "error", "-m", "collector", "sync", "--root", str(root), url, *arguments]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True, **of)


def test_an_outage_is_waited_out_and_sigterm_ends(cluster: Cluster, url: str, tmp_path: Path) -> None:
    """With --every the command logs an outage once and its end, stores what came meanwhile, and ends with 0."""
    root = tmp_path / "store"
    put(root, window(1))
    process = command(root, url, "--every", "1")
    wait_until(lambda: has_windows(url, 1), "the first window is stored")
    cluster.stop("fast")
    put(root, window(2))
    assert process.stderr is not None
    until_line(process, "postgresql_away")
    cluster.start()
    wait_until(lambda: has_windows(url, 2), "the second window is stored", 60)
    until_line(process, "postgresql_back")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    with process.stderr:
        assert "Traceback" not in process.stderr.read()


def has_windows(url: str, windows: int) -> bool:
    try:
        return bool(number(url, "SELECT count(*) FROM windows") == windows)
    except psycopg.Error:
        return False


def until_line(process: "subprocess.Popen[str]", event: str) -> None:
    """Read the log up to an event."""
    assert process.stderr is not None
    assert any(f"event={event}" in line for line in iter(process.stderr.readline, "")), event


def no_database(url: str) -> str:
    return re.sub("test_[0-9]+", "missing", url)


def no_rights(url: str) -> str:
    rows(url, "SELECT 1")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger LOGIN")
    return url.replace("postgres@", "stranger@")


def newer(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA facetally")
        connection.execute("CREATE TABLE facetally.schema_version (version int)")
        connection.execute("INSERT INTO facetally.schema_version VALUES (99)")
    return url


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (lambda _: "mysql://host/name", 2, "URL: must begin with postgresql://"),
        (lambda _: "postgresql://host/%zz", 2, "URL: must be a URL such as postgresql://host/database"),
        (lambda _: "postgresql://me:topsecret@host/name", 2, "URL: must not have a password"),
        (lambda _: "postgresql://host/name?password=topsecret", 2, "URL: must not have a password"),
        (lambda url: url.replace("host=/tmp/", "host=/tmp/away-"), 1, "No such file or directory"),
        (no_database, 1, "does not exist"),
        (no_rights, 1, "permission denied for database"),
        (newer, 1, "must be of version 2 or older, are of version 99; update facetally"),
    ],
)
def test_bad_input_is_one_line(
    change: Callable[[str], str],
    status: int,
    message: str,
    url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error says what is wrong, has no traceback and no password, and the exit status is 2 for wrong arguments."""
    put(tmp_path, window(1))
    assert sync(tmp_path, change(url)) == status
    log = capsys.readouterr().err
    assert message in log
    assert "Traceback" not in log and "topsecret" not in log
    assert len(log.splitlines()) == 1


def test_the_password_comes_from_a_file(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user with a password is refused without it, and accepted with --password-file or ``sync.password_file``."""
    put(tmp_path / "store", window(1))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {WITH_PASSWORD} LOGIN PASSWORD 'topsecret'".encode())
        connection.execute(
            f"GRANT CREATE ON DATABASE {url.partition('?')[0].rpartition('/')[2]} TO {WITH_PASSWORD}".encode()
        )
    locked, file = url.replace("postgres@", f"{WITH_PASSWORD}@"), tmp_path / "password"
    file.write_text("wrong\n")
    assert sync(tmp_path / "store", locked, "--password-file", str(file)) == 1
    assert "password authentication failed" in capsys.readouterr().err
    assert sync(tmp_path / "store", locked, "--password-file", str(tmp_path / "none")) == 2
    file.write_text("topsecret\n")
    settings = [f"sync.url={locked}", f"sync.password_file={file}"]
    options = [word for setting in settings for word in ("--set", setting)]
    assert main(["sync", "--root", str(tmp_path / "store"), *options]) == 0
    assert number(url, "SELECT count(*) FROM windows") == 1


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


def test_a_second_sync_waits_for_the_first(url: str, tmp_path: Path) -> None:
    """Two passes at once never write at the same time: the second begins when the lock is free."""
    put(tmp_path, window(1))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [0x666163_74616C6C79])
        process = command(tmp_path, url)
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: connection.execute(query).fetchone() == (1,), "the sync waits")
        time.sleep(0.2)
        assert process.poll() is None
    assert process.wait(30) == 0
    assert number(url, "SELECT count(*) FROM windows") == 1
    assert process.stderr is not None
    process.stderr.close()
