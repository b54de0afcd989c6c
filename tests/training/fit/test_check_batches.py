"""Batches and loss of the face check."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")

ROOT = Path(__file__).parents[3]


@pytest.fixture
def part(tmp_path):
    """Three faces and three look-alikes; the first two look-alikes are of one image. Crops differ in brightness."""
    from training.data import check_candidates
    from training.data.check_candidates import Candidate
    from training.data.check_labels import Label

    labels = [Label(1.0), Label(0.5), Label(1.0), Label(0.0), Label(0.0), Label(0.0, 2.0, back=True)]
    images, scores = ("a", "b", "c", "d", "d", "e"), (0.9, 0.5, 0.1, 0.2, 0.2, 0.2)
    rows = [
        Candidate(image, False, 0, score, 30.0, label, np.full((96, 96), 40 * number, np.uint8))
        for number, (image, score, label) in enumerate(zip(images, scores, labels, strict=True))
    ]
    check_candidates.write(tmp_path / "cache.npz", rows, [0.5])
    return check_candidates.read(tmp_path / "cache.npz", held_out=False)


def test_a_batch_depends_on_its_step_alone_and_is_half_faces(part):
    """The same step gives the same pixels and targets; the second column is half the logit of the score."""
    from training import recipe
    from training.fit.check_batches import Batches

    made = recipe.read(ROOT / "training" / "recipes" / "face-check.toml", ("model.batch=9",))
    (pixels, targets), (again, _), (other, _) = (Batches(part, made)(step) for step in (3, 3, 4))
    np.testing.assert_array_equal(pixels, again)
    assert pixels.shape == (9, 64, 64, 1) and pixels.dtype == np.uint8
    assert not np.array_equal(pixels, other)
    assert (targets[:, 0] > 0).tolist() == [True] * 4 + [False] * 5
    scores = {round(0.5 * float(np.log(score / (1 - score))), 4) for score in (0.9, 0.5, 0.1)}
    assert {round(float(each), 4) for each in targets[:4, 1]} <= scores


def test_detections_are_drawn_by_weight_score_and_image(part):
    """A back of a head has double weight, detections of one image share, and a higher factor is drawn more often."""
    from training.fit.check_batches import sampling_probabilities

    drawn = sampling_probabilities(part, np.array([3, 4, 5]), part.score)
    assert drawn.sum() == pytest.approx(1)
    assert drawn[2] / drawn[0] == pytest.approx(2 * 2**0.5)
    doubled = sampling_probabilities(replace(part, score=2 * part.score), np.array([0, 1, 2]), 1.15 - part.score)
    assert doubled[2] / doubled[0] == pytest.approx(1.05 / 0.25, rel=1e-4)


def test_the_loss_adds_the_detectors_part_to_the_output():
    """It is the cross-entropy of the sum, with targets drawn a little to the middle."""
    from training.fit.check_batches import loss

    wanted = np.array([[1.0, 0.5], [0.0, -1.0]], np.float32)
    given = np.array([[2.0], [0.3]], np.float32)
    p = 1 / (1 + np.exp(-(given[:, 0] + wanted[:, 1])))
    t = np.array([0.99, 0.01])
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert float(loss(wanted, given)) == pytest.approx(expected, rel=1e-5)
