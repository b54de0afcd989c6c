"""The float networks: their shapes, precision and batch normalisation, and where their weights come from."""

import os

import numpy as np
import pytest

from tests.support.drawings import draw_backbone

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_fused_batch_normalisation_equals_that_of_keras():
    """Results and moving statistics equal Keras's, in training and in inference. The variance has Bessel's correction,
    as in TensorFlow.
    """
    from training.networks.batch_norm import Normalised

    rng = np.random.default_rng(0)
    batches = [rng.normal(3, 2, (8, 9, 9, 5)).astype(np.float32) for _ in range(3)]
    reference, fused = keras.layers.BatchNormalization(momentum=0.9), Normalised(momentum=0.9)
    for batch in batches:
        results = [np.asarray(layer(batch, training=True)) for layer in (reference, fused)]
        np.testing.assert_allclose(*results, atol=1e-4)
    *kept, variance = (np.asarray(each) for each in reference.get_weights())
    *same, larger = (np.asarray(each) for each in fused.get_weights())
    for one, other in zip(kept, same, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(larger, variance, rtol=1 / (8 * 9 * 9 - 1))
    np.testing.assert_allclose(fused(batches[0]), reference(batches[0]), atol=1e-2)


def test_a_network_in_bfloat16_keeps_weights_and_outputs_in_float32():
    """Only the activations are bfloat16; the weights are quantised later."""
    from training.fit.loop import build_with_precision
    from training.networks.architectures import face_detector

    model = build_with_precision("mixed_bfloat16", face_detector)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.output.dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_a_network_learns_in_bfloat16():
    """A step in bfloat16 lowers the loss, and the gradient reaches every weight."""
    from training.fit.loop import build_with_precision
    from training.networks.architectures import plain

    keras.utils.set_random_seed(1)
    model = build_with_precision("mixed_bfloat16", lambda: plain(48, 3))
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(2)
    pixels, truth = rng.integers(0, 256, (24, 48, 48, 1)).astype(np.float32), np.eye(3)[np.arange(24) % 3]
    before = [keras.ops.convert_to_numpy(each).copy() for each in model.trainable_variables]
    losses = [float(model.train_on_batch(pixels, truth)) for _ in range(6)]
    assert losses[-1] < losses[0]
    after = [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]
    assert all(np.any(now != then) for now, then in zip(after, before, strict=True))


def test_a_backbone_gives_its_weights_or_only_its_architecture(tmp_path):
    """The shapes are the same; only the pretrained network starts with the backbone's weights."""
    from training.networks.architectures import transfer

    backbone = draw_backbone(tmp_path)
    pretrained, random = (transfer(32, 3, backbone, pretrained=each) for each in (True, False))
    assert [each.shape for each in pretrained.weights] == [each.shape for each in random.weights]
    kernel = np.load(backbone)["convolution1_weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(pretrained.get_layer("convolution1").get_weights()[0], kernel)
    np.testing.assert_array_equal(pretrained.get_layer("batchnorm2").get_weights()[0], np.full(4, 1.5))
    assert not np.allclose(random.get_layer("convolution1").get_weights()[0], kernel)


def test_dense_has_the_backbones_later_layers_on_a_grid_twice_as_dense(tmp_path):
    """Plain convolutions replace the first layers. A backbone without the layer that they end at is an error."""
    from base.errors import SettingsError
    from training.networks.architectures import FRONT, JOINT, dense, transfer

    backbone = draw_backbone(tmp_path)
    fine, coarse = dense(32, 3, backbone, (5, 7, 9, 2)), transfer(32, 3, backbone)
    assert fine.get_layer(FRONT).output.shape[1:] == (8, 8, 6)
    assert coarse.get_layer(JOINT).output.shape[1:] == (4, 4, 6)
    assert fine.get_layer("batchnorm12").output.shape[1:] == (4, 4, 8)
    for name in ("convolution12", "batchnorm12"):
        for one, other in zip(fine.get_layer(name).get_weights(), coarse.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    kernels = [layer.kernel.shape for layer in fine.layers if isinstance(layer, keras.layers.Conv2D)]
    assert kernels == [(3, 3, 1, 5), (3, 3, 5, 7), (1, 1, 7, 6), *[(3, 3, 6, 9), (3, 3, 9, 6)] * 2, (3, 3, 6, 8)]
    text = backbone.with_suffix(".json").read_text()
    backbone.with_suffix(".json").write_text(text.replace(JOINT, "other"))
    with pytest.raises(SettingsError, match="must have the layer batchnorm11"):
        dense(32, 3, backbone, (5, 7, 9, 2))


def test_a_face_check_starts_with_the_first_layers_of_a_detector():
    """Its features at strides 16 and 32 are the detector's, for a new detector and for one that was saved."""
    from training.networks.architectures import copy_trunk, face_check, face_detector, in_creation_order

    for _ in range(2):  # names of layers count on in a process
        detector, check = face_detector(), face_check(64)
        copy_trunk(detector, check)
        kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization)
        for kind, count in zip(kinds, (32, 31), strict=True):
            mine, theirs = (
                [each for each in in_creation_order(model, kind) if each.name.startswith(("conv2d", "normalised"))]
                for model in (check, detector)
            )
            assert len(mine) == count
            for one, other in zip(mine, theirs, strict=False):
                for array, same in zip(one.get_weights(), other.get_weights(), strict=True):
                    np.testing.assert_array_equal(array, same)
