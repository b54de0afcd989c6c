"""Training on from a shipped bundle: the network that begins is the one in the int8 file."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from contract.card import DetectorCard
from contract.errors import BundleError
from edge.vision import bundle
from tests.support.drawings import ROOT, draw_faces

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
SHIPPED = bundle.SHIPPED / "face-416x320.tflite"


def pictures(count):
    """Drawn faces in the middle of images (count, 320, 416, 1)."""
    drawn, _ = draw_faces(count, 160, np.random.default_rng(1))
    return np.pad(drawn, ((0, 0), (80, 80), (128, 128)), constant_values=90)[..., None]


def test_the_network_answers_as_the_file_and_keeps_to_it_in_training():
    """Scores of the float network are those of the int8 file but for rounding; its normalisation, which in training
    takes each batch's own mean and variance, changes nothing on the pictures it was settled on.
    """
    from training.networks.architectures import face_detector
    from training.networks.from_bundle import load_bundle_weights

    seen = pictures(6)
    model = face_detector()
    load_bundle_weights(model, SHIPPED, seen)
    given = np.asarray(model.predict_on_batch(seen.astype(np.float32)))
    held = bundle.load(SHIPPED.with_suffix(".json"), DetectorCard)
    wanted = np.stack([held.model.values(held.model.run(each[None]), "scores")[0, :, 0] for each in seen])
    assert np.abs(given[..., 0] - wanted).mean() < 0.5  # of logits from -6 up; where a face is they are closer
    assert np.corrcoef(given[..., 0].ravel(), wanted.ravel())[0, 1] > 0.9
    best = np.arange(len(wanted)), given[..., 0].argmax(1)
    assert (wanted.max(1) - wanted[best]).max() < 0.1  # the float's best cell is one of the file's, but for its steps
    assert np.abs(given[..., 0][best] - wanted[best]).max() < 0.3
    np.testing.assert_allclose(np.asarray(model(seen.astype(np.float32), training=True)), given, atol=2e-3)


def test_a_file_of_another_network_is_named():
    """Neither the detector's into one whose first layer is narrower, nor into a classifier that is none of ours."""
    from training.networks.architectures import face_detector, plain
    from training.networks.from_bundle import load_bundle_weights

    model = face_detector()
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)).name

    def narrower(layer):
        fewer = {"filters": 8} if layer.name == first else {}
        return type(layer).from_config({**layer.get_config(), **fewer})

    other = keras.models.clone_model(model, clone_function=narrower)
    with pytest.raises(
        BundleError, match=r"face-416x320\.tflite: conv2d\S* has the shape \(3, 3, 1, 16\), not \(3, 3, 1, 8\)"
    ):
        load_bundle_weights(other, SHIPPED, pictures(2))
    with pytest.raises(BundleError, match=r"face-416x320\.tflite: \d+ layers with weights, the network has"):
        load_bundle_weights(plain(320, 3), SHIPPED, pictures(2))


def test_a_bundle_that_is_broken_is_not_begun_from(tmp_path):
    """Its hash is compared first, as on a device."""
    from training.fit.detector_task import DetectorTask
    from training.recipe import read

    for name in ("face-416x320.json", "face-416x320.tflite"):
        shutil.copy(bundle.SHIPPED / name, tmp_path)
    content = bytearray((tmp_path / "face-416x320.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "face-416x320.tflite").write_bytes(content)
    recipe = read(Path(ROOT / "training" / "recipes" / "face.toml"), (f"model.start={tmp_path / 'face-416x320.json'}",))
    with pytest.raises(BundleError, match="sha256"):
        DetectorTask(recipe)._make(lambda step: (pictures(2), None))


def test_averaged_weights_have_statistics_of_their_own(tmp_path):
    """What a trained model's normalisation holds is what its averaged weights make of the batches, not what the last
    weights made of them: in inference it answers as with a batch's own statistics.
    """
    from training.fit import loop
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

    with loop.BatchPrefetcher(batch) as batches:
        model = loop.train(make, batches, 40, tmp_path)
    seen = np.concatenate([batch(step)[0] for step in range(4)])
    np.testing.assert_allclose(model.predict_on_batch(seen), np.asarray(model(seen, training=True)), atol=0.02)
    assert [layer.momentum for layer in model.layers if isinstance(layer, Normalised)] == [0.97]
