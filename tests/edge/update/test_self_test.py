"""The test of a release before the daemon may run it: every bundle that the configuration names is loaded."""

import shutil
import sys

import pytest

from edge.update.self_test import main
from edge.vision.bundle import DEFAULT_CHECK
from tests.support.commands import SMALLEST


@pytest.mark.parametrize("damage", [b"", b"\0"], ids=["intact", "damaged"])
def test_the_face_check_of_a_release_is_loaded(tmp_path, monkeypatch, capsys, damage):
    """The configuration names it in ``current``, which does not lead to the new release yet."""
    slot, program = tmp_path / "slot", tmp_path / "opt"
    (slot / "bundles").mkdir(parents=True)
    shutil.copy(DEFAULT_CHECK, slot / "bundles/mine.json")
    (slot / "bundles/mine.tflite").write_bytes(DEFAULT_CHECK.with_suffix(".tflite").read_bytes() + damage)
    config = tmp_path / "edge.toml"
    config.write_text(f'{SMALLEST}\n[detect]\ncheck = "{program}/current/bundles/mine.json"\n')
    monkeypatch.setattr(sys, "prefix", str(slot))
    assert main(config, program) == (2 if damage else 0)
    assert capsys.readouterr().err.startswith(f"{slot}/bundles/mine.tflite: sha256 is" if damage else "")
