"""Training, evaluation and conversion of the face check on drawn scenes."""

import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from contract.card import CheckCard
from tests.support.training_commands import run
from tests.support.training_data import draw_scene, write_scenes

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "training/recipes/face-check.toml"


def write_backs(folder):
    """Write diverse.zip with two crowds for training and two for validation, in which portraits count as backs of
    heads.
    """
    rng = np.random.default_rng(5)
    images, faces = ["image,kind,part"], ["image,x,y,w,h,kind,view,occluded"]
    with zipfile.ZipFile(folder / "diverse.zip", "w") as archive:
        for number, part in enumerate(("train", "train", "validation", "validation")):
            pixels, ((x, y, w, h, *_),) = draw_scene(rng, (200, 240), 1)
            archive.writestr(f"c/{number}.webp", cv2.imencode(".webp", pixels)[1].tobytes())
            images.append(f"c/{number}.webp,people,{part}")
            faces.append(f"c/{number}.webp,{x},{y},{w},{h},head,back,0")
    (folder / "diverse_images.csv").write_text("\n".join(images) + "\n")
    (folder / "diverse_faces.csv").write_text("\n".join(faces) + "\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run by the commands of the trainer's guide, with few steps."""
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run")
    write_scenes(data)
    write_backs(data)
    recipe = (RECIPE, "--run", folder, "--set", "model.steps=4", "--set", "model.batch=8", "--set", "model.seed=2")
    recipe += ("--set", f"model.start={ROOT}/edge/models/face-640x480.json")
    run("training", "prepare", *recipe, "--data", data)
    run("training", "train", *recipe)
    return folder, recipe


def test_the_face_check_is_made_by_the_commands_of_the_guide(trained, tmp_path):
    """prepare, train, evaluate, quantise and verify give a report with images, and a bundle that the daemon loads, with
    the recipe's weight and bias and the figures of both models.
    """
    from edge.vision import bundle

    folder, recipe = trained
    run("training", "evaluate", *recipe)
    report = json.loads((folder / "report.json").read_text())
    assert {"backs.auc", "others.auc", "faces.ap", "faces.recall", "backs.unchecked_auc"} <= set(report)
    for name in ("report.png", "worst.png", "preview.png"):
        assert (folder / name).stat().st_size > 1000
    assert "validation_others_auc" in (folder / "training_log.csv").read_text()
    run("convert", "quantise", folder, "--out", tmp_path, "--force")
    done = run("convert", "verify", tmp_path / "face-check.json", "--run", folder)
    assert "backs.auc" in done.stdout
    card = bundle.load(tmp_path / "face-check.json", CheckCard).card
    assert (card.crop.margin, card.weight, card.bias, card.checked_below) == (0.55, 0.35, -1.2, 0.85)
    assert {"backs.auc.float", "backs.auc.int8"} <= set(card.figures)
    assert "FLOAT" not in " ".join(card.operators)
    assert "YuNet teacher" in card.data
    run("training", "evaluate", *recipe, "--card", tmp_path / "face-check.json")
    assert json.loads((folder / "report.json").read_text())["backs.auc"] == card.figures["backs.auc.int8"]


def test_int8_and_float_agree(trained):
    """Values of held-out detections by the int8 file are close to the float model's, compared with their range."""
    from convert.quantise import float_tensors, quantise
    from edge.vision.bundle import Bundle
    from edge.vision.face_check import FaceCheck
    from edge.vision.interpreter import Interpreter
    from training.evaluate.float_model import draft_check
    from training.trained_run import open_run

    opened = open_run(trained[0])
    content = quantise(opened.model, "check", opened.calibration_images(40)[..., None])
    assert float_tensors(content) == []
    card = draft_check(opened.recipe)
    checks = opened.float_check(card), FaceCheck(Bundle(card, Interpreter(content)))
    rows = range(min(40, len(opened.held)))
    exact, int8 = (
        np.array([check.value(opened.held.crop(row), opened.held.in_crop(row)) for row in rows]) for check in checks
    )
    assert np.abs(exact - int8).mean() < 0.05 * np.ptp(exact)
    assert np.corrcoef(exact, int8)[0, 1] > 0.97


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("model.width=48",), "model.width and model.height: must be one multiple of 32 for a face check"),
        (("model.margin=0.8",), "model.margin"),
        (("model.detectors=[]",), "model.detectors"),
        (("model.start={run}",), "must be the run of a detector, is of another task"),
        (("model.start={models}/face-check.json",), "must be a DetectorCard, is a CheckCard"),
        (("model.start=nowhere",), "nowhere/recipe.json: "),
    ],
    ids=["size", "margin", "no detector", "a check's run", "a check's card", "no run"],
)
def test_what_does_not_fit_is_named(trained, tmp_path, changes, says):
    """A start of another task, and values that are not allowed, end with exit code 2 and a message."""
    (tmp_path / "cache.npz").symlink_to(trained[0] / "cache.npz")
    filled = [change.format(run=trained[0], models=ROOT / "edge/models") for change in changes]
    options = [word for change in filled for word in ("--set", change)]
    done = run("training", "train", RECIPE, "--run", tmp_path, *options, "--set", "model.steps=1", code=2)
    assert says in done.stderr


def test_options_of_other_tasks_are_refused(trained, tmp_path):
    """A face check has one size and no threshold, and its curves are not drawn beside others."""
    folder, recipe = trained
    for option in (("--size", "320x240"), ("--threshold", "0.5")):
        done = run("convert", "quantise", folder, "--out", tmp_path, *option, code=2)
        assert f"{option[0]}" in done.stderr
    done = run("training", "evaluate", *recipe, "--beside", folder, code=2)
    assert "--beside: must be omitted for a face check" in done.stderr
