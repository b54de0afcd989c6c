"""Finished windows survive whatever ends the process, and leave when they may and were acknowledged."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from contract.message import Privacy
from edge.delivery.spool import opened
from edge.errors import SpoolCorrupt, SpoolError
from tests.support.fakes import counts, lines_of
from tests.support.spools import MANY, happy, happy_in, ready

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "spool.sqlite"


def test_messages_come_in_order_and_leave_when_deleted(path):
    """Oldest first, at most as many as asked for, and only those after a number."""
    with opened(path, MANY) as spool:
        for minute in range(5):
            spool.add(counts(minute, 10 + minute))
        numbers = [number for number, _ in spool.waiting(0, MANY)]
        assert happy(spool) == [10, 11, 12, 13, 14]
        assert [number for number, _ in spool.waiting(numbers[1], 2)] == numbers[2:4]
        assert spool.waiting(0, 0) == []
        spool.delete([numbers[0], numbers[3]])
        assert happy(spool) == [11, 12, 14]
        assert spool.depth() == 3
        assert spool.oldest().visits["happiness"] == 11


def test_empty_spool_has_nothing(path):
    """No message, no oldest, depth zero."""
    with opened(path, MANY) as spool:
        assert (spool.waiting(0, 9), spool.depth(), spool.oldest()) == ([], 0, None)
        spool.delete([7])


def test_fewer_than_k_wait_until_they_are_k(path):
    """Two, one and two visits of three windows leave as five of one; the next windows stand for themselves, where the
    rhythm is a minute."""
    with opened(path, MANY, release_s=60.0) as spool:
        for minute, number in enumerate((2, 1, 2, 0, 6)):
            spool.add(counts(minute, number))
            assert all(sum(message.visits.values()) not in (1, 2, 3, 4) for message in ready(spool))
        sent = ready(spool)
    assert [(message.visits["happiness"], message.merged) for message in sent] == [(5, 3), (0, 1), (6, 1)]
    assert (sent[0].start, sent[0].end) == (counts(0).start, counts(2).end)
    assert sent[1].start == counts(3).start


def test_empty_windows_are_sent_while_nothing_is_held(path):
    """Zero is not absence. While a visit is held, empty windows wait with it: alone they would tell its minute."""
    with opened(path, MANY, release_s=60.0) as spool:
        for minute, number in enumerate((0, 0, 1, 0, 0, 4)):
            spool.add(counts(minute, number))
        assert [(message.visits["happiness"], message.merged) for message in ready(spool)] == [(0, 1), (0, 1), (5, 4)]


@pytest.mark.parametrize(("visits", "left"), [((2, 3), [5]), ((0, 0), [0]), ((2, 2), [])])
def test_at_the_end_of_a_file_what_is_held_leaves_if_it_may(path, visits, left):
    """No window follows, and none or k visits together are nobody's."""
    with opened(path, MANY) as spool:
        for minute, number in enumerate(visits):
            spool.add(counts(minute, number))
        assert ready(spool) == []
        spool.release()
        spool.release()
        assert [message.visits["happiness"] for message in ready(spool)] == left


def test_what_is_held_survives_a_restart(path):
    """Held visits go out under the next boot, each once, and never on their own."""
    with opened(path, MANY) as spool:
        spool.add(counts(0, 9, boot="a" * 16))
        spool.add(counts(1, 3, boot="a" * 16))
        assert happy(spool) == [9]
    with opened(path, MANY) as spool:
        assert happy(spool) == [9]
        spool.add(counts(14, 2, boot="b" * 16))
        sent = ready(spool)
    assert [(message.boot, message.seq, message.visits["happiness"]) for message in sent] == [
        ("a" * 16, 0, 9),
        ("b" * 16, 0, 5),
    ]
    assert (sent[1].start, sent[1].merged, sent[1].coverage) == (counts(1).start, 2, 0.1429)


