"""Training and conversion on small, drawn data: what they compute, and that an interrupted run ends like a whole
one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contract.card import Crop, read_card
from contract.errors import BundleError
from edge.words import Face

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")

ROOT = Path(__file__).parent.parent
NAMES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
OWN = {
    "satisfied": {"happiness": 1.0, "surprise": 0.5},
    "dissatisfied": {"anger": 1.0, "disgust": 1.0, "sadness": 1.0},
    "neutral": {"neutral": 1.0},
}
RECIPE = """\
[model]
task = "classify"
name = "mood"
width = 48
height = 48
network = "cnn"
steps = 24
batch = 16
peak_rate = 1e-3
ema = 0.9
margin = 0.0
[model.labels]
satisfied = { happiness = 1, surprise = 0.5 }
dissatisfied = { anger = 1, disgust = 1, sadness = 1 }
neutral = { neutral = 1 }
"""


def draw_cache(path):
    """A cache of drawn faces, smiling, frowning or neither, in the form that `prepare` writes."""
    from convert.golden import face

    rng = np.random.default_rng(5)
    mouths = {"happiness": 0.9, "sadness": -0.9, "neutral": 0.0}
    kinds = list(mouths)

    def faces(count, side):
        chosen = rng.integers(3, size=count)
        drawn = [
            face((side, side), [(side / 2 + rng.normal(), side / 2, side * 0.42, mouths[kinds[kind]])])
            for kind in chosen
        ]
        return np.stack(drawn), chosen

    pixels, kind = faces(180, 48)
    photos, photo_kind = faces(60, 112)
    votes = np.zeros((180, 10), np.uint8)
    for row, each in enumerate(kind):
        votes[row, NAMES.index(kinds[each])] = 10
    parts = np.array(["train", "tune", "test"])
    np.savez_compressed(
        path,
        pixels=pixels,
        votes=votes,
        own=kind.astype(np.uint8),
        part=np.repeat(parts, [100, 40, 40]),
        photos=photos,
        photo_labels=np.array([kinds[each] for each in photo_kind]),
        photo_part=np.repeat(parts, 20),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run trained in one go: other categories, from the command line."""
    run = tmp_path_factory.mktemp("run")
    draw_cache(run / "cache.npz")
    (run / "mood.toml").write_text(RECIPE)
    train(run, run / "mood.toml")
    return run


def train(run, recipe, *arguments):
    command = [sys.executable, "-m", "training", "train", str(recipe), "--run", str(run), *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)


def weights(run):
    return keras.saving.load_model(run / "model.keras", compile=False).get_weights()


def test_soft_labels_map_votes_onto_own_categories():
    """Votes become shares of the labels asked for; single votes are slips; a face mostly of other labels is out."""
    from training.fer import soft_labels

    votes = np.zeros((4, 10), np.uint8)
    votes[0, [1, 2]] = (6, 4)  # happiness, surprise: 6 and half of 4 are satisfied
    votes[1, [3, 0]] = (5, 5)  # sadness and neutral
    votes[2, [0, 1]] = (9, 1)  # one slip
    votes[3, [8, 0]] = (8, 2)  # mostly unknown
    labels = soft_labels(votes, OWN)
    np.testing.assert_allclose(labels, [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 0]], atol=1e-6)


def test_targets_decode_to_the_boxes_they_came_from():
    """What the trainer encodes the device decodes: boxes, landmarks, and no cell for a place that only may be a
    face."""
    from edge.detect import cells, decode
    from training.collage import Collage
    from training.detect import STRIDES, targets

    boxes = np.array([[40, 30, 24, 30], [150, 100, 120, 150], [10, 200, 40, 40]], np.float32)
    points = np.array([[[x + w * a, y + h * b] for a, b in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65,
    0.8))]
                       for x, y, w, h in boxes], np.float32)  # fmt: skip
    collage = Collage(np.zeros((320, 320), np.uint8), boxes, points.reshape(3, 10), np.array([True, True, False]))
    at = cells((320, 320), STRIDES)
    rows = targets(collage, at)
    peaks = rows[:, 0] > 0.999
    found, landmarks = decode(rows[peaks, 1:5], rows[peaks, 5:15], at[peaks])
    for box, marks in zip(found, landmarks, strict=True):
        nearest = int(np.abs(boxes[:2] - box).sum(1).argmin())
        np.testing.assert_allclose(box, boxes[nearest], rtol=1e-4)
        np.testing.assert_allclose(marks, points[nearest], rtol=1e-4)
    unsure = (at[:, 0] > 10) & (at[:, 0] < 50) & (at[:, 1] > 200) & (at[:, 1] < 240)
    assert not rows[unsure, 15].any()


