"""The benchmark of several instances on one device, and its reference."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage", reason="scikit-image provides the portraits")

from benchmarks.speed import instances
from tests.support.brokers import needs_mosquitto

ROOT = Path(__file__).parents[2]
ROWS = instances.read(ROOT / "benchmarks/reference/instances.csv")


def test_the_documentation_has_the_table_of_the_reference():
    """docs/installer.md contains the table, line by line, and no instance missed frames."""
    assert instances.table(ROWS) in (ROOT / "docs/installer.md").read_text()
    assert [(row.scene, row.instances) for row in ROWS] == [(s, n) for s in ("busy", "empty") for n in (1, 2, 4)]
    assert min(row.coverage for row in ROWS) >= instances.MIN_COVERAGE


def test_memory_is_counted_by_what_maps_it(tmp_path):
    """Own pages grow with what a process allocates; a mapped NumPy file is left out."""
    before = instances.read_memory(os.getpid())
    np.save(tmp_path / "frames.npy", np.ones(20_000_000, np.uint8))
    assert int(np.load(tmp_path / "frames.npy", mmap_mode="r").sum()) == 20_000_000
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, 20_000_000, flags=private) as held:  # an array could lie in pages that were freed before
        held.write(b"1" * len(held))
        after = instances.read_memory(os.getpid())
    assert after.own - before.own > 15
    assert after.of_files - before.of_files < 3
    assert 0 < after.pss <= after.own + after.of_files


@needs_mosquitto
def test_two_instances_count_beside_each_other(tmp_path):
    """The rig runs: two daemons start, and their CPU time and memory are read."""
    instances.write_frames(tmp_path / "empty.npy", instances.empty_frames())
    found = instances.measure(tmp_path / "rig", "empty", tmp_path / "empty.npy", 2, 1.0, warm_up_s=1.0)
    assert found.instances == 2
    assert 0 < found.cores < 4
    assert 20 < found.own_mb < 120
    assert 20 < found.files_mb < 200
    assert found.memory_mb == pytest.approx(2 * found.own_mb + found.files_mb)
