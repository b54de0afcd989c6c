"""Taps and windows are compared over the same time, however windows were joined, and the interval is Wilson's."""

from datetime import datetime, timedelta, timezone

import pytest
from scipy.stats import binomtest

from collector.devices.registry import DeviceRegistry
from collector.language.language import english
from collector.recount import files
from collector.recount.recount import Recount, agreement
from collector.recount.recounts import Recounts, SessionConflict, UnknownDevice
from collector.recount.session import InvalidSession, Session
from collector.sentences.devices import recount_result
from contract.message import Status
from contract.topics import Address
from tests.support.store import SEVEN, put, window

BEGIN = datetime(2026, 3, 28, 10, 15, tzinfo=timezone.utc)
ID, OTHER_ID = "1" * 32, "2" * 32


class Store:
    """A store with one device, at a time that tests set."""

    def __init__(self, root):
        self.root, self.now, self.seq = root, BEGIN, 0
        devices = DeviceRegistry(root)
        devices.record(
            Address("shop-1", "door", "status"), Status(schema=1, state="online", boot="0" * 16), False, BEGIN
        )
        devices.save()
        self.recounts = Recounts(root, lambda: self.now)

    def counted(self, minute, visits, minutes=1, **of):
        """Store a window that begins so many minutes after BEGIN."""
        self.seq += 1
        start = BEGIN + timedelta(minutes=minute)
        counts = dict.fromkeys(SEVEN, 0) | {"happiness": visits}
        put(self.root, window(self.seq, counts, start, end=start + timedelta(minutes=minutes), **of))

    def put(self, session, after_min=0.0, session_id=ID):
        self.now = BEGIN + timedelta(minutes=after_min)
        return self.recounts.put(session_id, session)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def session(*taps_s, start_s=-5.0, minutes=15, finished=True, **of):
    """A session that begins shortly before BEGIN, with taps at seconds after BEGIN."""
    moments = tuple(BEGIN + timedelta(seconds=each) for each in taps_s)
    fields = {
        "site": "shop-1", "device": "door", "start": BEGIN + timedelta(seconds=start_s),
        "end": BEGIN + timedelta(minutes=minutes), "taps": moments, "finished": finished, "revision": 1,
    }  # fmt: skip
    return Session(**(fields | of))


@pytest.mark.parametrize(
    ("windows", "taps", "expected"),
    [
        ([(minute, 1, 1) for minute in range(15)], [60 * minute + 30 for minute in range(15)], (15, 15, 15)),
        ([(0, 14, 15)], [60 * minute + 30 for minute in range(15)], (1, 15, 14)),
        # the first window began before the session, the last ends after it: taps in both are left out
        ([(-5, 9, 10), (5, 6, 8), (13, 3, 15)], [10, 299, 301, 400, 700, 776, 779, 899], (1, 5, 6)),
        # a face that leaves a second before the end of a minute is counted in the next
        ([(minute, 0, 1) for minute in range(14)] + [(14, 1, 1)], [839], (15, 1, 1)),
        ([(minute, 0, 1) for minute in range(15)], [], (15, 0, 0)),
    ],
)
def test_taps_are_compared_with_the_windows_of_the_same_time(store, windows, taps, expected):
    """Only windows within the session count, each with its own taps; joined windows with all taps of their span."""
    store.counted(-20, 8, 15 if windows[0][0] < 0 else 20)
    for minute, visits, minutes in windows:
        store.counted(minute, visits, minutes)
    known = store.put(session(*taps), 30)
    assert known.state == "compared"
    assert (known.result.windows, known.result.by_hand, known.result.counted) == expected
    assert files.read_recounts(store.root) == [known.result]


def test_taps_are_forgotten_once_compared(store):
    """Until the windows have arrived the taps are on disk; then only the two numbers, span, device and time are."""
    assert store.put(session(30, 90, finished=False), 2).state == "running"
    assert store.put(session(30, 90, revision=2), 15.1).state == "waiting"
    assert len(list((store.root / "_recount").iterdir())) == 1
    store.counted(0, 5, 16)
    store.counted(-15, 9, 15)
    store.recounts.compare_due()
    assert [path.name for path in (store.root / "_recount").iterdir()] == []
    store.counted(0, 0, 15)
    assert store.put(session(30, 90, revision=3), 20).state == "compared"
    (path,) = (store.root / "_recount").iterdir()
    text = path.read_text()
    assert text.splitlines()[0] == "site,device,started,start,end,windows,by_hand,counted,compared"
    assert text.splitlines()[1].endswith("2026-03-28T10:15:00Z,2026-03-28T10:30:00Z,1,2,0,2026-03-28T10:35:00Z")
    assert "10:15:30" not in text
    assert store.put(session(30, 90, 100, revision=4), 21).result.by_hand == 2


