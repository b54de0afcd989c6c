"""Metrics of the face check."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")


def candidates(rows):
    """Detections without crops: score, size, target, back."""
    from training.data.check_candidates import Candidates

    score, size, target, back = (np.array(column) for column in zip(*rows, strict=True))
    zeros = np.zeros(len(rows), np.int64)
    return Candidates(
        np.zeros(0, np.uint8), zeros, zeros, zeros, zeros > 0, score, np.full(len(rows), 0.5), size, target,
        np.ones(len(rows)), back,
    )  # fmt: skip


def test_figures_compare_face_scores_with_the_detectors():
    """The face score tells both faces from the back of a head, the detector's score only one of them. Small heads do
    not count; look-alikes of all sizes do.
    """
    from training.evaluate import check_metrics

    part = candidates(
        [
            (0.9, 30, 1.0, False),
            (0.6, 30, 0.5, False),
            (0.1, 9, 1.0, False),
            (0.8, 30, 0.0, True),
            (0.9, 9, 0.0, True),
            (0.3, 9, 0.0, False),
        ]
    )
    checked = np.array([0.9, 0.45, 0.0, 0.4, 0.9, 0.1])
    assert check_metrics.figures(part, checked) == {
        "backs.auc": 1.0,
        "others.auc": 1.0,
        "faces.ap": 1.0,
        "faces.recall": 0.5,
        "backs.false": 0.0,
        "backs.unchecked_auc": 0.5,
        "others.unchecked_auc": 1.0,
        "faces.unchecked_ap": pytest.approx((1 + 2 / 3) / 2),
        "faces.unchecked_recall": 1.0,
        "backs.unchecked_false": 1.0,
    }


def test_many_crops_at_a_time_have_the_face_scores_of_single_ones(astronaut):
    """The shipped face check gives detections in two batches the scores that a device gives them one by one."""
    from dataclasses import replace

    from contract.card import CheckCard
    from edge.vision.bundle import DEFAULT_CHECK, load
    from edge.vision.face_check import FaceCheck
    from training.data.packed_images import HIGH_QUALITY, pack
    from training.evaluate import check_metrics

    rng = np.random.default_rng(1)
    corners = rng.integers(0, 400, (check_metrics.BATCH + 6, 2))
    content, ends = pack((astronaut[y : y + 96, x : x + 96] for x, y in corners), HIGH_QUALITY)
    scores = [(score, 30, 1.0, False) for score in (0.95, 0.0, *rng.uniform(0.1, 0.8, len(ends) - 2))]
    part = replace(candidates(scores), content=content, starts=np.concatenate([[0], ends[:-1]]), ends=ends)
    check = FaceCheck(load(DEFAULT_CHECK, CheckCard))
    single = [check.face_score(part.crop(row), part.in_crop(row)) for row in range(len(part))]
    assert check_metrics.face_scores(check, part) == pytest.approx(single, abs=1e-6)
    assert single[0] == 0.95  # not asked
    assert np.ptp(single[2:]) > 0.2


def test_a_figure_without_detections_is_left_out():
    """Data without backs of heads give no figure of them."""
    from training.evaluate import check_metrics

    part = candidates([(0.9, 30, 1.0, False), (0.3, 30, 0.0, False)])
    assert set(check_metrics.figures(part, part.score)) == {
        f"{name}{prefix}{figure}"
        for prefix in ("", "unchecked_")
        for name, figure in (("others.", "auc"), ("faces.", "ap"), ("faces.", "recall"))
    }
