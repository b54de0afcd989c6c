"""The float networks: what they compute in, and that the quick normalisation is the known one."""

import json
import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_normalising_in_one_operator_is_batch_normalisation():
    """In training and after it the results are Keras's, and so are the statistics that are kept (the variance with
    Bessel's correction, as TensorFlow has it).
    """
    from training.normalise import Normalised

    rng = np.random.default_rng(0)
    batches = [rng.normal(3, 2, (8, 9, 9, 5)).astype(np.float32) for _ in range(3)]
    known, quick = keras.layers.BatchNormalization(momentum=0.9), Normalised(momentum=0.9)
    for batch in batches:
        results = [np.asarray(layer(batch, training=True)) for layer in (known, quick)]
        np.testing.assert_allclose(*results, atol=1e-4)
    *kept, variance = (np.asarray(each) for each in known.get_weights())
    *same, larger = (np.asarray(each) for each in quick.get_weights())
    for one, other in zip(kept, same, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(larger, variance, rtol=1 / (8 * 9 * 9 - 1))
    np.testing.assert_allclose(quick(batches[0]), known(batches[0]), atol=1e-2)


def test_a_network_in_bfloat16_keeps_weights_and_outputs_in_float32():
    """What is quantised later is float32; activations between are not."""
    from training.loop import computed_in
    from training.networks import face_detector

    model = computed_in("mixed_bfloat16", face_detector)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.output.dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_a_network_learns_in_bfloat16():
    """A step in bfloat16 lowers the loss, and the gradient reaches every weight."""
    from training.loop import computed_in
    from training.networks import plain

    keras.utils.set_random_seed(1)
    model = computed_in("mixed_bfloat16", lambda: plain(48, 3))
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(2)
    pixels, truth = rng.integers(0, 256, (24, 48, 48, 1)).astype(np.float32), np.eye(3)[np.arange(24) % 3]
    before = [keras.ops.convert_to_numpy(each).copy() for each in model.trainable_variables]
    losses = [float(model.train_on_batch(pixels, truth)) for _ in range(6)]
    assert losses[-1] < losses[0]
    after = [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]
    assert all(np.any(now != then) for now, then in zip(after, before, strict=True))


def test_a_backbone_lends_its_weights_or_its_layers_alone(tmp_path):
    """Both networks have the same shape; only one begins with what the backbone had learnt."""
    from training.networks import transfer

    layers = [
        {"layer": "first", "op": "conv", "kernel": "(3, 3)", "stride": "(2, 2)", "groups": 1, "out": 4, "bias": False},
        {"layer": "second", "op": "batchnorm", "eps": 1e-5},
        {"layer": "third", "op": "max"},
    ]
    (tmp_path / "small.json").write_text(json.dumps({"layers": layers}))
    learnt = np.random.default_rng(3).normal(size=(4, 1, 3, 3)).astype(np.float32)
    parts = {f"second_{part}": np.full(4, 2.0, np.float32) for part in ("gamma", "beta", "moving_mean", "moving_var")}
    np.savez(tmp_path / "small.npz", first_weight=learnt, **parts)
    taught, bare = (transfer(16, 3, tmp_path / "small.npz", pretrained=each) for each in (True, False))
    assert [each.shape for each in taught.weights] == [each.shape for each in bare.weights]
    np.testing.assert_array_equal(taught.get_layer("first").get_weights()[0], learnt.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(taught.get_layer("second").get_weights()[0], parts["second_gamma"])
    assert not np.allclose(bare.get_layer("first").get_weights()[0], learnt.transpose(2, 3, 1, 0))
