"""What one device sends, and one damaged file, change nothing for the others (the collector's half of the bounds).

Messages go into the real intake and store; no broker is needed for what a message can do.
"""

import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.hostile import play
from collector.devices.registry import Devices, read_devices, read_refused
from collector.receive.admission import STRAY_DATES
from collector.receive.dead_letters import LETTERS_PER_HOUR, DeadLetters
from collector.receive.intake import Arrival, Intake
from collector.settings import Limits
from collector.store.load import labels, load
from collector.store.rows import header
from collector.store.writer import Store
from contract.errors import BadMessage
from contract.labels import labelset
from contract.message import Bundle, Counts, Model, Models, Status, encode
from contract.topics import topic
from tests.support.device_models import bundle
from tests.support.store import START, put, window

NOW = START + timedelta(days=1)
PAIRS = [(("l604d", "m"), ("l6943", "m")), (("a", "bedfz"), ("a", "c", "d2c7f0z"))]
"""Label sets whose hashes begin with the same 32 bits; found by search."""


def arrival(message: Counts) -> Arrival:
    return Arrival(topic(message.site, message.device, "counts"), encode(message))


class Collector:
    """An intake with its store, opened anew for each group, as after a restart; ``now`` is the machine's clock."""

    def __init__(self, root: Path, now: datetime = NOW, **limits: Any) -> None:
        self.root, self.now, self.limits = root, now, Limits(**limits)
        self.monotonic_s = 0.0

    def take(self, *arrivals: Arrival) -> tuple[int, int]:
        """Rows stored, and messages set aside."""
        with Store(self.root, "w") as store:
            intake = Intake(
                store, Devices(self.root), DeadLetters(self.root, 2**20), self.limits, lambda: self.monotonic_s
            )
            intake.take(arrivals, self.now)
            intake.save_devices()
        return intake.taken.rows, intake.taken.set_aside

    def refused(self, device: str = "door") -> dict[str, int]:
        return {each.device: each.refused for each in read_devices(self.root)}.get(device, {})


