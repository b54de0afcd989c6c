"""Averaged weights get their own batch normalisation statistics."""

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2


def test_averaged_weights_have_their_own_statistics(tmp_path):
    """The moving statistics of a trained model are those that its averaged weights produce, not the last weights: in
    inference it computes what it computes with the statistics of a batch.
    """
    from training.fit import loop
    from training.fit.prefetch import BatchPrefetcher
    from training.networks.batch_norm import Normalised

    def make():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(4, 3), Normalised(momentum=0.97), keras.layers.GlobalAveragePooling2D()]
        model = keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Dense(1)])
        model.compile(keras.optimizers.AdamW(0.1, use_ema=True, ema_momentum=0.95), "mse")
        return model

    def batch(step):
        rng = np.random.default_rng(step % 4)
        return rng.normal(3, 1, (64, 8, 8, 1)).astype(np.float32), rng.normal(size=(64, 1)).astype(np.float32)

    with BatchPrefetcher(batch) as batches:
        model = loop.train(make, batches, 40, tmp_path)
    pixels = np.concatenate([batch(step)[0] for step in range(4)])
    np.testing.assert_allclose(model.predict_on_batch(pixels), np.asarray(model(pixels, training=True)), atol=0.02)
    assert [layer.momentum for layer in model.layers if isinstance(layer, Normalised)] == [0.97]
