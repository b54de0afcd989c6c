"""The front of the network ``dense`` learns to reproduce the first layers of a backbone or of another run."""

import os

import numpy as np
import pytest
from msgspec.structs import replace

from base.errors import SettingsError
from tests.support.drawings import draw_backbone

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_a_front_learns_the_output_of_the_backbone(trained, tmp_path):
    """The later layers are the backbone's. A run of ``dense`` can take the backbone's place; a run of another network
    is an error.
    """
    from training import recipe as recipes
    from training.data import face_cache
    from training.fit import front, loop
    from training.fit.classifier_batches import Batches
    from training.fit.classifier_task import ClassifierTask
    from training.fit.prefetch import BatchPrefetcher
    from training.networks import architectures

    keys = ("network=dense", f"backbone={draw_backbone(tmp_path)}", "front=[8,12,12,1]", "front_steps=200")
    recipe = recipes.read(trained / "mood.toml", tuple(f"model.{key}" for key in keys))
    part = face_cache.Faces.load(trained / "cache.npz", recipe, "train")
    pixels = face_cache.centre_crops(part.fer, 48, 1.0)[..., None].astype(np.float32)

    def output(model, layer):
        return keras.Model(model.inputs, model.get_layer(layer).output).predict_on_batch(pixels)

    backbone = architectures.build_classifier(replace(recipe, network="transfer", upscale=2))
    wanted = output(backbone, architectures.JOINT)
    with BatchPrefetcher(Batches(part, recipe, part.targets)) as batches:
        model = front.train_front(recipe, batches, tmp_path / "front")
        before, after = (
            np.square(output(each, architectures.FRONT) - wanted).mean()
            for each in (architectures.build_classifier(recipe), model)
        )
        assert after < 0.5 * before
        kernel = model.get_layer("convolution12").get_weights()[0]
        np.testing.assert_array_equal(kernel, backbone.get_layer("convolution12").get_weights()[0])

        recipe.save_to(tmp_path / "run")
        model.get_layer("convolution12").set_weights([2 * kernel])
        loop.save(model, tmp_path / "run" / "model.keras")
        small = replace(recipe, front_teacher=str(tmp_path / "run"), front=(4, 4, 4, 1), front_steps=1)
        again = front.train_front(small, batches, tmp_path / "small")
        np.testing.assert_array_equal(again.get_layer("convolution12").get_weights()[0], 2 * kernel)
        with pytest.raises(SettingsError, match=r"model.front_teacher: .* must be a run of 'dense'"):
            front.train_front(replace(recipe, front_teacher=str(trained)), batches, tmp_path / "none")
        with pytest.raises(SettingsError, match=r"model.front_steps: must be 0 unless .* 'dense', is 'cnn'"):
            front.train_front(replace(recipe, network="cnn"), batches, tmp_path / "none")
    (tmp_path / "idle").mkdir()
    (tmp_path / "idle" / "cache.npz").hardlink_to(trained / "cache.npz")
    idle = ClassifierTask(replace(recipe, front_teacher=str(tmp_path / "run"), front_steps=0))
    with pytest.raises(SettingsError, match=r"model.front_teacher: requires model.front_steps above 0"):
        idle.train(tmp_path / "idle")