def test_a_session_waits_for_the_phone_and_for_the_windows(store):
    """Without all taps nothing is compared, and after a day the taps are dropped without a result. Windows that never
    arrive are waited for that long; those that did are compared.
    """
    store.counted(0, 5, 15)
    assert store.put(session(30, finished=False), 16).state == "waiting"
    store.now = BEGIN + timedelta(days=1, minutes=20)
    store.recounts.compare_due()
    assert (files.read_sessions(store.root), files.read_recounts(store.root)) == ({}, [])
    store.now = BEGIN + timedelta(minutes=21)
    longer = session(30, 1000, minutes=20, revision=1)
    assert store.put(longer, 21, OTHER_ID).state == "waiting"
    store.now = BEGIN + timedelta(days=1, minutes=30)
    store.recounts.compare_due()
    (result,) = files.read_recounts(store.root)
    assert (result.by_hand, result.counted) == (1, 5)


def test_old_and_repeated_revisions_change_nothing(store):
    """A late request with fewer taps is ignored; an undone tap is missing in the next revision."""
    store.put(session(10, 20, 30, finished=False, revision=3), 1)
    assert len(store.put(session(10, finished=False, revision=2), 1).session.taps) == 3
    assert len(store.put(session(10, 20, 30, finished=False, revision=3), 1).session.taps) == 3
    assert len(store.put(session(10, 20, finished=False, revision=4), 1).session.taps) == 2


def test_wrong_sessions_are_refused(store):
    """Unknown devices, a second phone, a reused id, wrong times and future taps are refused with the reason."""
    store.put(session(finished=False), 1)
    with pytest.raises(SessionConflict, match="another phone counts at shop-1/door from"):
        store.put(session(start_s=60, finished=False), 1, OTHER_ID)
    with pytest.raises(SessionConflict, match="this id is that of a session of shop-1/door"):
        store.put(session(start_s=1, revision=2), 1)
    with pytest.raises(UnknownDevice, match="shop-1/back is not a device"):
        store.put(session(device="back"), 1, OTHER_ID)
    for wrong, message in (
        (session(75, revision=2), "taps: must not be in the future"),
        (session(-6, revision=2), "taps: must be from .* to .*, one is"),
        (session(minutes=-1, revision=2), "end: must be after start"),
        (session(minutes=121, revision=2), "end: must be after start and at most 2:00:00 later"),
        (session(start_s=-90_000, revision=2), "start: must be at most 1 day"),
        (session(start_s=3700, minutes=90, revision=2), "start: must be at most 1 day"),
    ):
        with pytest.raises(InvalidSession, match=message):
            store.put(wrong, 1)


@pytest.mark.parametrize(("by_hand", "counted"), [(62, 60), (62, 62), (10, 0), (1, 1), (400, 398), (60, 62), (5, 9)])
def test_the_interval_is_wilsons(by_hand, counted):
    """The interval is that of scipy; where more were counted it is that of the inverse ratio."""
    found = agreement(by_hand, counted)
    fewer, more = sorted((by_hand, counted))
    expected = binomtest(fewer, more).proportion_ci(method="wilson")
    if counted > by_hand:
        assert (found.low, found.high) == pytest.approx((1 / expected.high, 1 / expected.low))
    else:
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.low <= found.ratio == counted / by_hand <= found.high


def test_the_sentence_has_ratio_interval_and_both_numbers():
    """Nobody by hand gives no ratio."""

    def sentence(by_hand, counted):
        span = {"started": BEGIN, "start": BEGIN, "end": BEGIN, "compared": BEGIN, "windows": 1}
        recount = Recount(site="a", device="b", by_hand=by_hand, counted=counted, **span)
        return recount_result(recount, english())

    assert sentence(62, 60) == "97 % (89 to 99), 62 visits by hand, 60 counted"
    assert sentence(60, 62) == "103 % (101 to 112), 60 visits by hand, 62 counted"
    assert sentence(0, 3) == "0 visits by hand, 3 counted"
