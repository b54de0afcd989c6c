"""A spool whose file is damaged while the daemon runs: one attempt fails, and counting goes on."""

import json
import random
import sqlite3
from contextlib import closing

import pytest

from edge.delivery.spool import Early, opened
from edge.errors import SpoolCorrupt, SpoolError
from tests.support.brokers import free_port, mosquitto, needs_mosquitto
from tests.support.fakes import counts, lines_of
from tests.support.publishing import device, retained
from tests.support.spools import MANY, happy, ready


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.sqlite"


def rot(spool, path):
    """The card loses all but the first page, and SQLite what it remembers of the others."""
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
        lambda spool: spool.first_early(),
    ],
    ids=["add", "waiting", "depth", "delete", "first_early"],
)
def test_file_that_rots_while_it_is_open_is_set_aside(path, first):
    """What was being done fails, once; then a new file is there. Its messages are numbered on, so that no PUBACK of an
    older one deletes them, and `seq` shows the collector the hole."""
    with lines_of("edge.delivery.spool") as said, opened(path, MANY) as spool:
        for minute in range(60):
            spool.add(counts(minute, 6))
        last = spool.newest()
        rot(spool, path)
        with pytest.raises(SpoolCorrupt):
            first(spool)
        spool.add(counts(61, 7))
        assert (happy(spool), spool.newest(), ready(spool)[0].seq) == ([7], last + 1, 60)
        spool.delete([last])
        assert spool.depth() == 1
    assert [line.split()[0] for line in said] == ["event=spool_corrupt"]
    assert path.with_name("spool.sqlite.corrupt").is_file()
    with opened(path, MANY) as spool:
        assert happy(spool) == [7]


def test_file_that_rots_where_no_new_one_can_be_made(path):
    """The disk refuses for a while: each attempt fails as the disk does, and the first that it lets through works."""
    with opened(path, MANY) as spool:
        for minute in range(60):
            spool.add(counts(minute, 6))
        rot(spool, path)
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
def test_waiting_window_that_rots_while_the_spool_is_open_costs_itself(path, table):
    """Each window is joined with what is held: a row there that is no message must not stop all that come."""
    with lines_of("edge.delivery.spool") as said, opened(path, MANY) as spool:
        spool.add(counts(0, 9))
        spool.add(counts(1, 2))
        spool.add_early(Early("k1", 0.0, 60.0, counts(2, 9)))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"UPDATE {table} SET payload = ?", (b"{}",))
        with pytest.raises(SpoolCorrupt):
            spool.add(counts(3, 6)) if table == "held" else spool.first_early()
        spool.add(counts(3, 6))
        assert happy(spool) == ([9, 6] if table == "held" else [9, 8])
        assert (spool.first_early() is None) == (table == "early")
    assert [line.split()[0] for line in said] == [f"event={table}_unreadable"]


@needs_mosquitto
def test_spool_found_damaged_as_the_broker_answers_keeps_nobody_offline(tmp_path):
    """Connecting looks into the spool; that it cannot be read is no reason not to say that the device is there."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port, 60) as sender:
        rot(sender.spool, tmp_path / "spool.sqlite")
        sender.connects()
        assert json.loads(retained(port, "status"))["state"] == "online"
        sender.spool.add(counts(61, 7))
        sender.sends_all()
