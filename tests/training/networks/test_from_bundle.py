"""Fine-tuning a shipped bundle: the initial network computes what the int8 file computes."""

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


def images(count):
    """Images (count, 320, 416, 1), each with a drawn face in the centre."""
    drawn, _ = draw_faces(count, 160, np.random.default_rng(1))
    return np.pad(drawn, ((0, 0), (80, 80), (128, 128)), constant_values=90)[..., None]


def test_the_network_computes_what_the_file_computes():
    """Scores of the float network equal those of the int8 file up to quantisation. Training mode, which normalises by
    the statistics of the batch, gives the same for the images that the statistics were taken from.
    """
    from training.networks.architectures import face_detector
    from training.networks.from_bundle import load_bundle_weights

    pixels = images(6)
    model = face_detector()
    load_bundle_weights(model, SHIPPED, pixels)
    predicted = np.asarray(model.predict_on_batch(pixels.astype(np.float32)))
    shipped = bundle.load(SHIPPED.with_suffix(".json"), DetectorCard)
    wanted = np.stack([shipped.model.values(shipped.model.run(each[None]), "scores")[0, :, 0] for each in pixels])
    assert np.abs(predicted[..., 0] - wanted).mean() < 0.5  # logits are -6 and more; those of faces are closer
    assert np.corrcoef(predicted[..., 0].ravel(), wanted.ravel())[0, 1] > 0.9
    best = np.arange(len(wanted)), predicted[..., 0].argmax(1)
    assert (wanted.max(1) - wanted[best]).max() < 0.1  # the same grid cell is best, up to a quantisation step
    assert np.abs(predicted[..., 0][best] - wanted[best]).max() < 0.3
    np.testing.assert_allclose(np.asarray(model(pixels.astype(np.float32), training=True)), predicted, atol=2e-3)


def test_the_file_of_another_network_is_refused():
    """A detector's file fits neither a detector with a narrower first layer nor a classifier."""
    from training.networks.architectures import face_detector, plain
    from training.networks.from_bundle import load_bundle_weights

    model = face_detector()
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)).name

    def narrower(layer):
        fewer = {"filters": 8} if layer.name == first else {}
        return type(layer).from_config({**layer.get_config(), **fewer})

    other = keras.models.clone_model(model, clone_function=narrower)
    with pytest.raises(
        BundleError, match=r"face-416x320\.tflite: conv2d\S* must have the shape \(3, 3, 1, 8\), has \(3, 3, 1, 16\)"
    ):
        load_bundle_weights(other, SHIPPED, images(2))
    with pytest.raises(
        BundleError, match=r"face-416x320\.tflite: must have \d+ layers with weights, as the network has"
    ):
        load_bundle_weights(plain(320, 3), SHIPPED, images(2))


def test_a_damaged_bundle_is_refused(tmp_path):
    """Its hash is checked first, as on a device."""
    from training.fit.detector_task import DetectorTask
    from training.recipe import read

    for name in ("face-416x320.json", "face-416x320.tflite"):
        shutil.copy(bundle.SHIPPED / name, tmp_path)
    content = bytearray((tmp_path / "face-416x320.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "face-416x320.tflite").write_bytes(content)
    recipe = read(Path(ROOT / "training" / "recipes" / "face.toml"), (f"model.start={tmp_path / 'face-416x320.json'}",))
    with pytest.raises(BundleError, match="sha256"):
        DetectorTask(recipe)._make(lambda step: (images(2), None))
