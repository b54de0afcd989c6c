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


def test_a_figure_without_detections_is_left_out():
    """Data without backs of heads give no figure of them."""
    from training.evaluate import check_metrics

    part = candidates([(0.9, 30, 1.0, False), (0.3, 30, 0.0, False)])
    assert set(check_metrics.figures(part, part.score)) == {
        f"{name}{prefix}{figure}"
        for prefix in ("", "unchecked_")
        for name, figure in (("others.", "auc"), ("faces.", "ap"), ("faces.", "recall"))
    }
