"""The reference of instructions per second of video, counted on emulated cores."""

from pathlib import Path

import pytest

from benchmarks.speed.scene_instructions import read, table

ROOT = Path(__file__).parents[2]
ROWS = read(ROOT / "benchmarks/reference/instructions_scene.csv")


def test_the_documentation_has_the_table_of_the_reference():
    """docs/accuracy.md contains the table, line by line."""
    assert table(ROWS) in (ROOT / "docs/accuracy.md").read_text()


@pytest.mark.parametrize(("every", "motion"), list(zip(ROWS[::2], ROWS[1::2], strict=True)))
def test_work_follows_motion_on_each_core(every, motion):
    """An empty scene takes at most a quarter of the instructions of a detection on every frame, a busy one no more."""
    assert (every.core, every.scene, every.path, motion.path) == (motion.core, motion.scene, "every", "motion")
    assert motion.instructions <= (0.25 if motion.scene == "empty" else 1.0) * every.instructions
