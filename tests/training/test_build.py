"""Chains: shipped bundles are rebuilt by one command, and quick starts work as printed."""

import csv
import os
import re
import shlex
import subprocess
import sys

import cv2
import pytest

from base.errors import SettingsError
from contract.card import read_card
from edge.vision import bundle
from tests.support.drawings import ROOT, draw_backbone
from tests.support.training_data import write_crops, write_fer2013, write_scenes

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def build(*arguments):
    command = [sys.executable, "-m", "training", "build", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(3600)  # ten commands that import TensorFlow; minutes on an idle machine
@pytest.mark.parametrize(
    ("name", "bundles"),
    [("face", ["face-320x240", "face-416x320", "face-640x480"]), ("expression", ["expression"])],
)
def test_a_chain_ends_in_its_bundles_and_is_resumed_where_it_stopped(tmp_path, name, bundles):
    """With --smoke all commands run on a few images and steps. A second build needs --resume, and repeats nothing but
    what is missing.
    """
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    if name == "face":
        write_scenes(data)
        given = "yunet="
    else:
        write_fer2013(data)
        given = f"backbone={draw_backbone(data)}"
    arguments = (name, "--smoke", "--data", data, "--out", out, "--input", given)
    done = build(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.stem for path in (out / "bundles").glob("*.json")) == bundles
    for each in bundles:
        bundle.load(
            out / "bundles" / f"{each}.json", type(read_card((out / "bundles" / f"{each}.json").read_bytes(), each))
        )
    assert build(*arguments).returncode == 2
    (out / "bundles" / f"{bundles[-1]}.json").unlink()
    again = build(*arguments, "--resume")
    assert again.returncode == 0, again.stderr[-3000:]
    steps = [line for line in again.stdout.splitlines() if line.startswith("[")]
    assert ["finished before" in line for line in steps] == [True] * (len(steps) - 1) + [False]


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


@pytest.mark.parametrize(
    ("name", "labels"),
    [("cnn", ["happiness", "sadness", "neutral"]), ("mood", ["satisfied", "dissatisfied", "neutral"])],
)
def test_a_quick_start_works_as_printed(tmp_path, name, labels):
    """The commands in the recipe's comment, with few steps, make a bundle of folders of crops. The run's folder holds a
    log with validation metrics and a preview of a batch.
    """
    write_crops(tmp_path / "data", labels)
    text = (ROOT / "training" / "recipes" / f"{name}.toml").read_text()
    lines = re.findall(r"^#   python (-m .*)$", text, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        words = shlex.split(line.replace("DATA", "data").replace("training/recipes", f"{ROOT}/training/recipes"))
        words += ["--set", "model.steps=12", "--set", "model.batch=16"] if "train" in words else []
        words += ["--force"] if "quantise" in words else []
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
    card = read_card((tmp_path / "runs" / "bundles" / f"{name}.json").read_bytes(), name)
    assert set(labels) <= set(card.labels)
    run = tmp_path / "runs" / name
    with (run / "training_log.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["validation_accuracy"]) <= 1 and float(row["validation_loss"]) > 0
    assert cv2.imread(str(run / "preview.png")).shape == (240, 960, 3)
