"""Build a pretrained face-recognition backbone in Keras from its list of layers, and load its weights.

A backbone is two files: ``NAME.json`` lists its layers and ``NAME.npz`` holds their arrays, named as in MXNet.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from training.networks.batch_norm import Normalised
from training.networks.depthwise import Depthwise

LayerSpec = dict[str, Any]
"""One layer of the list: ``layer`` (its name), ``op``, ``inputs``, and the parameters of the operation."""


def read_layers(weights: Path) -> list[LayerSpec]:
    """The layers of a backbone (the path of its ``.npz``) up to its embedding, in order."""
    listed = json.loads(weights.with_suffix(".json").read_text())["layers"]
    return list(itertools.takewhile(lambda spec: spec["op"] != "Flatten", listed))


def apply_layers(x: Any, listed: list[LayerSpec], outputs: dict[str, Any] | None = None) -> Any:
    """Apply layers to the tensor ``x``.

    ``outputs`` are tensors by layer name, which residual connections may take as inputs.
    """
    outputs = outputs or {}
    for spec in listed:
        if spec["op"] == "min":
            continue  # ReLU6 is listed as max(0) and min(6); the former becomes one layer for both
        is_sum = spec["op"] == "elemwise_add"
        x = layers.Add()([outputs[name] for name in spec["inputs"]]) if is_sum else _apply_layer(x, spec)
        outputs[spec["layer"]] = x
    return x


def _apply_layer(x: Any, spec: LayerSpec) -> Any:
    """Apply one layer, which keeps its name in the list. Padding is symmetric, as in MXNet."""
    name = spec["layer"]
    if spec["op"] == "max":
        return layers.ReLU(max_value=6.0)(x)
    if spec["op"] == "batchnorm":
        return Normalised(epsilon=spec["eps"], momentum=0.97, name=name)(x)
    size, stride = (int(spec[key].strip("()").split(",")[0]) for key in ("kernel", "stride"))
    if size > 1 and stride > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    padding = "valid" if stride > 1 or size == 1 else "same"
    if spec["groups"] > 1:
        return Depthwise(size, stride, padding, use_bias=spec["bias"], name=name)(x)
    return layers.Conv2D(spec["out"], size, stride, padding, use_bias=spec["bias"], name=name)(x)


def load_weights(model: keras.Model, weights: Path) -> None:
    """Load a backbone's arrays into the layers of the same names; kernels (out, in, h, w) are transposed for Keras."""
    with np.load(weights) as arrays:
        for layer in model.layers:
            if f"{layer.name}_gamma" in arrays:
                parts = ("gamma", "beta", "moving_mean", "moving_var")
                layer.set_weights([arrays[f"{layer.name}_{part}"] for part in parts])
            elif f"{layer.name}_weight" in arrays:
                axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
                bias = [arrays[f"{layer.name}_bias"]] if layer.use_bias else []
                layer.set_weights([arrays[f"{layer.name}_weight"].transpose(axes), *bias])