def test_seq_counts_from_zero_without_holes(path):
    """Held windows use up no number, so a hole at the collector is a loss."""
    chance = random.Random(3)
    with opened(path, MANY) as spool:
        for minute in range(200):
            spool.add(counts(minute, chance.choice((0, 1, 2, 7))))
        assert [message.seq for message in ready(spool)] == list(range(spool.depth()))


def test_visits_in_are_visits_out(path):
    """Over 500 windows and 20 restarts no visit is lost or doubled, and none leaves among fewer than k."""
    chance, given = random.Random(8), 0
    for boot in range(20):
        with opened(path, MANY) as spool:
            for minute in range(25):
                visits = chance.choice((0, 0, 1, 2, 6))
                given += visits
                spool.add(counts(25 * boot + minute, visits, boot=f"{boot:016x}"))
    with opened(path, MANY) as spool:
        spool.add(counts(999, 5))
        assert sum(happy(spool)) == given + 5
        assert all(number == 0 or number >= 5 for number in happy(spool))
        keys = [message.key for message in ready(spool)]
    assert len(set(keys)) == len(keys)


def test_k_of_one_holds_nothing(path):
    """A demonstration sees each window at once."""
    with opened(path, MANY) as spool:
        for minute, number in enumerate((1, 0, 3)):
            spool.add(counts(minute, number, privacy=Privacy(k=1)))
        assert happy(spool) == [1, 0, 3]


def test_full_spool_drops_the_oldest_and_counts(path):
    """With room for ten windows, of twenty-five the first fifteen are gone, counted and said."""
    with lines_of("edge.delivery.spool") as said, opened(path, 10) as spool:
        for minute in range(25):
            spool.add(counts(minute, 10 + minute))
        assert happy(spool) == list(range(25, 35))
        assert spool.dropped == 15
    assert said == [f"event=spool_full dropped_since_start={number}" for number in (1, 2, 4, 8)]


def test_smaller_bound_after_a_restart(path):
    """A bound that was lowered drops at once what is too much."""
    with opened(path, 10) as spool:
        for minute in range(8):
            spool.add(counts(minute, 10 + minute))
    with opened(path, 3) as spool:
        spool.add(counts(8, 18))
        assert (happy(spool), spool.dropped) == ([16, 17, 18], 6)


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be looked at" * 40, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_file_that_is_no_spool_is_set_aside(path, content):
    """The daemon goes on with a new spool, the old bytes are kept beside it, and the log says so."""
    path.parent.mkdir()
    path.write_bytes(content)
    with lines_of("edge.delivery.spool") as said, opened(path, MANY) as spool:
        spool.add(counts(0, 6))
        assert happy(spool) == [6]
    assert path.with_name("spool.sqlite.corrupt").read_bytes() == content
    assert said[0].startswith("event=spool_corrupt ")
    with opened(path, MANY) as spool:
        assert happy(spool) == [6]


def test_damaged_page_is_noticed(path):
    """A card that rotted in the middle of the file: set aside, not read as counts."""
    with opened(path, MANY) as spool:
        for minute in range(200):
            spool.add(counts(minute, 6))
    damaged = bytearray(path.read_bytes())
    damaged[8192:16384] = random.Random(1).randbytes(8192)
    path.write_bytes(damaged)
    with opened(path, MANY) as spool:
        assert spool.depth() == 0
    assert path.with_name("spool.sqlite.corrupt").is_file()


def test_held_window_that_is_no_message_is_set_aside(path):
    """What cannot be joined must not end in a crash at every window."""
    with opened(path, MANY) as spool:
        spool.add(counts(0, 2))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE held SET payload = ?", (b"{}",))
    with opened(path, MANY) as spool:
        spool.add(counts(1, 6))
        assert happy(spool) == [6]


def test_ready_message_that_rotted_is_a_spool_error(path):
    """Health looks at the oldest message; a bad one is said there, and ends nothing."""
    with opened(path, MANY) as spool:
        spool.add(counts(0, 6))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE ready SET payload = ?", (b"{}",))
        with pytest.raises(SpoolCorrupt):
            spool.oldest()


