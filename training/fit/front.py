"""A network whose first layers give something -> `architectures.dense` whose front has learnt to give the same."""

from pathlib import Path

import keras
import numpy as np
from msgspec.structs import replace

from base.errors import SettingsError
from training.fit.loop import Batch, BatchPrefetcher, build_with_precision, schedule, train
from training.networks import architectures
from training.recipe import ClassifierRecipe, read_run_recipe

PEAK_RATE = 4e-3


def train_front(recipe: ClassifierRecipe, batches: BatchPrefetcher, folder: Path) -> keras.Model:
    """A new `architectures.dense` with the later layers of the run ``recipe.front_teacher``, or of the backbone, whose front learns
    for ``recipe.front_steps`` steps, in ``folder``, to give what that one's first layers give.

    SettingsError for another network, without ``recipe.front_steps``, or if ``recipe.front_teacher`` is no run of ``dense`` or
    of ``transfer`` that sees its faces twice as large.
    """
    like = _like(recipe)
    joint = architectures.FRONT if like.name == "dense" else architectures.JOINT
    given = keras.Model(like.inputs, like.get_layer(joint).output)

    def make() -> keras.Model:
        front = _front(build_with_precision(recipe.precision, lambda: architectures.build_classifier(recipe)))
        front.compile(keras.optimizers.Adam(schedule(PEAK_RATE, recipe.front_steps)), "mse")
        return front

    def finish(batch: Batch) -> Batch:
        return batch[0], given.predict_on_batch(np.asarray(batch[0], np.float32))

    learnt = train(make, batches, recipe.front_steps, folder, finish=finish)
    model = build_with_precision(recipe.precision, lambda: architectures.build_classifier(recipe))
    front, theirs = _front(model), {layer.name: layer for layer in like.layers}
    ours = {layer.name for layer in front.layers}
    for layer in model.layers:
        if layer.weights and layer.name not in ours:
            layer.set_weights(theirs[layer.name].get_weights())
    front.set_weights(learnt.get_weights())
    return model


def _front(model: keras.Model) -> keras.Model:
    return keras.Model(model.inputs, model.get_layer(architectures.FRONT).output)


def _like(recipe: ClassifierRecipe) -> keras.Model:
    """What the front shall be like, for faces of the recipe's size."""
    if recipe.network != "dense":
        raise SettingsError(f"model.front_steps: for the network 'dense', not {recipe.network!r}")
    if not recipe.front_steps:
        raise SettingsError(
            f"model.front_teacher: {recipe.front_teacher} teaches the front nothing in no steps; set model.front_steps"
        )
    if recipe.front_teacher is None:
        return architectures.build_classifier(replace(recipe, network="transfer", upscale=2))
    run = Path(recipe.front_teacher)
    recipe.require_same("model.front_teacher", run, "labels")
    made = read_run_recipe(run)
    if not isinstance(made, ClassifierRecipe) or (made.network, made.upscale) not in (("transfer", 2), ("dense", 1)):
        raise SettingsError(f"model.front_teacher: {run} is no run of 'dense', or of 'transfer' with model.upscale 2")
    model = architectures.build_classifier(
        replace(made, width=recipe.width, height=recipe.height, backbone=recipe.backbone)
    )
    model.set_weights(architectures.load_model(run / "model.keras").get_weights())
    return model
