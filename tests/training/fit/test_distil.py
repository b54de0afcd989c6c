"""Distillation and mixup: what becomes of the targets."""

import os

import cv2
import numpy as np
import pytest

from tests.support.drawings import draw_cache, weights

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def test_a_teacher_moves_the_targets_towards_its_predictions(trained):
    """The targets move towards the teachers' mean prediction by the recipe's weight. Labelled images have a weight of
    their own, 0 by default.
    """
    import msgspec

    from training import recipe as recipes
    from training.data.face_cache import Faces
    from training.fit.distil import distilled_targets

    recipe = recipes.read(trained / "mood.toml", (f"model.teachers=['{trained}']", "model.teacher_weight=0.25"))
    part = Faces.load(trained / "cache.npz", recipe, "train")
    mixed = distilled_targets(part, recipe)
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-5)
    moved, last = np.abs(mixed - part.targets), len(part.fer)
    assert len(part.photos) and 0.01 < moved[:last].max() <= 0.25 + 1e-6 and not moved[last:].any()
    alike = distilled_targets(part, msgspec.structs.replace(recipe, photo_teacher_weight=0.5)) - part.targets
    assert 0.01 < np.abs(alike[last:]).max() <= 0.5 + 1e-6
    np.testing.assert_allclose(alike[:last], mixed[:last] - part.targets[:last], atol=1e-6)


def test_faces_are_blended_with_their_targets():
    """Pixels, target and teacher weight of two faces are blended by the same ratio."""
    from training.fit.classifier_batches import mix_up

    pixels = np.zeros((6, 4, 4, 1), np.uint8)
    pixels[:3] = 200
    targets = np.repeat(np.eye(2, dtype=np.float32), 3, axis=0)
    shares = np.repeat(np.array([[0.7], [0.2]], np.float32), 3, axis=0)
    made, of_them, taught = mix_up(np.random.default_rng(3), (pixels, targets, shares), 1.0)
    np.testing.assert_allclose(made[:, 0, 0, 0] / 200, of_them[:, 0], atol=0.003)
    np.testing.assert_allclose(of_them.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(taught[:, 0], 0.2 + 0.5 * of_them[:, 0], atol=1e-6)
    assert ((of_them[:, 0] > 0.02) & (of_them[:, 0] < 0.98)).any()


def test_teachers_predict_the_views_that_the_network_is_shown(trained, quantised):
    """With ``teacher_input = "views"`` the targets hold the prediction for the augmented pixels, resized to the
    teacher's input. A bundle with other labels is named.
    """
    import msgspec

    from base.errors import SettingsError
    from contract.card import ClassifierCard
    from edge.vision import bundle
    from edge.vision.classify import Classifier
    from training import recipe
    from training.data.face_cache import Faces
    from training.evaluate import classifier_metrics
    from training.fit.distil import ViewTeachers, distilled_targets
    from training.networks.architectures import load_model

    made = recipe.read(
        trained / "mood.toml", (f"model.teachers=['{trained}','{quantised}']", "model.teacher_input=views")
    )
    part = Faces.load(trained / "cache.npz", made, "train")
    np.testing.assert_array_equal(distilled_targets(part, made), part.targets)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1)).astype(np.uint8)
    targets, shares = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([[0.0], [1.0], [0.5], [0.5]], np.float32)
    shown, mixed = ViewTeachers(made)((pixels, targets, shares))
    assert shown is pixels
    seen = np.stack([cv2.resize(each, (48, 48)) for each in pixels])
    ours = classifier_metrics.softmax(classifier_metrics.logits(load_model(trained / "model.keras"), seen))
    answers = (ours + Classifier(bundle.load(quantised, ClassifierCard)).probabilities(seen)) / 2
    np.testing.assert_allclose(mixed, (1 - shares) * targets + shares * answers, atol=1e-4)
    with pytest.raises(SettingsError, match=r"model.teachers: .*expression.json has the labels"):
        ViewTeachers(msgspec.structs.replace(made, teachers=(str(bundle.SHIPPED / "expression.json"),)))


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_without_teachers_their_input_does_not_matter(trained, tmp_path):
    """Without teachers, both inputs give the same weights after two steps."""
    from training import recipe
    from training.fit.classifier_task import ClassifierTask

    ends = []
    for see in ("faces", "views"):
        (tmp_path / see).mkdir()
        draw_cache(tmp_path / see / "cache.npz")
        more = ("model.steps=2", f"model.start={trained}", f"model.teacher_input={see}")
        ClassifierTask(recipe.read(trained / "mood.toml", more)).train(tmp_path / see)
        ends.append(weights(tmp_path / see))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)
