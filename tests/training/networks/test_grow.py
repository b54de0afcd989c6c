"""Growing a trained face detector keeps its predictions."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")


def test_a_grown_detector_predicts_what_the_smaller_one_predicts():
    """The larger network computes the same numbers, so that training continues without a loss."""
    from training.networks.architectures import LEVELS_BEFORE_2, face_detector
    from training.networks.grow import grow_detector

    keras.utils.set_random_seed(3)
    small, large = face_detector(detail=LEVELS_BEFORE_2), face_detector()
    rng = np.random.default_rng(0)
    for norm in (layer for layer in small.layers if isinstance(layer, keras.layers.BatchNormalization)):
        norm.set_weights([rng.uniform(0.5, 1.5, each.shape) for each in norm.get_weights()])
    grow_detector(small, large, LEVELS_BEFORE_2)
    pixels = rng.integers(0, 256, (1, 96, 128, 1)).astype(np.float32)
    before, after = (np.asarray(model(pixels)) for model in (small, large))
    assert np.abs(before - after).max() < 1e-4 * np.abs(before).max()
    assert large.count_params() > small.count_params()
