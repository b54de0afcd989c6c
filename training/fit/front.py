"""Train the front of the network ``dense`` to reproduce the first layers of a larger classifier or of the backbone."""

from pathlib import Path

import keras
import numpy as np
from msgspec.structs import replace

from base.errors import SettingsError
from training.fit.loop import build_with_precision, schedule, train
from training.fit.prefetch import Batch, BatchPrefetcher
from training.networks import architectures
from training.recipe import ClassifierRecipe, read_run_recipe

PEAK_RATE = 4e-3
"""Highest learning rate."""


def train_front(recipe: ClassifierRecipe, batches: BatchPrefetcher, folder: Path) -> keras.Model:
    """Build a `architectures.dense` with a trained front; its later layers are those of the front's teacher.

    The front learns for ``recipe.front_steps`` steps, with checkpoints in ``folder``, to give the output of the
    teacher's first layers for the same images. The teacher is the run ``recipe.front_teacher``, or the backbone.

    SettingsError if the network is not ``dense``, if ``front_steps`` is 0, or if the run is not one of ``dense`` or of
    ``transfer`` with ``upscale = 2``.
    """
    teacher = _teacher(recipe)
    joint = architectures.FRONT if teacher.name == "dense" else architectures.JOINT
    first_layers = keras.Model(teacher.inputs, teacher.get_layer(joint).output)

    def build() -> keras.Model:
        return build_with_precision(recipe.precision, lambda: architectures.build_classifier(recipe))

    def make_front() -> keras.Model:
        front = _front_of(build())
        front.compile(keras.optimizers.Adam(schedule(PEAK_RATE, recipe.front_steps)), "mse")
        return front

    def with_teacher(batch: Batch) -> Batch:
        return batch[0], first_layers.predict_on_batch(np.asarray(batch[0], np.float32))

    trained = train(make_front, batches, recipe.front_steps, folder, finish=with_teacher)
    model = build()
    front = _front_of(model)
    front_layers = {layer.name for layer in front.layers}
    for layer in model.layers:
        if layer.weights and layer.name not in front_layers:
            layer.set_weights(teacher.get_layer(layer.name).get_weights())
    front.set_weights(trained.get_weights())
    return model


def _front_of(model: keras.Model) -> keras.Model:
    return keras.Model(model.inputs, model.get_layer(architectures.FRONT).output)


def _teacher(recipe: ClassifierRecipe) -> keras.Model:
    """The network whose first layers the front reproduces, with the recipe's input size."""
    if recipe.network != "dense":
        raise SettingsError(f"model.front_steps: must be 0 unless model.network is 'dense', is {recipe.network!r}")
    if not recipe.front_steps:
        raise SettingsError("model.front_teacher: requires model.front_steps above 0, is 0")
    if recipe.front_teacher is None:
        return architectures.build_classifier(replace(recipe, network="transfer", upscale=2))
    run = Path(recipe.front_teacher)
    recipe.require_same("model.front_teacher", run, "labels")
    other = read_run_recipe(run)
    if not isinstance(other, ClassifierRecipe) or (other.network, other.upscale) not in (("transfer", 2), ("dense", 1)):
        raise SettingsError(
            f"model.front_teacher: {run} must be a run of 'dense', or of 'transfer' with model.upscale 2; is not"
        )
    size = {"width": recipe.width, "height": recipe.height}
    model = architectures.build_classifier(replace(other, **size, backbone=recipe.backbone))
    model.set_weights(architectures.load_model(run / "model.keras").get_weights())
    return model
