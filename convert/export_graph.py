"""Rebuild a trained Keras model for export: named outputs, and no arithmetic on the pixels."""

from typing import Any

import keras
from keras import layers

OUTPUTS = {"detect": ("boxes", "landmarks", "scores"), "classify": ("logits",), "check": ("logits",)}
"""Names of a task's outputs, in their order in the file."""


def rescaling(model: keras.Model) -> tuple[float, float]:
    """Scale and offset of the first layer, which rescales pixels 0 to 255; TypeError if it is another layer."""
    first = model.layers[1]
    if not isinstance(first, layers.Rescaling):
        raise TypeError(f"{model.name}: the first layer must be Rescaling, is {type(first).__name__}")
    return float(first.scale), float(first.offset)


def deployed(model: keras.Model, task: str) -> keras.Model:
    """The model behind its `rescaling`, with a dictionary of outputs (see `OUTPUTS`).

    Its input is quantised to int8 with the scale of the rescaling, so pixels less 128 go in.
    """
    start = model.layers[1].output
    return keras.Model(start, _detector_outputs(model) if task == "detect" else {"logits": model.outputs[0]})


def _detector_outputs(model: keras.Model) -> dict[str, Any]:
    """Scores, boxes and landmarks as separate outputs over all strides, each quantised over its own range."""
    outputs = {}
    for name in OUTPUTS["detect"]:
        heads = [layer for layer in model.layers if layer.name.rstrip("0123456789") == name]
        rows = [layers.Reshape((-1, head.filters))(head.output) for head in heads]
        outputs[name] = layers.Concatenate(axis=1)(rows)
    return outputs
