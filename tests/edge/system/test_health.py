"""The figures of the health message, and that measuring them does not leak memory."""

import gc
import os
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.delivery.spool import opened
from edge.system.clock import is_synchronised
from edge.system.health import FIRST_REPORT_S, MAX_TIMES, HealthMonitor, throttled, version, written_mb


@pytest.mark.parametrize(
    ("output", "expected"),
    [("throttled=0x0", False), ("throttled=0x50000", False), ("throttled=0x50005", True), ("throttled=0x8", True)],
)
def test_only_the_firmwares_current_bits_count(output, expected):
    """The upper bits of the firmware's answer tell of the past and are ignored."""
    assert throttled((sys.executable, "-c", f"print({output!r})")) is expected


@pytest.mark.parametrize(
    "command", [("no-such-command",), (sys.executable, "-c", "print('?')"), (sys.executable, "-c", "1/0")]
)
def test_throttling_is_unknown_without_an_answer(command):
    """A missing tool, or one without a usable answer, gives None."""
    assert throttled(command) is None


def test_bytes_written_to_disk_are_counted():
    """Four megabytes forced to the disk raise the figure by four megabytes."""
    before = written_mb()
    with tempfile.TemporaryFile(dir=Path(__file__).parent) as file:  # the default temporary folder may be in memory
        file.write(bytes(4_000_000))
        file.flush()
        os.fsync(file.fileno())
    assert 4.0 <= written_mb() - before < 8.0


@pytest.mark.parametrize("function", [is_synchronised, version])
def test_repeated_calls_leave_no_garbage(function):
    """Functions that are called for every window leave no reference cycles, which would be freed only after hours."""
    function()
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            function()
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_times_of_stages_are_bounded():
    """Between two reports only the last times are kept, however many frames there are."""
    monitor = HealthMonitor()
    for _ in range(3 * MAX_TIMES):
        monitor.add_time("detect", 0.001)
    assert MAX_TIMES // 2 <= len(monitor._times["detect"]) <= MAX_TIMES
    assert list(monitor.latency()) == ["detect"]


def test_latencies_and_frame_rate_are_those_of_the_last_quarter_of_an_hour(tmp_path):
    """A minute with a person in view, in which stages are slower, cannot be told from the health messages.

    Neither by the frames that the daemon was too slow for.
    """
    monitor = HealthMonitor()
    dropped = 0

    def minute(times, frames):
        nonlocal dropped
        dropped += 600 - frames
        monitor._times["track"].extend(times)
        monitor._frames += frames
        for name in ("_last_report", "_period_start"):
            setattr(monitor, name, getattr(monitor, name) - 60)
        with opened(tmp_path / "spool.sqlite", 10) as spool:
            health = monitor.report("0" * 16, spool, "synced", datetime.now(timezone.utc), lambda: dropped, "none")
        return health.latency_ms["track"].p95, health.frames_per_s, health.frames_dropped, health.memory_mb % 1

    first = minute([1.0] * 100, 600)
    reported = [minute([50.0 if number == 7 else 1.0] * 100, 600 if number != 7 else 300) for number in range(14)]
    assert set(reported) == {first}
    assert minute([1.0] * 100, 600) != first


def test_the_first_message_follows_the_first_frames_and_has_no_latencies(tmp_path):
    """It is due once, seconds after the first frame; latencies and the motion gate's figure come with the minute."""
    begin, monitor = time.monotonic(), HealthMonitor()
    assert not monitor.is_first_due()
    for _ in range(50):
        monitor.add_frame()
        monitor.add_time("detect", 0.02)
        monitor.add_motion_decision(wanted=True)
    assert not monitor.is_first_due(), "no seconds have passed"

    def report():
        with opened(tmp_path / "spool.sqlite", 10) as spool:
            return monitor.report("0" * 16, spool, "synced", datetime.now(timezone.utc), lambda: 25, "none")

    for name in ("_first_frame", "_last_report", "_period_start"):
        setattr(monitor, name, getattr(monitor, name) - FIRST_REPORT_S)
    assert monitor.is_first_due()
    first = report()
    assert (first.latency_ms, first.detections_saved, first.frames_dropped) == ({}, None, 0)
    longest = FIRST_REPORT_S + time.monotonic() - begin
    assert 75 / longest - 0.1 <= first.frames_per_s <= 75 / FIRST_REPORT_S + 0.1, "of the camera"
    assert not monitor.is_first_due()
    assert not monitor.is_due()
    for name in ("_last_report", "_period_start"):
        setattr(monitor, name, getattr(monitor, name) - 60)
    assert monitor.is_due()
    assert list(report().latency_ms) == ["detect"]
