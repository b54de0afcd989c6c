"""Windows recorded before the clock was synchronised are restamped or marked unsynced, exactly once."""

import time
from datetime import timedelta

import pytest

from contract.message import Counts, decode
from edge.delivery.restamp import Restamper
from edge.delivery.spool import opened
from edge.system.clock import MonotonicClock
from edge.values import Window
from tests.support.fakes import BEGIN, counts, lines_of

WRONG = timedelta(days=-20_000)
"""A device without a battery-backed clock starts around 1970."""


class Device:
    """One start of the daemon with simulated monotonic seconds and a wall clock that may be wrong."""

    def __init__(self, spool, kernel="k1", begin=0.0, hold_s=3600.0, boot="1" * 16):
        self.spool, self.seconds, self.synced, self.jump, self.boot = spool, begin, False, WRONG, boot
        device = self

        class Clock(MonotonicClock):
            state = property(lambda _: "synced" if device.synced else "unsynced")

        self.clock = Clock(lambda: self.seconds, lambda: BEGIN + timedelta(seconds=self.seconds) + self.jump)
        self.restamper = Restamper(self.message, self.clock, kernel, hold_s, lambda: self.seconds)

    def message(self, window):
        start = self.clock.utc(window.start)
        end = self.clock.utc(window.end)
        return counts(0, window.visits["happiness"], start=start, end=end, clock=self.clock.state, boot=self.boot)

    def minute(self, happy=7):
        """Add a window of a minute that ends now."""
        self.seconds += 60
        visits = {"happiness": happy, "neutral": 0, "unknown": 0}
        self.restamper.add(Window(self.seconds - 60, self.seconds, visits, 1.0, ()), self.spool)

    def sync(self):
        self.synced, self.jump = True, timedelta(0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.sqlite"


def ready(spool):
    return [decode(payload, Counts) for _, payload in spool.waiting(0, 1000)]


def times(spool):
    """Start, in minutes after BEGIN, and clock of each ready message."""
    return [((message.start - BEGIN) / timedelta(minutes=1), message.clock) for message in ready(spool)]


def test_windows_wait_for_the_clock_and_get_its_time(path):
    """Windows recorded in 1970 get their true time once the clock is synchronised, and are numbered in order."""
    with opened(path, 1000) as spool, lines_of("edge.delivery.restamp") as logged:
        device = Device(spool)
        for _ in range(3):
            device.minute()
        assert ready(spool) == []
        device.sync()
        device.minute()
        assert times(spool) == [(0, "restamped"), (1, "restamped"), (2, "restamped"), (3, "synced")]
        assert [message.seq for message in ready(spool)] == [0, 1, 2, 3]
    assert logged == ["event=unsynced_windows_released windows=3 synced=True"]


def test_after_the_hold_they_leave_marked(path):
    """Windows older than the hold time leave as ``unsynced`` and are not restamped later."""
    with opened(path, 1000) as spool:
        device = Device(spool)
        for _ in range(120):
            device.minute()
            device.restamper.restamp(spool)
        assert len(ready(spool)) == 60
        device.sync()
        device.restamper.restamp(spool)
        assert [clock for _, clock in times(spool)] == ["unsynced"] * 60 + ["restamped"] * 60
        assert times(spool)[-1] == (119, "restamped")


def test_the_daemon_starts_again_before_the_time_comes(path):
    """After a restart within the same boot of the kernel the windows can still be restamped."""
    with opened(path, 1000) as spool:
        Device(spool).minute()
    with opened(path, 1000) as spool:
        device = Device(spool, begin=300.0, boot="2" * 16)
        device.minute()
        device.sync()
        device.restamper.restamp(spool)
        assert times(spool) == [(0, "restamped"), (5, "restamped")]


def test_after_a_reboot_windows_leave_unsynced(path):
    """After a reboot unsynced windows of the previous boot leave at once, and new ones wait."""
    with opened(path, 1000) as spool:
        Device(spool).minute()
    with opened(path, 1000) as spool:
        device = Device(spool, kernel="k2")
        device.minute()
        device.restamper.restamp(spool)
        assert [clock for _, clock in times(spool)] == ["unsynced"]
        device.sync()
        device.restamper.restamp(spool)
        assert [clock for _, clock in times(spool)] == ["unsynced", "restamped"]


def test_without_a_time_server_nothing_waits(path):
    """With ``unsynced_hold_h = 0`` each window leaves at once as ``unsynced``."""
    with opened(path, 1000) as spool:
        device = Device(spool, hold_s=0.0)
        device.minute()
        assert [clock for _, clock in times(spool)] == ["unsynced"]


@pytest.mark.parametrize("jump", [timedelta(days=365), timedelta(days=-365), timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_jumps_while_it_is_wrong_changes_nothing(path, jump):
    """Jumps of a wrong clock, forward or backward, do not affect restamping."""
    with opened(path, 1000) as spool:
        device = Device(spool)
        for _ in range(2):
            device.minute()
            device.jump += jump
        device.sync()
        device.restamper.restamp(spool)
        assert times(spool) == [(0, "restamped"), (1, "restamped")]


def test_while_windows_wait_only_the_oldest_is_read(path):
    """The check for each frame takes about as long with 2,048 waiting windows as with one."""

    def seconds():
        begin = time.process_time()
        for _ in range(50):
            device.restamper.restamp(spool)
        return time.process_time() - begin

    with opened(path, 10_000) as spool:
        device = Device(spool)
        device.minute()
        one_window = seconds()
        with spool._database as database:
            copy = "INSERT INTO early (boot, start, end, payload) SELECT boot, start, end, payload FROM early"
            for _ in range(11):
                database.execute(copy)
        assert seconds() < 50 * one_window  # and not 2,048 times as long
        assert ready(spool) == []


def test_few_visits_are_joined_after_the_time_is_known(path):
    """Restamped windows below k are joined like others, with their times."""
    with opened(path, 1000, release_s=60.0) as spool:
        device = Device(spool)
        for _ in range(3):
            device.minute(happy=2)
        device.sync()
        device.restamper.restamp(spool)
        (message,) = ready(spool)
        assert (message.visits["happiness"], message.merged, times(spool)[0][0]) == (6, 3, 0)


def test_a_window_of_an_earlier_start_gets_no_number_twice(path):
    """A window of an earlier start is released under the present boot and numbered by it: under its own boot the number
    may have been used, and the collector would drop it as a repeat."""
    with opened(path, 1000) as spool:
        before = Device(spool)
        before.minute(happy=6)
    with opened(path, 1000) as spool:
        after = Device(spool)
        after.restamper.boot, after.restamper.kernel = "b" * 16, "another boot of the kernel"
        after.restamper.restamp(spool)
        assert [(message.boot, message.seq) for message in ready(spool)] == [("b" * 16, 0)]
