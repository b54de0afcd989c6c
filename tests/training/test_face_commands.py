"""Training, evaluation and conversion of the face detector on drawn scenes."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from base.errors import SettingsError
from contract.card import DetectorCard
from tests.support.training_commands import run
from tests.support.training_data import write_scenes

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder like the published one, with a few drawn images of each kind."""
    folder = tmp_path_factory.mktemp("data")
    write_scenes(folder)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run by the commands of the trainer's guide, with few steps, from the shipped network: the gate needs one that
    detects faces.
    """
    folder = tmp_path_factory.mktemp("run")
    recipe = (ROOT / "training/recipes/face.toml", "--run", folder, "--set", "model.steps=6", "--set", "model.batch=4")
    recipe += ("--set", f"model.start={ROOT}/edge/models/face-416x320.json", "--set", "model.peak_rate=1e-5")
    recipe += ("--set", "model.width=320", "--set", "model.height=320")
    run("training", "prepare", *recipe, "--data", data)
    run("training", "train", *recipe)
    return folder, recipe


@pytest.fixture(scope="module")
def scenes(trained):
    from training.data.labelled_images import read

    return list(read(trained[0] / "cache.npz"))


def test_the_detector_is_made_by_the_commands_of_the_guide(trained, tmp_path):
    """prepare, train, evaluate, quantise at two sizes and verify give a report with images, a preview, and two bundles
    that the daemon loads. The bundles score the same places alike.
    """
    from edge.vision import bundle

    folder, recipe = trained
    run("training", "evaluate", *recipe)
    assert {"stills.ap", "masked.ap", "turned.ap"} <= set(json.loads((folder / "report.json").read_text()))
    assert (folder / "report.png").stat().st_size > 1000
    assert (folder / "worst.png").stat().st_size > 1000
    assert (folder / "preview.png").stat().st_size > 1000
    assert "validation_average_precision" in (folder / "training_log.csv").read_text()
    run("convert", "quantise", folder, "--out", tmp_path)
    run("convert", "quantise", folder, "--out", tmp_path, "--size", "320x240", "--threshold", "0.995")
    run("convert", "verify", tmp_path / "face-320x240.json", "--run", folder)
    square, wide = (bundle.load(tmp_path / name, DetectorCard) for name in ("face.json", "face-320x240.json"))
    assert (wide.card.input.width, wide.card.input.height) == (320, 240)
    assert wide.card.threshold == 0.995  # higher than any that negatives ask for
    assert "raised by hand" in wide.card.notes
    assert square.card.threshold < 0.995
    assert "FLOAT" not in " ".join(square.card.operators)
    image = np.full((1, 320, 320, 1), 90, np.uint8)
    image[0, 60:180, 80:200, 0] = 200
    cells = [each.model.values(each.model.run(image[:, : each.card.input.height]), "scores") for each in (square, wide)]
    first_rows = slice(0, 40 * 20)  # of stride 8, away from where the padding begins
    one, other = (each[0, first_rows, 0] for each in cells)
    assert np.abs(one - other).mean() < 0.5
    assert np.corrcoef(one, other)[0, 1] > 0.8, "cells of the two sizes do not stand for the same places"


def test_boxes_alone_can_be_learnt_anew(trained, tmp_path):
    """With ``boxes_only``, scores and landmarks stay those of the start, bit for bit, and boxes change. A run can also
    start from the weighted mean of two runs.
    """
    from training.networks.architectures import load_model

    folder, recipe = trained
    (tmp_path / "cache.npz").symlink_to(folder / "cache.npz")
    on = ("--set", f"model.start={folder}", "--set", "model.boxes_only=true", "--set", "model.peak_rate=0.01")
    run("training", "train", recipe[0], "--run", tmp_path, *recipe[3:], *on)
    image = np.random.default_rng(1).integers(0, 256, (1, 320, 320, 1)).astype(np.float32)
    before, after = (load_model(each / "model.keras")(image, training=False) for each in (folder, tmp_path))
    before, after = np.asarray(before), np.asarray(after)
    np.testing.assert_array_equal(before[..., 0], after[..., 0])
    np.testing.assert_array_equal(before[..., 5:], after[..., 5:])
    assert np.abs(before[..., 1:5] - after[..., 1:5]).max() > 1e-3

    from training import recipe as recipes
    from training.augment.collage import CollageSampler
    from training.data.labelled_images import read
    from training.fit.detector_targets import Batches
    from training.fit.detector_task import DetectorTask

    mixing = f"model.average_of={{ '{folder}' = 3, '{tmp_path}/model.keras' = 1 }}"
    made = recipes.read(ROOT / "training" / "recipes" / "face.toml", (mixing, "model.steps=0"))
    model = DetectorTask(made)._make(Batches(CollageSampler(list(read(folder / "cache.npz"))), (64, 64), 2, 0))
    one, other, mean = (
        each.get_layer("boxes8").get_weights()[0]
        for each in (load_model(folder / "model.keras"), load_model(tmp_path / "model.keras"), model)
    )
    np.testing.assert_allclose(mean, 0.75 * one + 0.25 * other, atol=1e-6)
    both = recipes.read(ROOT / "training" / "recipes" / "face.toml", (mixing, "model.start=x"))
    with pytest.raises(SettingsError, match=r"model\.start and model\.average_of"):
        DetectorTask(both)._make(lambda _: None)


def test_a_wrong_size_is_named(trained, tmp_path):
    """Exit code 2, and the message says what is allowed."""
    done = run("convert", "quantise", trained[0], "--out", tmp_path, "--size", "320x", code=2)
    assert "must be WIDTHxHEIGHT in multiples of 8, such as 320x240, is '320x'" in done.stderr


def test_a_wrong_threshold_is_named(trained, tmp_path):
    """Exit code 2, and the message says what is allowed."""
    done = run("convert", "quantise", trained[0], "--out", tmp_path, "--threshold", "61", code=2)
    assert "must be a number from 0 to 1, is '61'" in done.stderr


def test_a_batch_depends_on_its_step_alone(scenes):
    """The same step gives the same images and targets; sizes vary, the number of cells of a batch hardly does."""
    from training.augment.collage import CollageSampler
    from training.fit.detector_targets import Batches

    batches, again = (Batches(CollageSampler(scenes), (320, 320), 8, 1) for _ in range(2))
    cells = set()
    for step in range(8):
        (pixels, targets), (pixels_again, targets_again) = batches(step), again(step)
        np.testing.assert_array_equal(pixels, pixels_again)
        np.testing.assert_array_equal(targets, targets_again)
        assert pixels.shape[1] % 32 == 0
        cells.add(pixels.shape[0] * targets.shape[1])
    assert len(cells) > 1
    assert max(cells) / min(cells) < 1.1


def test_nothing_that_is_validated_on_is_trained_on(scenes):
    """Held out are the listed hand-labelled images and a hashed fraction of the others, but no frames of videos."""
    from training.data.labelled_images import split, validation_list

    train, held = ({scene.name: scene.kind for scene in part} for part in split(scenes))
    assert not set(train) & set(held)
    assert set(held) >= {name for name in validation_list() if name in train | held}
    assert "labelled-video" not in held.values()
    assert sum(kind == "negative" for kind in held.values()) >= 3


def test_streets_lie_under_tiles_below_their_faces(scenes):
    """The part of a street below its faces holds no labelled face; too low a part is not used."""
    from training.augment.collage import MIN_BODY_ROWS, CollageSampler, _below_faces

    streets = [scene for scene in scenes if scene.kind == "street"]
    for scene in streets:
        lowest = (scene.boxes[:, 1] + scene.boxes[:, 3]).max(initial=0)
        assert len(_below_faces(scene)) == len(scene.pixels) - int(np.ceil(lowest))
    kept = CollageSampler(scenes)._bodies
    assert 0 < len(kept) < len(streets)
    assert min(map(len, kept)) >= MIN_BODY_ROWS


def test_no_head_is_cut_out_with_another_face(scenes):
    """Of two faces side by side neither is cut out for crowds, since the other would be unlabelled; apart, both are."""
    from dataclasses import replace

    from training.augment.crowd import _find_heads

    (one,) = [scene for scene in scenes if scene.kind == "street"][:1]
    points = np.concatenate([one.landmarks] * 2)
    beside = one.boxes + np.array([0.5 * one.boxes[0, 2], 0, 0, 0])
    for other, heads in ((beside, 0), (one.boxes + np.array([400, 0, 0, 0]), 2)):
        pixels = np.zeros((200, 700), np.uint8)
        boxes = np.concatenate([one.boxes, other]).astype(np.float32)
        two = replace(one, pixels=pixels, boxes=boxes, landmarks=points, confidence=np.ones(2, np.float32))
        assert len(_find_heads([two], "street")) == heads


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_box_size_is_corrected_to_the_labels():
    """Labels are the shipped network's boxes, a fifth smaller. Afterwards its boxes match them, and scores are
    unchanged. A stride with too few boxes is not corrected.
    """
    from edge.vision import bundle
    from training.data.labelled_images import LabelledImage
    from training.evaluate.float_model import float_detector
    from training.fit import box_size
    from training.networks.architectures import face_detector, with_input_size
    from training.networks.from_bundle import load_bundle_weights

    portrait = pytest.importorskip("skimage").data.astronaut().mean(-1).astype(np.uint8)
    images = []
    for number in range(36):
        image, side = np.full((320, 320), 120, np.uint8), 130 + 2 * number  # faces of 26 to 40 pixels
        left, top = 3 * number, 110 - 2 * number
        image[top : top + side, left : left + side] = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
        images.append(image)
    model = face_detector()
    load_bundle_weights(model, bundle.SHIPPED / "face-416x320.tflite", np.array(images)[..., None])
    find, scenes = float_detector(with_input_size(model, 320, 320), 320, 320).detect, []
    for number, image in enumerate(images):
        x, y, w, h = find(image)[0].box
        box = np.array([[x + 0.1 * w, y + 0.1 * h, 0.8 * w, 0.8 * h]], np.float32)
        unknown = np.full((1, 10), np.nan, np.float32)
        scenes.append(LabelledImage(str(number), "labelled-still", "", image, box, unknown, np.ones(1, np.float32)))
    scores = np.asarray(model.predict_on_batch(np.array(images[:2], np.float32)[..., None]))[..., 0]
    factors = box_size.fit(model, scenes, (320, 320))
    assert factors == {8: pytest.approx(1.25, abs=0.01)}
    assert box_size.size_ratios(model, scenes, (320, 320)) == {8: pytest.approx(1.0, abs=0.01)}
    after = np.asarray(model.predict_on_batch(np.array(images[:2], np.float32)[..., None]))[..., 0]
    np.testing.assert_array_equal(scores, after)


def test_a_crowd_has_the_faces_that_are_seen(scenes):
    """Boxes lie on heads; a face hidden by another one is not required."""
    from training.augment.crowd import CrowdSampler

    crowd = CrowdSampler(scenes).draw(np.random.default_rng(2), np.full((320, 320), 5, np.uint8))
    assert len(crowd.boxes) > 3
    assert len(crowd.boxes) == len(crowd.landmarks) == len(crowd.confidence)
    for x, y, w, h in crowd.boxes[crowd.confidence == 1]:
        if x > 0 and y > 0 and x + w < 320 and y + h < 320:
            assert crowd.pixels[int(y) : int(y + h), int(x) : int(x + w)].mean() > 30  # not the bare ground
