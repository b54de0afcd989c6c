"""What the daemon costs on an empty and on a busy scene, as it was counted last on emulated cores."""

from pathlib import Path

import pytest

from benchmarks.speed.scene_instructions import read, table

ROOT = Path(__file__).parents[2]
ROWS = read(ROOT / "benchmarks/reference/instructions_scene.csv")


def test_the_table_in_the_documentation_is_the_counted_one():
    """Line by line."""
    assert table(ROWS) in (ROOT / "docs/accuracy.md").read_text()


@pytest.mark.parametrize(("every", "motion"), list(zip(ROWS[::2], ROWS[1::2], strict=True)))
def test_work_follows_motion_on_each_core(every, motion):
    """An empty scene costs a quarter at most of what it costs with a detection on every frame, a busy one no more."""
    assert (every.core, every.scene, every.path, motion.path) == (motion.core, motion.scene, "every", "motion")
    assert motion.instructions <= (0.25 if motion.scene == "empty" else 1.0) * every.instructions
