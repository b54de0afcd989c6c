"""A trained Keras model -> the same function with outputs by name and without what quantising would spoil."""

from typing import Any

import keras
from keras import layers

OUTPUTS = {"detect": ("boxes", "landmarks", "scores"), "classify": ("logits",)}
"""Names of a task's outputs, in their order in the file."""


def rescaling(model: keras.Model) -> tuple[float, float]:
    """The scale and offset with which a model takes pixels 0..255 first."""
    first = model.layers[1]
    if not isinstance(first, layers.Rescaling):
        raise TypeError(f"{model.name}: the first layer is {type(first).__name__}, not Rescaling")
    return float(first.scale), float(first.offset)


def deployed(model: keras.Model, task: str) -> keras.Model:
    """The model with a dictionary of outputs (see `OUTPUTS`), taking what its `rescaling` makes of pixels: as uint8
    with
    that scale the pixels then need no arithmetic at all."""
    begin = model.layers[1].output
    return keras.Model(begin, {"logits": model.outputs[0]} if task == "classify" else _apart(model))


def _apart(model: keras.Model) -> dict[str, Any]:
    """Of a detector: scores, boxes and landmarks each apart, all strides one after the other, so that each is quantised
    over its own range.
    """
    apart = {}
    for name in OUTPUTS["detect"]:
        heads = [layer for layer in model.layers if layer.name.rstrip("0123456789") == name]
        rows = [layers.Reshape((-1, head.filters))(head.output) for head in heads]
        apart[name] = layers.Concatenate(axis=1)(rows)
    return apart
