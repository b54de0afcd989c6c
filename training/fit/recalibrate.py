"""Recalibrate batch normalisation for averaged weights (Izmailov et al. 2018, stochastic weight averaging)."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from training.fit.prefetch import Batch

BATCHES = 40
"""Batches over which the statistics are averaged."""


def recalibrate_batch_norm(model: keras.Model, batches: Callable[[int], Batch], count: int = BATCHES) -> None:
    """Replace the moving mean and variance of each batch normalisation by those that the model's weights produce.

    Statistics are averaged over the first ``count`` batches.
    The moving statistics of training belong to the weights of the last steps, not to their average.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    if not norms:
        return
    momentums = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    forward = _training_forward(model)
    statistics = [each for norm in norms for each in (norm.moving_mean, norm.moving_variance)]
    totals = [np.zeros(each.shape, np.float32) for each in statistics]
    for number in range(count):
        forward(np.asarray(batches(number)[0], np.float32))
        totals = [total + np.asarray(each.value) for total, each in zip(totals, statistics, strict=True)]
    for variable, total in zip(statistics, totals, strict=True):
        variable.assign(total / count)
    for norm, momentum in zip(norms, momentums, strict=True):
        norm.momentum = momentum


def _training_forward(model: keras.Model) -> Callable[[Any], None]:
    """The forward pass in training mode; compiled with JAX, which is slow at single operators."""
    if keras.backend.backend() != "jax":
        return lambda pixels: model(pixels, training=True)
    import jax  # noqa: PLC0415

    @jax.jit
    def updated(trainable: Any, others: Any, pixels: Any) -> Any:
        return model.stateless_call(trainable, others, pixels, training=True)[1]

    def forward(pixels: Any) -> None:
        trainable, others = (
            [each.value for each in part] for part in (model.trainable_variables, model.non_trainable_variables)
        )
        for variable, value in zip(model.non_trainable_variables, updated(trainable, others, pixels), strict=True):
            variable.assign(value)

    return forward
