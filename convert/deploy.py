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


def deployed(model: keras.Model, task: str, rescaled: bool) -> keras.Model:
    """The model with a dictionary of outputs (see `OUTPUTS`), taking pixels 0..255 or, where ``rescaled``, what its
    `rescaling` makes of them: as uint8 with that scale the pixels then need no arithmetic at all."""
    begin = model.layers[1].output if rescaled else model.inputs[0]
    if task == "classify":
        return keras.Model(begin, {"logits": model.outputs[0]})
    return keras.Model(begin, _apart(model))


def _apart(model: keras.Model) -> dict[str, Any]:
    """Of a detector: scores, boxes and landmarks, all strides one after the other. Boxes and landmarks, one convolution
    in training, become two, so that each is quantised over its own range."""
    parts: dict[str, list[Any]] = {"scores": [], "boxes": [], "landmarks": []}
    for layer in [each for each in model.layers if each.name.startswith("score")]:
        parts["scores"].append(layers.Reshape((-1, 1))(layer.output))
        place = model.get_layer("place" + layer.name.removeprefix("score"))
        kernel, bias = place.get_weights()
        for name, part in (("boxes", slice(0, 4)), ("landmarks", slice(4, 14))):
            one = layers.Conv2D(part.stop - part.start, 1, name=f"{name}-{layer.name}")
            spread = one(place.input)
            one.set_weights([kernel[..., part], bias[part]])
            parts[name].append(layers.Reshape((-1, part.stop - part.start))(spread))
    return {name: layers.Concatenate(axis=1)(several) for name, several in parts.items()}
