"""Chains of training commands: what a change repeats, and what is wrong with inputs."""

import os
import sys

import pytest

from base.errors import SettingsError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_a_changed_recipe_repeats_all_later_commands(tmp_path):
    """Finished commands are skipped. A change of the first recipe repeats all of them, one of the last only itself."""
    from training.build.chain import Chain, Stage, Step
    from training.build.runner import _run

    chain = Chain(stages=(Stage(name="one", recipe="one.toml"), Stage(name="two", recipe="two.toml")))
    steps = []
    for stage in chain.stages:
        (tmp_path / stage.recipe).write_text("1")
        output = tmp_path / f"{stage.name}.txt"
        command = (sys.executable, "-c", f"open({str(output)!r}, 'a').write('x')", "train")
        steps.append(Step(stage.name, command, output, tmp_path / stage.recipe))

    def runs():
        _run(chain, steps, tmp_path)
        return [len(step.output.read_text()) for step in steps]

    assert (runs(), runs()) == ([1, 1], [1, 1])
    (tmp_path / "two.toml").write_text("2")
    assert runs() == [1, 2]
    (tmp_path / "one.toml").write_text("2")
    assert runs() == [2, 3]


def test_inputs_and_placeholders_of_a_chain_are_checked(tmp_path):
    """An unknown input, a missing file and an unknown placeholder are named; an empty input leaves its keys out."""
    from training.build import chain

    face = chain.read("face")
    with pytest.raises(SettingsError, match=r"--input teacher: must be one of yunet, start"):
        chain.resolve_inputs(face, tmp_path, {"teacher": "x"})
    with pytest.raises(SettingsError, match=r"--input yunet=PATH: must be an existing file, is .*nowhere"):
        chain.resolve_inputs(face, tmp_path, {"yunet": "nowhere"})
    inputs = chain.resolve_inputs(face, tmp_path, {"yunet": ""})
    first = next(chain.steps(face, inputs, tmp_path, tmp_path / "out", smoke=False))
    assert not any(word.startswith("model.teacher=") for word in first.command)
    assert f'model.mine_with=["{chain.SHIPPED}/face-416x320.json"]' in first.command
    with pytest.raises(SettingsError, match=r"\{start\} must be one of out, data, shipped, yunet"):
        list(chain.steps(face, {"yunet": ""}, tmp_path, tmp_path / "out", smoke=False))