def test_average_precision_by_hand():
    """Two labels; found: right, wrong, right. Precision at recall 1/2 is 1, at recall 1 it is 2/3."""
    from training.score import Picture, curve

    boxes = np.array([[0, 0, 10, 10], [50, 50, 10, 10]], np.float32)
    found = [Face((0, 0, 10, 10), 0.9), Face((100, 100, 10, 10), 0.8), Face((51, 50, 10, 10), 0.7)]
    made = curve([Picture(found, boxes, np.array([True, True]))])
    assert made.average_precision() == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert made.recall_at(0.0) == 0.5
    assert made.recall_at(1.0) == 1.0


def test_aface_on_a_label_that_does_not_count_is_neither_right_nor_wrong():
    """Small or unsure labels may be found or not."""
    from training.score import Picture, match

    picture = Picture([Face((0, 0, 10, 10), 0.9)], np.array([[0, 0, 10, 10]], np.float32), np.array([False]))
    assert match(picture) == []


def test_a_run_killed_and_resumed_ends_at_the_same_weights(trained, tmp_path):
    """Training that is killed after a checkpoint and started again ends, bit for bit, where a whole run does."""
    draw_cache(tmp_path / "cache.npz")
    (tmp_path / "mood.toml").write_text(RECIPE)
    script = (
        "import os, sys; from training import loop; save = loop._save\n"
        "def once(model, path):\n    save(model, path)\n    os.kill(os.getpid(), 9)\n"
        "loop._save = once\nloop.EVERY = 7\n"
        "from training.__main__ import main; main(sys.argv[1:])"
    )
    arguments = ["train", str(tmp_path / "mood.toml"), "--run", str(tmp_path)]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -9
    assert not (tmp_path / "model.keras").exists()
    train(tmp_path, tmp_path / "mood.toml")
    for whole, resumed in zip(weights(trained), weights(tmp_path), strict=True):
        np.testing.assert_array_equal(whole, resumed)


def test_other_categories_become_a_bundle_that_the_daemon_runs(trained, tmp_path):
    """A recipe with own labels is quantised, verified, and counted under its labels, without a change of code."""
    make = [sys.executable, "-m", "convert", "quantise", str(trained), "--out", str(tmp_path)]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True, timeout=300)
    card = read_card((tmp_path / "mood.json").read_bytes(), "mood.json")
    assert card.labels == ("satisfied", "dissatisfied", "neutral")
    assert "QUANTIZE" in card.operators
    assert np.array(card.confusion).shape == (3, 3)
    verify = [sys.executable, "-m", "convert", "verify", str(tmp_path / "mood.json"), "--run", str(trained)]
    subprocess.run(verify, cwd=ROOT, check=True, capture_output=True, timeout=300)
    skimage = pytest.importorskip("skimage")
    portrait = Path(skimage.__file__).parent / "data" / "astronaut.png"
    command = [
        sys.executable,
        "-m",
        "edge",
        "try",
        "--json",
        "--classifier",
        str(tmp_path / "mood.json"),
        str(portrait),
    ]
    row = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert list(row["faces"][0]["probabilities"]) == ["satisfied", "dissatisfied", "neutral"]


def test_the_gate_refuses_an_int8_model_that_lost_too_much():
    """More than half a point of accuracy is too much."""
    from convert.bundle import gate

    gate({"ferplus_majority.accuracy.float": 0.9, "ferplus_majority.accuracy.int8": 0.896})
    with pytest.raises(BundleError, match="ferplus_majority"):
        gate({"ferplus_majority.accuracy.float": 0.9, "ferplus_majority.accuracy.int8": 0.894})


def test_int8_and_float_agree_and_nothing_is_left_in_float(trained):
    """The quantised file holds no float tensor, and its probabilities are those of the float model within 0.1."""
    from convert.quantise import floats, quantise
    from edge.bundle import Bundle
    from edge.classify import Classifier
    from edge.interpreter import Interpreter
    from training import measure

    model = keras.saving.load_model(trained / "model.keras", compile=False)
    with np.load(trained / "cache.npz") as held:
        crops = held["pixels"][:60]
    content = quantise(model, "classify", crops[..., None])
    assert floats(content) == []
    card = measure.draft_classifier(list(OWN), 48, 48, Crop(margin=0.0, align="none"))
    exact = measure.float_classifier(model, card).probabilities(crops)
    int8 = Classifier(Bundle(card, Interpreter(content))).probabilities(crops)
    assert np.abs(exact - int8).max() < 0.1


def test_a_wrong_recipe_is_named(tmp_path):
    """A typo in a recipe ends with exit code 2, the file, the key and what is allowed."""
    (tmp_path / "bad.toml").write_text(RECIPE.replace("steps", "stepps"))
    command = [sys.executable, "-m", "training", "train", str(tmp_path / "bad.toml"), "--run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bad.toml: unknown key 'model.stepps'; allowed: " in done.stderr