def test_folder_where_nothing_can_be_written_is_no_corrupt_spool(tmp_path):
    """A path that cannot be a file stops the start with its name; nothing is moved about."""
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "spool.sqlite", tmp_path):
        with pytest.raises(SpoolError, match=str(path)), opened(path, MANY):
            pass
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_spool_that_another_process_holds_is_not_set_aside(path):
    """Somebody who has locked the file makes an add fail; the next succeeds, with the seq that was not used."""
    with opened(path, MANY) as spool:
        spool.add(counts(0, 6))
        spool._database.execute("PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(SpoolError, match="locked"):
                spool.add(counts(1, 7))
            other.execute("ROLLBACK")
        spool.add(counts(1, 7))
        assert [message.seq for message in ready(spool)] == [0, 1]


def test_two_readers_see_one_spool(path):
    """``check`` looks into the spool of a daemon that runs, and moves nothing."""
    with opened(path, MANY) as spool:
        spool.add(counts(0, 6))
        with opened(path, MANY) as second:
            assert second.depth() == 1
        spool.add(counts(1, 7))
        assert happy(spool) == [6, 7]


def test_commit_waits_for_the_disk(path):
    """WAL with synchronous FULL: what was added is on disk when `add` returns."""
    with opened(path, MANY) as spool:
        assert spool._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert spool._database.execute("PRAGMA synchronous").fetchone() == (2,)


ADDS_FOR_EVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.support.fakes import counts
from edge.delivery.spool import opened
first, boot = int(sys.argv[3]), sys.argv[4]
with opened(Path(sys.argv[1]), 10**6) as spool:
    for minute in range(first, 10**6):
        spool.add(counts(minute, minute % 4, boot=boot))
        print(minute, flush=True)
"""


def adds_until_killed(path, first, boot, lines):
    """A process adds windows from minute ``first`` on until it is killed -> the last it said it had added."""
    command = [sys.executable, "-c", ADDS_FOR_EVER, path, ROOT, str(first), f"{boot:016x}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.readlines()
    return max(int(line) for line in said if line.endswith("\n"))


def test_killed_process_loses_no_finished_window(path):
    """SIGKILL at five random moments: every window that was taken is there, once, and so are the held visits."""
    chance, added, perhaps, first = random.Random(9), [], [], 0
    for boot in range(5):
        last = adds_until_killed(path, first, boot, chance.randrange(1, 120))
        added += range(first, last + 1)
        perhaps.append(last + 1)  # the one that was being added may be there or not
        first = last + 2
    with opened(path, MANY) as spool:
        spool.add(counts(first, 5, boot="f" * 16))
        messages = ready(spool)
    assert 0 <= sum(each.merged for each in messages) - len(added) - 1 <= len(perhaps)
    assert 0 <= sum(happy_in(messages)) - sum(minute % 4 for minute in added) - 5 <= sum(each % 4 for each in perhaps)
    assert not path.with_name("spool.sqlite.corrupt").exists()
    for boot in range(5):
        numbers = [each.seq for each in messages if each.boot == f"{boot:016x}"]
        assert numbers == list(range(len(numbers)))


def test_a_spool_is_bounded_in_bytes(path):
    """With room for 60 kB some of 400 windows are kept, the newest of them, and the others are counted."""
    with opened(path, MANY, 60_000) as spool:
        for minute in range(400):
            spool.add(counts(minute, 10 + minute))
        kept = happy(spool)
        assert 20 < len(kept) < 300
        assert kept == list(range(410 - len(kept), 410))
        assert spool.dropped == 400 - len(kept)


def test_a_held_window_of_another_version_is_dropped_and_the_rest_kept(path):
    """One row that cannot be read costs that row."""
    with opened(path, MANY) as spool:
        spool.add(counts(0, 9))
        spool.add(counts(1, 2))
    with sqlite3.connect(path) as database:
        database.execute("""UPDATE held SET payload = '{"schema":7}'""")
    database.close()
    with lines_of("edge.delivery.spool") as said, opened(path, MANY) as spool:
        assert happy(spool) == [9]
    assert said[0].startswith("event=held_unreadable")
