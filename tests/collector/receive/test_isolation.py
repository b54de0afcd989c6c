"""Messages of one device and one damaged file do not affect other devices and files.

Messages go into the real intake and store, without a broker.
"""

import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzzing.hostile_device import play
from collector.devices.registry import DeviceRegistry, read_devices, read_refused
from collector.receive.admission import MAX_OUT_OF_RANGE_DATES
from collector.receive.dead_letters import LETTERS_PER_HOUR, DeadLetters
from collector.receive.intake import Intake, ReceivedMessage
from collector.settings import Limits
from collector.store.load import labels, load
from collector.store.rows import header
from collector.store.writer import StoreWriter
from contract.errors import BadMessage
from contract.labels import labelset
from contract.message import BundleIdentity, Counts, Model, Models, Status, encode
from contract.topics import topic
from tests.support.device_models import bundle
from tests.support.store import START, put, window

NOW = START + timedelta(days=1)
PAIRS = [(("l604d", "m"), ("l6943", "m")), (("a", "bedfz"), ("a", "c", "d2c7f0z"))]
"""Label sets whose hashes have the same first 32 bits, found by search."""


def received(message: Counts) -> ReceivedMessage:
    return ReceivedMessage(topic(message.site, message.device, "counts"), encode(message))


class Collector:
    """An intake and its store, opened anew for each group as after a restart; ``now`` is the machine's clock."""

    def __init__(self, root: Path, now: datetime = NOW, **limits: Any) -> None:
        self.root, self.now, self.limits = root, now, Limits(**limits)
        self.monotonic_s = 0.0

    def process(self, *messages: ReceivedMessage) -> tuple[int, int]:
        """Process a group; return the number of rows stored and of messages set aside."""
        with StoreWriter(self.root, "w") as store:
            intake = Intake(
                store, DeviceRegistry(self.root), DeadLetters(self.root, 2**20), self.limits, lambda: self.monotonic_s
            )
            intake.process(messages, self.now)
            intake.save_devices()
        return intake.totals.rows, intake.totals.set_aside

    def refused(self, device: str = "door") -> dict[str, int]:
        return {each.device: each.refused for each in read_devices(self.root)}.get(device, {})


