"""The float networks: what they compute in, and that the quick normalisation is the known one."""

import os

import numpy as np
import pytest

from tests.support.drawings import draw_backbone

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_normalising_in_one_operator_is_batch_normalisation():
    """In training and after it the results are Keras's, and so are the statistics that are kept (the variance with
    Bessel's correction, as TensorFlow has it).
    """
    from training.networks.batch_norm import Normalised

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


def test_a_backbone_lends_its_weights_or_its_layers_alone(tmp_path):
    """Both networks have the same shape; only one begins with what the backbone had learnt."""
    from training.networks.architectures import transfer

    backbone = draw_backbone(tmp_path)
    taught, bare = (transfer(32, 3, backbone, pretrained=each) for each in (True, False))
    assert [each.shape for each in taught.weights] == [each.shape for each in bare.weights]
    learnt = np.load(backbone)["convolution1_weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(taught.get_layer("convolution1").get_weights()[0], learnt)
    np.testing.assert_array_equal(taught.get_layer("batchnorm2").get_weights()[0], np.full(4, 1.5))
    assert not np.allclose(bare.get_layer("convolution1").get_weights()[0], learnt)


def test_dense_has_the_backbones_later_layers_on_cells_twice_as_close(tmp_path):
    """Plain convolutions stand for the first ones; a backbone without the layer they end at is named."""
    from base.errors import SettingsError
    from training.networks.architectures import FRONT, JOINT, dense, transfer

    backbone = draw_backbone(tmp_path)
    close, far = dense(32, 3, backbone, (5, 7, 9, 2)), transfer(32, 3, backbone)
    assert (close.get_layer(FRONT).output.shape[1:], far.get_layer(JOINT).output.shape[1:]) == ((8, 8, 6), (4, 4, 6))
    assert close.get_layer("batchnorm12").output.shape[1:] == (4, 4, 8)
    for name in ("convolution12", "batchnorm12"):
        for one, other in zip(close.get_layer(name).get_weights(), far.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    kernels = [layer.kernel.shape for layer in close.layers if isinstance(layer, keras.layers.Conv2D)]
    assert kernels == [(3, 3, 1, 5), (3, 3, 5, 7), (1, 1, 7, 6), *[(3, 3, 6, 9), (3, 3, 9, 6)] * 2, (3, 3, 6, 8)]
    text = backbone.with_suffix(".json").read_text()
    backbone.with_suffix(".json").write_text(text.replace(JOINT, "other"))
    with pytest.raises(SettingsError, match="has no layer batchnorm11"):
        dense(32, 3, backbone, (5, 7, 9, 2))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_a_front_learns_what_the_backbone_gives(trained, tmp_path):
    """The network that begins there has the backbone's other layers; a run of its kind can stand for the backbone, and
    no other can.
    """
    from msgspec.structs import replace

    from base.errors import SettingsError
    from training import recipe
    from training.data import face_cache
    from training.fit import classifier_task, front, loop
    from training.networks import architectures

    keys = ("network=dense", f"backbone={draw_backbone(tmp_path)}", "front=[8,12,12,1]", "front_steps=200")
    made = recipe.read(trained / "mood.toml", tuple(f"model.{key}" for key in keys))
    part = face_cache.Faces.load(trained / "cache.npz", made, "train")
    pixels = face_cache.centre_crops(part.fer, 48, 1.0)[..., None].astype(np.float32)

    def given(model, layer):
        return keras.Model(model.inputs, model.get_layer(layer).output).predict_on_batch(pixels)

    backbone = architectures.build_classifier(replace(made, network="transfer", upscale=2))
    wanted = given(backbone, architectures.JOINT)
    with loop.BatchPrefetcher(classifier_task.Batches(part, made, part.targets)) as batches:
        begun = front.train_front(made, batches, tmp_path / "front")
        before, after = (
            np.square(given(each, architectures.FRONT) - wanted).mean()
            for each in (architectures.build_classifier(made), begun)
        )
        assert after < 0.5 * before
        kernel = begun.get_layer("convolution12").get_weights()[0]
        np.testing.assert_array_equal(kernel, backbone.get_layer("convolution12").get_weights()[0])

        made.save_to(tmp_path / "run")
        begun.get_layer("convolution12").set_weights([2 * kernel])
        loop.save(begun, tmp_path / "run" / "model.keras")
        small = replace(made, front_teacher=str(tmp_path / "run"), front=(4, 4, 4, 1), front_steps=1)
        again = front.train_front(small, batches, tmp_path / "small")
        np.testing.assert_array_equal(again.get_layer("convolution12").get_weights()[0], 2 * kernel)
        with pytest.raises(SettingsError, match=r"model.front_teacher: .* is no run of 'dense'"):
            front.train_front(replace(made, front_teacher=str(trained)), batches, tmp_path / "none")
        with pytest.raises(SettingsError, match=r"model.front_steps: for the network 'dense', not 'cnn'"):
            front.train_front(replace(made, network="cnn"), batches, tmp_path / "none")
    (tmp_path / "idle").mkdir()
    (tmp_path / "idle" / "cache.npz").hardlink_to(trained / "cache.npz")
    idle = classifier_task.ClassifierTask(replace(made, front_teacher=str(tmp_path / "run"), front_steps=0))
    with pytest.raises(SettingsError, match=r"model.front_teacher: .* set model.front_steps"):
        idle.train(tmp_path / "idle")