def counted(names: tuple[str, ...], seq: int, **of: Any) -> Counts:
    """A window of these labels, one visit of each, another number of the first."""
    return window(seq, {names[0]: 7} | dict.fromkeys((*names[1:], "unknown"), 1), **of)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_label_sets_with_one_short_hash_have_files_of_their_own(
    tmp_path: Path, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    """Two sets whose 32 bits collide, in one group and over restarts: no value is under another's label."""
    digits = [labelset((*names, "unknown")) for names in (one, other)]
    assert digits[0][:8] == digits[1][:8] and digits[0] != digits[1]
    assert put(tmp_path, counted(one, 1), counted(other, 2)) == [True, True]
    assert put(tmp_path, counted(one, 1), counted(other, 2), counted(other, 3)) == [False, False, True]
    frame = load(tmp_path).set_index("seq")
    assert frame.loc[1, one[0]] == 7 and frame.loc[2, other[-1]] == 1
    assert frame.loc[1, [name for name in labels(frame) if name not in (*one, "unknown")]].isna().all()
    assert frame.loc[2, [name for name in labels(frame) if name not in (*other, "unknown")]].isna().all()


def test_files_named_by_32_bits_are_still_read_and_written(tmp_path: Path) -> None:
    """A store of version 0.1 goes on in its files, and knows their repeats; a set that collides gets a new name."""
    one, other = (("l604d", "m", "unknown"), ("l6943", "m", "unknown"))
    put(tmp_path, counted(one[:2], 1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    old = path.rename(path.with_name(f"counts-{labelset(one)[:8]}-w1.csv"))
    assert put(tmp_path, counted(one[:2], 1), counted(one[:2], 2), counted(other[:2], 3)) == [False, True, True]
    new = old.with_name(f"counts-{labelset(other)}-w1.csv")
    assert sorted(old.parent.iterdir()) == sorted([old, new])
    assert old.read_text().count("\n") == 3 and new.read_text().startswith(header(other))


def test_a_store_that_a_collision_has_damaged_is_read_and_written(tmp_path: Path) -> None:
    """A file of two label sets of another length, as collectors of before wrote it: rows that fit the header are read,
    the others are left out and counted, and restarts go on.
    """
    one, other = PAIRS[1]
    put(tmp_path, counted(one, 1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    with path.open("a") as file:
        file.write(path.read_text().splitlines()[1].replace(",1,2026", ",2,2026") + ",5\n")
    noted: dict[Path, Any] = {}
    assert list(load(tmp_path, noted=noted.__setitem__)["seq"]) == [1]
    assert (noted[path].rows, "columns" in noted[path].reason) == (1, True)
    assert put(tmp_path, counted(one, 3), counted(other, 4)) == [True, True]
    assert sorted(load(tmp_path)["seq"]) == [1, 3, 4]


JUNK = [
    b"junk", b"", b"1,2,3", b"\xff\xfe\x00", b'1,shop-1,"door', b",".join([b"x"] * 22), b"\x00" * 50,
]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK)
def test_a_junk_line_stops_nobody(tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """In one file: the collector starts and stores, the other rows of the file and other files are read, and the log
    names file and line once a reader.
    """
    put(tmp_path, window(1), window(2), window(1, site="shop-2"))
    path = next(tmp_path.glob("date=*/site=shop-1/*.csv"))
    head, first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + first + junk + b"\n" + second)
    assert put(tmp_path, window(2), window(3), window(2, site="shop-2")) == [False, True, True]
    caplog.clear()
    assert sorted(load(tmp_path)["seq"]) == [1, 1, 2, 2, 3]
    (said,) = [text for text in caplog.messages if "left_out" in text]
    assert "shop-1" in said and "rows=1" in said and "line 3" in said


WRONG = {
    "coverage 7": (8, "7.0"), "coverage nan": (8, "nan"), "end before start": (6, "2026-03-28T00:00:00Z"),
    "year 1": (5, "0001-01-01T00:00:00Z"), "seq of another kind": (4, "1x"), "clock": (7, "quartz"),
    "visits below zero": (14, "-5"), "visits beyond all": (15, "1e300"), "merged": (10, "99999999999999999"),
}  # fmt: skip


@pytest.mark.parametrize(("cell", "text"), WRONG.values(), ids=WRONG)
def test_a_row_that_no_collector_writes_is_left_out(tmp_path: Path, cell: int, text: str) -> None:
    """One cell of one row is out of bounds: that row alone is missing."""
    put(tmp_path, window(1), window(2))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    cells[cell] = text
    path.write_text("\n".join([lines[0], ",".join(cells), lines[2]]) + "\n")
    assert list(load(tmp_path)["seq"]) == [2]


def test_a_file_that_cannot_be_opened_stops_nobody(tmp_path: Path) -> None:
    """A folder with the name of a file: its rows get a neighbour, and readers go on."""
    put(tmp_path, window(1), window(1, site="shop-2"))
    path = next(tmp_path.glob("date=*/site=shop-1/*.csv"))
    path.unlink()
    path.mkdir()
    assert put(tmp_path, window(2)) == [True]
    assert sorted(load(tmp_path)["seq"]) == [1, 2]


def test_a_device_has_so_many_label_sets_and_no_more(tmp_path: Path) -> None:
    """Of 250 label sets of one device 8 are stored, over restarts too; another device's new set is."""
    collector = Collector(tmp_path)
    sets = [(f"a{number}", "b") for number in range(250)]
    messages = [arrival(counted(names, number)) for number, names in enumerate(sets)]
    assert collector.take(*messages[:125]) == (8, 117)
    assert collector.take(*messages[125:]) == (0, 125)
    assert collector.refused() == {"models": 242}
    assert collector.take(arrival(counted(("c", "d"), 1, device="till"))) == (1, 0)
    names = Models(detector="f@0", expression="another@0123456789ab")
    assert collector.take(arrival(counted(("a0", "b"), 251, model=names))) == (0, 1), "a classifier is one as well"
    later = Collector(tmp_path, NOW + timedelta(days=91))
    assert later.take(arrival(counted(("e", "f"), 252, start=later.now - timedelta(minutes=1)))) == (1, 0)


def test_windows_of_another_time_are_set_aside(tmp_path: Path) -> None:
    """From 400 days back to 2 days ahead; beyond, the message is a dead letter that says so."""
    collector = Collector(tmp_path)
    days = {-20_000: 0, -401: 0, -399: 1, 0: 1, 1: 1, 3: 0, 63_000: 0}
    messages = [arrival(window(at, start=NOW + timedelta(days=day))) for at, day in enumerate(days)]
    assert collector.take(*messages) == (sum(days.values()), 4)
    assert collector.refused() == {"dates": 4}
    assert "limits allow 400 days back and 2 ahead" in (tmp_path / "dead-letters.jsonl").read_text()
    assert len(list(tmp_path.glob("date=*"))) == 3


def test_a_clock_that_was_never_set_may_use_some_dates(tmp_path: Path) -> None:
    """A device without a clock begins in 1970 at each start: that is stored. It cannot make folders without end."""
    collector = Collector(tmp_path)
    begin = datetime(1970, 1, 1, tzinfo=timezone.utc)
    first = [arrival(window(at, start=begin, clock="unsynced", boot=f"{at:016x}")) for at in range(50)]
    assert collector.take(*first) == (50, 0)
    wild = [arrival(window(at, start=begin + timedelta(days=at), clock="unsynced")) for at in range(2000)]
    stored = sum(collector.take(*wild[at : at + 500])[0] for at in range(0, 2000, 500))
    assert stored == STRAY_DATES == len(list(tmp_path.glob("date=*")))


def test_windows_are_not_lost_to_the_collectors_own_clock(tmp_path: Path) -> None:
    """The collector's clock is ten days slow and two devices say so: their windows are stored, on few dates. One device
    alone convinces nobody, nor do two against three.
    """
    collector = Collector(tmp_path, NOW - timedelta(days=10))
    own = [arrival(window(at, device="a")) for at in range(3)]
    assert collector.take(*own) == (0, 3)
    two = [arrival(window(at, device=device)) for at in range(20) for device in ("b", "c")]
    assert collector.take(*two) == (39, 1), "from the second device on"
    others = [arrival(window(1, device=device, start=collector.now)) for device in ("d", "e", "f")]
    assert collector.take(*others, *two) == (3, 40)


def test_a_site_has_so_many_devices_and_others_are_free(tmp_path: Path) -> None:
    """Invented names of one site take no place of another's."""
    collector = Collector(tmp_path, devices_per_site=5)
    messages = [arrival(window(1, device=f"d{number}")) for number in range(20)]
    assert collector.take(*messages) == (5, 15)
    assert collector.take(arrival(window(1, site="shop-2"))) == (1, 0)
    assert read_refused(tmp_path) == {"devices": 15}


def test_one_device_has_so_many_messages_and_bytes_a_day(tmp_path: Path) -> None:
    """Beyond a day's worth they are set aside until some of it has come back; another device notices nothing."""
    collector = Collector(tmp_path, messages_per_day=1000)
    with Store(tmp_path, "w") as store:
        moment = [0.0]
        intake = Intake(store, Devices(tmp_path), DeadLetters(tmp_path, 2**20), collector.limits, lambda: moment[0])
        intake.take([arrival(window(at)) for at in range(1100)], NOW)
        assert (intake.taken.rows, intake.taken.set_aside) == (1000, 100)
        intake.take([arrival(window(1, device="till"))], NOW)
        moment[0] = 8640.0
        intake.take([arrival(window(2000 + at, start=START)) for at in range(200)], NOW)
        assert (intake.taken.rows, intake.taken.set_aside) == (1101, 200)
    small = Collector(tmp_path / "b", mb_per_day=0.01)
    rows, refused = small.take(*(arrival(window(at)) for at in range(40)))
    assert rows < 30 and rows + refused == 40
    assert small.refused() == {"bytes": refused}


def test_dead_letters_of_a_flood_leave_room_and_the_log_is_short(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """5,000 bad messages of one device within a minute: some are kept, all are counted, the log has one line; the
    letter of another device is there. Statuses that change all the time are a line a minute too.
    """
    caplog.set_level(logging.INFO)
    at = topic("shop-1", "door", "counts")
    collector = Collector(tmp_path)
    with Store(tmp_path, "w") as store:
        intake = Intake(store, Devices(tmp_path), DeadLetters(tmp_path, 2**20))
        for _ in range(50):
            intake.take([Arrival(at, b"{}")] * 100, NOW)
        intake.take([Arrival(topic("shop-2", "till", "counts"), b"{}")], NOW)
        told = [encode(Status(schema=1, state=state, boot="0" * 16)) for state in ("online", "offline")]  # type: ignore[arg-type]
        intake.take([Arrival(topic("shop-1", "door", "status"), each) for each in told * 500], NOW)
        intake.save_devices()
    letters = (tmp_path / "dead-letters.jsonl").read_text().splitlines()
    assert len(letters) == LETTERS_PER_HOUR + 1
    assert "shop-2/till" in letters[-1]
    assert len([text for text in caplog.messages if "set_aside" in text]) == 1
    assert len([text for text in caplog.messages if "event=device" in text]) == 1
    assert collector.refused() == {"malformed": 5000}
    assert collector.refused("till") == {"malformed": 1}


def test_a_long_name_of_a_model_is_set_aside(tmp_path: Path) -> None:
    with Store(tmp_path, "w") as store, pytest.raises(BadMessage, match="at most 200"):
        store.add(window(1, model=Models(detector="f", expression="x" * 201)))


def test_false_model_messages_of_a_device_leave_others_models(tmp_path: Path) -> None:
    """A hundred of them, each naming the same file as another device's: its matrix is as it was."""
    collector = Collector(tmp_path)

    def says(device: str, right: int, number: int) -> Arrival:
        told = Model(schema=1, detector=Bundle(name="f", sha256="0" * 64), expression=bundle(number, right))
        return Arrival(topic("shop-1", device, "model"), encode(told))

    collector.take(says("door", 9, 1), *(says("liar", at % 9, at) for at in range(100)), says("liar", 1, 1))
    before = {each.device: each for each in read_devices(tmp_path)}["door"]
    assert before.model is not None and before.model.expression == bundle(1, 9)
    assert before.bundles == ()


def test_good_devices_beside_a_hostile_one(tmp_path: Path) -> None:
    """The short part of `benchmarks.faults.hostile`: 240 messages of all its kinds, with restarts; nothing of
    the others is lost, and folders and files stay few.
    """
    outcome = play(tmp_path, messages=240, restarts=3)
    assert (outcome.good, outcome.lost, outcome.matrices_kept) == (2160, 0, True)
    assert outcome.folders < 40 and outcome.files < 50