def counted(names: tuple[str, ...], seq: int, **of: Any) -> Counts:
    """Return a window with seven visits of the first label and one of each other."""
    return window(seq, {names[0]: 7} | dict.fromkeys((*names[1:], "unknown"), 1), **of)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_label_sets_with_one_short_hash_have_files_of_their_own(
    tmp_path: Path, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    """Label sets that collide in 32 bits get separate files, in one group and over restarts."""
    digits = [labelset((*names, "unknown")) for names in (one, other)]
    assert digits[0][:8] == digits[1][:8] and digits[0] != digits[1]
    assert put(tmp_path, counted(one, 1), counted(other, 2)) == [True, True]
    assert put(tmp_path, counted(one, 1), counted(other, 2), counted(other, 3)) == [False, False, True]
    frame = load(tmp_path).set_index("seq")
    assert frame.loc[1, one[0]] == 7 and frame.loc[2, other[-1]] == 1
    assert frame.loc[1, [name for name in labels(frame) if name not in (*one, "unknown")]].isna().all()
    assert frame.loc[2, [name for name in labels(frame) if name not in (*other, "unknown")]].isna().all()


def test_files_named_by_32_bits_are_still_read_and_written(tmp_path: Path) -> None:
    """Files of version 0.1 are continued and their repeats detected; a label set that collides gets a new name."""
    one, other = (("l604d", "m", "unknown"), ("l6943", "m", "unknown"))
    put(tmp_path, counted(one[:2], 1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    old = path.rename(path.with_name(f"counts-{labelset(one)[:8]}-w1.csv"))
    assert put(tmp_path, counted(one[:2], 1), counted(one[:2], 2), counted(other[:2], 3)) == [False, True, True]
    new = old.with_name(f"counts-{labelset(other)}-w1.csv")
    assert sorted(old.parent.iterdir()) == sorted([old, new])
    assert old.read_text().count("\n") == 3 and new.read_text().startswith(header(other))


def test_a_store_that_a_collision_has_damaged_is_read_and_written(tmp_path: Path) -> None:
    """In a file with rows of two label sets, as version 0.1 could write it, the rows that fit the header are read.

    The others are left out and counted, and the store can be written to.
    """
    one, other = PAIRS[1]
    put(tmp_path, counted(one, 1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    with path.open("a") as file:
        file.write(path.read_text().splitlines()[1].replace(",1,2026", ",2,2026") + ",5\n")
    damages: dict[Path, Any] = {}
    assert list(load(tmp_path, on_damage=damages.__setitem__)["seq"]) == [1]
    assert (damages[path].rows, "columns" in damages[path].reason) == (1, True)
    assert put(tmp_path, counted(one, 3), counted(other, 4)) == [True, True]
    assert sorted(load(tmp_path)["seq"]) == [1, 3, 4]


JUNK = [
    b"junk", b"", b"1,2,3", b"\xff\xfe\x00", b'1,shop-1,"door', b",".join([b"x"] * 22), b"\x00" * 50,
]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK)
def test_a_junk_line_does_not_affect_other_rows(tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The collector stores, readers get all other rows, and each reader logs the file and the line once."""
    put(tmp_path, window(1), window(2), window(1, site="shop-2"))
    path = next(tmp_path.glob("date=*/site=shop-1/*.csv"))
    head, first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(head + first + junk + b"\n" + second)
    assert put(tmp_path, window(2), window(3), window(2, site="shop-2")) == [False, True, True]
    caplog.clear()
    assert sorted(load(tmp_path)["seq"]) == [1, 1, 2, 2, 3]
    (warning,) = [text for text in caplog.messages if "left_out" in text]
    assert "shop-1" in warning and "rows=1" in warning and "line 3" in warning


WRONG = {
    "coverage 7": (8, "7.0"), "coverage nan": (8, "nan"), "end before start": (6, "2026-03-28T00:00:00Z"),
    "year 1": (5, "0001-01-01T00:00:00Z"), "seq of another kind": (4, "1x"), "clock": (7, "quartz"),
    "visits below zero": (14, "-5"), "visits beyond all": (15, "1e300"), "merged": (10, "99999999999999999"),
}  # fmt: skip


@pytest.mark.parametrize(("cell", "text"), WRONG.values(), ids=WRONG)
def test_a_row_with_a_value_out_of_bounds_is_left_out(tmp_path: Path, cell: int, text: str) -> None:
    """One cell out of bounds leaves out its row and no other."""
    put(tmp_path, window(1), window(2))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    cells[cell] = text
    path.write_text("\n".join([lines[0], ",".join(cells), lines[2]]) + "\n")
    assert list(load(tmp_path)["seq"]) == [2]


def test_a_file_that_cannot_be_opened_does_not_affect_others(tmp_path: Path) -> None:
    """Where a folder has the name of a file, rows go into a further file, and readers skip the folder."""
    put(tmp_path, window(1), window(1, site="shop-2"))
    path = next(tmp_path.glob("date=*/site=shop-1/*.csv"))
    path.unlink()
    path.mkdir()
    assert put(tmp_path, window(2)) == [True]
    assert sorted(load(tmp_path)["seq"]) == [1, 2]


def test_the_label_sets_of_a_device_are_limited(tmp_path: Path) -> None:
    """Of 250 label sets of one device 8 are stored, also over restarts; other devices keep their own limit."""
    collector = Collector(tmp_path)
    sets = [(f"a{number}", "b") for number in range(250)]
    messages = [received(counted(names, number)) for number, names in enumerate(sets)]
    assert collector.process(*messages[:125]) == (8, 117)
    assert collector.process(*messages[125:]) == (0, 125)
    assert collector.refused() == {"models": 242}
    assert collector.process(received(counted(("c", "d"), 1, device="till"))) == (1, 0)
    names = Models(detector="f@0", expression="another@0123456789ab")
    assert collector.process(received(counted(("a0", "b"), 251, model=names))) == (0, 1), (
        "another classifier counts as well"
    )
    later = Collector(tmp_path, NOW + timedelta(days=91))
    assert later.process(received(counted(("e", "f"), 252, start=later.now - timedelta(minutes=1)))) == (1, 0)


def test_windows_outside_the_time_limits_are_set_aside(tmp_path: Path) -> None:
    """Windows from 400 days back to 2 days ahead are stored; others become dead letters with the reason."""
    collector = Collector(tmp_path)
    days = {-20_000: 0, -401: 0, -399: 1, 0: 1, 1: 1, 3: 0, 63_000: 0}
    messages = [received(window(at, start=NOW + timedelta(days=day))) for at, day in enumerate(days)]
    assert collector.process(*messages) == (sum(days.values()), 4)
    assert collector.refused() == {"dates": 4}
    assert "limits allow 400 days back and 2 ahead" in (tmp_path / "dead-letters.jsonl").read_text()
    assert len(list(tmp_path.glob("date=*"))) == 3


def test_a_clock_that_was_never_set_may_use_a_few_dates(tmp_path: Path) -> None:
    """A device without a clock starts in 1970 at each boot and is stored; the number of its folders is bounded."""
    collector = Collector(tmp_path)
    begin = datetime(1970, 1, 1, tzinfo=timezone.utc)
    first = [received(window(at, start=begin, clock="unsynced", boot=f"{at:016x}")) for at in range(50)]
    assert collector.process(*first) == (50, 0)
    wild = [received(window(at, start=begin + timedelta(days=at), clock="unsynced")) for at in range(2000)]
    stored = sum(collector.process(*wild[at : at + 500])[0] for at in range(0, 2000, 500))
    assert stored == MAX_OUT_OF_RANGE_DATES == len(list(tmp_path.glob("date=*")))


def test_windows_are_stored_if_the_collectors_clock_is_wrong(tmp_path: Path) -> None:
    """If two devices contradict a collector's clock that is ten days behind, their windows are stored on a few dates.

    One device is not enough, nor are two against three.
    """
    collector = Collector(tmp_path, NOW - timedelta(days=10))
    own = [received(window(at, device="a")) for at in range(3)]
    assert collector.process(*own) == (0, 3)
    two = [received(window(at, device=device)) for at in range(20) for device in ("b", "c")]
    assert collector.process(*two) == (39, 1), "stored from the second device on"
    others = [received(window(1, device=device, start=collector.now)) for device in ("d", "e", "f")]
    assert collector.process(*others, *two) == (3, 40)


def test_the_devices_of_a_site_are_limited(tmp_path: Path) -> None:
    """Invented device names of one site do not use up the limit of another site."""
    collector = Collector(tmp_path, devices_per_site=5)
    messages = [received(window(1, device=f"d{number}")) for number in range(20)]
    assert collector.process(*messages) == (5, 15)
    assert collector.process(received(window(1, site="shop-2"))) == (1, 0)
    assert read_refused(tmp_path) == {"devices": 15}


def test_messages_and_bytes_of_a_device_are_limited_per_day(tmp_path: Path) -> None:
    """Messages beyond a day's worth are set aside until the bucket refills; other devices are not affected."""
    collector = Collector(tmp_path, messages_per_day=1000)
    with StoreWriter(tmp_path, "w") as store:
        monotonic_s = [0.0]
        intake = Intake(
            store, DeviceRegistry(tmp_path), DeadLetters(tmp_path, 2**20), collector.limits, lambda: monotonic_s[0]
        )
        intake.process([received(window(at)) for at in range(1100)], NOW)
        assert (intake.totals.rows, intake.totals.set_aside) == (1000, 100)
        intake.process([received(window(1, device="till"))], NOW)
        monotonic_s[0] = 8640.0
        intake.process([received(window(2000 + at, start=START)) for at in range(200)], NOW)
        assert (intake.totals.rows, intake.totals.set_aside) == (1101, 200)
    small = Collector(tmp_path / "b", mb_per_day=0.01)
    rows, refused = small.process(*(received(window(at)) for at in range(40)))
    assert rows < 30 and rows + refused == 40
    assert small.refused() == {"bytes": refused}


def test_a_flood_leaves_room_for_other_dead_letters_and_few_log_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """5,000 bad messages of one device leave `LETTERS_PER_HOUR` dead letters, one log line, and a full count.

    The dead letter of another device is kept. A status that changes all the time causes one log line a minute.
    """
    caplog.set_level(logging.INFO)
    counts_topic = topic("shop-1", "door", "counts")
    collector = Collector(tmp_path)
    with StoreWriter(tmp_path, "w") as store:
        intake = Intake(store, DeviceRegistry(tmp_path), DeadLetters(tmp_path, 2**20))
        for _ in range(50):
            intake.process([ReceivedMessage(counts_topic, b"{}")] * 100, NOW)
        intake.process([ReceivedMessage(topic("shop-2", "till", "counts"), b"{}")], NOW)
        statuses = [encode(Status(schema=1, state=state, boot="0" * 16)) for state in ("online", "offline")]  # type: ignore[arg-type]
        intake.process([ReceivedMessage(topic("shop-1", "door", "status"), each) for each in statuses * 500], NOW)
        intake.save_devices()
    letters = (tmp_path / "dead-letters.jsonl").read_text().splitlines()
    assert len(letters) == LETTERS_PER_HOUR + 1
    assert "shop-2/till" in letters[-1]
    assert len([text for text in caplog.messages if "set_aside" in text]) == 1
    assert len([text for text in caplog.messages if "event=device" in text]) == 1
    assert collector.refused() == {"malformed": 5000}
    assert collector.refused("till") == {"malformed": 1}


def test_a_long_model_name_is_refused(tmp_path: Path) -> None:
    """A model name of more than 200 characters cannot be a row."""
    with StoreWriter(tmp_path, "w") as store, pytest.raises(BadMessage, match="at most 200"):
        store.add(window(1, model=Models(detector="f", expression="x" * 201)))


def test_false_model_messages_do_not_change_other_devices(tmp_path: Path) -> None:
    """A hundred messages about another device's classifier leave that device's confusion matrix as it was."""
    collector = Collector(tmp_path)

    def model_message(device: str, right: int, number: int) -> ReceivedMessage:
        message = Model(schema=1, detector=BundleIdentity(name="f", sha256="0" * 64), expression=bundle(number, right))
        return ReceivedMessage(topic("shop-1", device, "model"), encode(message))

    collector.process(
        model_message("door", 9, 1),
        *(model_message("liar", at % 9, at) for at in range(100)),
        model_message("liar", 1, 1),
    )
    before = {each.device: each for each in read_devices(tmp_path)}["door"]
    assert before.model is not None and before.model.expression == bundle(1, 9)
    assert before.bundles == ()


def test_a_hostile_device_does_not_affect_good_ones(tmp_path: Path) -> None:
    """240 hostile messages of all kinds, with restarts, lose no window of the other devices.

    The number of folders and files stays small.
    """
    outcome = play(tmp_path, messages=240, restarts=3)
    assert (outcome.good, outcome.lost, outcome.matrices_kept) == (2160, 0, True)
    assert outcome.folders < 40 and outcome.files < 50
