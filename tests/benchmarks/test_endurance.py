"""The endurance benchmark reads a process's memory and writes, and computes the slope of memory."""

import os
import re
import time

import pytest

pytest.importorskip("scipy", reason="scipy computes the slope")
pytest.importorskip("skimage", reason="scikit-image provides the portraits")

from benchmarks.speed.endurance import Sample, report, sample


def test_a_leak_is_found_despite_noise_and_warm_up():
    """A leak of 0.5 MB an hour is found under steps of 1 MB, after a warm-up that releases 20 MB."""
    samples = []
    for number in range(1, 1081):
        seconds = 5.0 * number
        warm = 20 * max(0.0, 1 - seconds / 600)
        samples.append(Sample(seconds, 100 + 0.5 * seconds / 3600 + number % 2 - warm, 40_000 * number, 65_536))
    text = report(samples)
    slope, low, high = (float(each) for each in re.findall(r"[+-]\d+\.\d+", text.splitlines()[1]))
    assert low <= 0.5 <= high
    assert slope == pytest.approx(0.5, abs=0.05)
    assert "691.2 MB a day" in text  # 40 kB each five seconds


def test_writes_and_memory_are_read(tmp_path):
    """A sample has the memory of /proc, a synchronised megabyte of the spool, and the size of its files."""
    spool, since = tmp_path / "spool.sqlite", time.monotonic()
    before = sample(os.getpid(), spool, since)
    with spool.open("wb") as file:
        file.write(bytes(range(256)) * 4096)
        file.flush()
        os.fsync(file.fileno())
    (tmp_path / "spool.sqlite-wal").write_bytes(bytes(1000))
    after = sample(os.getpid(), spool, since)
    assert after.spool == 2**20 + 1000
    assert 5 < after.rss_mb < 5000
    if os.major(tmp_path.stat().st_dev):  # on a disk; a tmpfs is never written back
        assert after.written - before.written >= 2**20
