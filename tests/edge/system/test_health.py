"""What a device says of itself: heat, volts, bytes; and that asking leaves nothing behind, for months."""

import gc
import os
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.delivery.spool import opened
from edge.system.clock import is_synchronised
from edge.system.health import MAX_TIMES, HealthMonitor, throttled, version, written_mb


@pytest.mark.parametrize(
    ("said", "slowed"),
    [("throttled=0x0", False), ("throttled=0x50000", False), ("throttled=0x50005", True), ("throttled=0x8", True)],
)
def test_what_held_before_does_not_hold_now(said, slowed):
    """The firmware's upper bits are of the past, its lower ones of now."""
    assert throttled((sys.executable, "-c", f"print({said!r})")) is slowed


@pytest.mark.parametrize(
    "command", [("no-such-command",), (sys.executable, "-c", "print('?')"), (sys.executable, "-c", "1/0")]
)
def test_boards_that_do_not_say_are_none(command):
    """No tool, or one that gives no answer."""
    assert throttled(command) is None


def test_what_is_written_to_disk_is_counted():
    """Four megabytes, forced to the disk, are four megabytes more."""
    before = written_mb()
    with tempfile.TemporaryFile(dir=Path(__file__).parent) as file:  # the temporary folder may be in memory
        file.write(bytes(4_000_000))
        file.flush()
        os.fsync(file.fileno())
    assert 4.0 <= written_mb() - before < 8.0


@pytest.mark.parametrize("ask", [is_synchronised, version])
def test_asking_leaves_nothing_to_the_collector(ask):
    """Windows and health ask these again and again; cycles left behind by that would be memory that grows for hours."""
    ask()
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            ask()
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_times_of_stages_are_bounded():
    """However many frames there are between two reports, the last ones count and the rest is let go."""
    watch = HealthMonitor()
    for _ in range(3 * MAX_TIMES):
        with watch.stage("detect"):
            pass
    assert MAX_TIMES // 2 <= len(watch._times["detect"]) <= MAX_TIMES
    assert list(watch.latency()) == ["detect"]


def test_latencies_and_frame_rate_are_those_of_the_last_quarter_of_an_hour(tmp_path):
    """Somebody in view makes stages slower for a minute: that minute does not show in health."""
    watch = HealthMonitor()

    def minute(times, frames):
        watch._times["track"].extend(times)
        watch._frames += frames
        for name in ("_since", "_begun"):
            setattr(watch, name, getattr(watch, name) - 60)
        with opened(tmp_path / "spool.sqlite", 10) as spool:
            health = watch.report("0" * 16, spool, "synced", datetime.now(timezone.utc), lambda: 0, "none")
        return health.latency_ms["track"].p95, health.frames_per_s, health.memory_mb % 1

    first = minute([1.0] * 100, 600)
    told = [minute([50.0 if number == 7 else 1.0] * 100, 600 if number != 7 else 300) for number in range(14)]
    assert set(told) == {first}
    assert minute([1.0] * 100, 600) != first
