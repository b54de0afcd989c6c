"""If the spool's file is damaged while the daemon runs, one operation fails and counting continues."""

import json
import random
import sqlite3
from contextlib import closing

import pytest

from edge.delivery.spool import UnsyncedWindow, opened
from edge.errors import SpoolCorrupt, SpoolError
from tests.support.brokers import free_port, mosquitto, needs_mosquitto
from tests.support.fakes import counts, lines_of
from tests.support.publishing import device, retained
from tests.support.spools import MANY, happy, ready


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.sqlite"


def damage(spool, path):
    """Damage all pages of the file but the first, and empty SQLite's cache."""
    for pragma in ("wal_checkpoint(TRUNCATE)", "shrink_memory"):
        spool._database.execute(f"PRAGMA {pragma}").fetchall()
    damaged = path.read_bytes()
    path.write_bytes(damaged[:4096] + random.Random(1).randbytes(len(damaged) - 4096))


@pytest.mark.parametrize(
    "first",
    [
        lambda spool: spool.add(counts(60, 6)),
        lambda spool: spool.waiting(0, 20),
        lambda spool: spool.depth(),
        lambda spool: spool.delete([3]),
        lambda spool: spool.first_unsynced(),
    ],
    ids=["add", "waiting", "depth", "delete", "first_early"],
)
def test_file_damaged_while_it_is_open_is_set_aside(path, first):
    """The operation that finds the damage fails, and the next uses a new file. Numbers continue, so that no PUBACK of
    an older message deletes a new one, and a gap in `seq` shows the loss."""
    with lines_of("edge.delivery.spool") as logged, opened(path, MANY) as spool:
        for minute in range(60):
            spool.add(counts(minute, 6))
        last = spool.newest()
        damage(spool, path)
        with pytest.raises(SpoolCorrupt):
            first(spool)
        spool.add(counts(61, 7))
        assert (happy(spool), spool.newest(), ready(spool)[0].seq) == ([7], last + 1, 60)
        spool.delete([last])
        assert spool.depth() == 1
    assert [line.split()[0] for line in logged] == ["event=spool_corrupt"]
    assert path.with_name("spool.sqlite.corrupt").is_file()
    with opened(path, MANY) as spool:
        assert happy(spool) == [7]


def test_damaged_file_that_cannot_be_replaced_yet(path):
    """While no new file can be created every operation fails; once it can, adding works again."""
    with opened(path, MANY) as spool:
        for minute in range(60):
            spool.add(counts(minute, 6))
        damage(spool, path)
        path.with_name("spool.sqlite.corrupt").mkdir()
        for _ in range(3):
            with pytest.raises(SpoolError, match="aside"):
                spool.add(counts(60, 7))
        path.with_name("spool.sqlite.corrupt").rmdir()
        with pytest.raises(SpoolCorrupt):
            spool.add(counts(60, 7))
        spool.add(counts(60, 7))
        assert happy(spool) == [7]


@pytest.mark.parametrize("table", ["held", "early"])
def test_damaged_waiting_window_is_dropped(path, table):
    """A held or unsynced row that is damaged while the spool is open is dropped; later windows are not affected."""
    with lines_of("edge.delivery.spool") as logged, opened(path, MANY) as spool:
        spool.add(counts(0, 9))
        spool.add(counts(1, 2))
        spool.add_unsynced(UnsyncedWindow("k1", 0.0, 60.0, counts(2, 9)))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"UPDATE {table} SET payload = ?", (b"{}",))
        with pytest.raises(SpoolCorrupt):
            spool.add(counts(3, 6)) if table == "held" else spool.first_unsynced()
        spool.add(counts(3, 6))
        assert happy(spool) == ([9, 6] if table == "held" else [9, 8])
        assert (spool.first_unsynced() is None) == (table == "early")
    assert [line.split()[0] for line in logged] == [f"event={table}_unreadable"]


@needs_mosquitto
def test_damaged_spool_does_not_prevent_connecting(tmp_path):
    """A spool that cannot be read when the broker accepts the connection does not prevent the status ``online``."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port, 60) as sender:
        damage(sender.spool, tmp_path / "spool.sqlite")
        sender.connects()
        assert json.loads(retained(port, "status"))["state"] == "online"
        sender.spool.add(counts(61, 7))
        sender.sends_all()
