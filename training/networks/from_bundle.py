"""A shipped bundle's int8 file -> the weights of the same network in Keras, to train on from.

Only int8 files are shipped. Their convolutions hold what batch normalisation made of them; here they are taken apart
again, so that the network does what the file does, and its normalisation has the statistics of real pictures.
"""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from contract.errors import BundleError

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
WEIGHED = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
NAMED = re.compile(r"/([^/;]+)_\d+/(?:convolution|depthwise|MatMul)")
"""How the converter names a kernel: the layer's name, and a number of its own."""
OPERATORS = {
    schema.BuiltinOperator.CONV_2D: (1, 2, 3, 0),
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: (1, 2, 3, 0),
    schema.BuiltinOperator.FULLY_CONNECTED: (1, 0),
}
"""Operators with weights, and the order that Keras has their axes in."""


def load_bundle_weights(model: keras.Model, file: Path, pictures: Pixels) -> None:
    """Put the weights of a TFLite file of the same network into a new model; pictures uint8 (n, h, w, 1).

    BundleError if the file's layers are not those of the model. Afterwards it answers as the file does, but for
    rounding; means and variances of its normalisation are those of the pictures.
    """
    held = sorted(_weights(file), key=lambda each: _rank(each[0]))
    wanted = sorted((each for each in model.layers if isinstance(each, WEIGHED)), key=lambda each: _rank(each.name))
    if len(held) != len(wanted):
        raise BundleError(f"{file}: {len(held)} layers with weights, the network has {len(wanted)}")
    followed = {_source(each): each for each in model.layers if isinstance(each, layers.BatchNormalization)}
    for (name, kernel, bias), layer in zip(held, wanted, strict=True):
        if kernel.shape != tuple(layer.kernel.shape):
            raise BundleError(f"{file}: {name} has the shape {kernel.shape}, not {tuple(layer.kernel.shape)}")
        norm = followed.get(layer.name)
        layer.set_weights([kernel, 0 * bias if norm else bias] if layer.use_bias else [kernel])
        if norm:
            one = np.ones_like(bias)
            norm.set_weights([one * np.sqrt(1 + norm.epsilon), bias, 0 * bias, one])
    _settle(model, list(followed.values()), pictures)


def _settle(model: keras.Model, normed: list[Any], pictures: Pixels) -> None:
    """Give each normalisation the mean and variance of what it meets in the pictures, and a scale and offset with which
    it does as before.
    """
    met = keras.Model(model.inputs, [norm.input for norm in normed])
    given = [np.asarray(each) for each in met.predict_on_batch(pictures.astype(np.float32))]
    for norm, values in zip(normed, given, strict=True):
        mean, variance = values.mean((0, 1, 2)), values.var((0, 1, 2)) + 1e-6
        _, offset, _, _ = norm.get_weights()
        norm.set_weights([np.sqrt(variance + norm.epsilon), offset + mean, mean, variance])


def _weights(file: Path) -> list[tuple[str, Floats, Floats]]:
    """Name, kernel in Keras's order and bias (out,) of each layer of a TFLite file that has them."""
    model = flatbuffer_utils.read_model(str(file))
    (graph,) = model.subgraphs
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        order = OPERATORS.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        if order is None:
            continue
        weights, bias = (graph.tensors[index] for index in operator.inputs[1:3])
        named = NAMED.search(weights.name.decode())
        if named is None:
            raise BundleError(f"{file}: a layer without a name of ours: {weights.name.decode()}")
        kernel = _values(model, weights, np.int8).transpose(order)
        found.append((named[1], kernel, _values(model, bias, np.int32)))
    return found


def _values(model: Any, tensor: Any, kind: type) -> Floats:
    """A quantised tensor's values; its scales lie along one axis."""
    held = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
    along = [1] * held.ndim
    along[tensor.quantization.quantizedDimension] = len(tensor.quantization.scale)
    return (held * tensor.quantization.scale.reshape(along)).astype(np.float32)


def _source(norm: Any) -> str:
    """The name of the layer whose output a layer takes."""
    return str(norm.input._keras_history.operation.name)


def _rank(name: str) -> tuple[str, int]:
    """Layers in the order in which they were made: ``conv2d``, ``conv2d_1``, ... ``conv2d_10``."""
    stem = name.rstrip("0123456789")
    return stem.rstrip("_"), int(name[len(stem) :] or 0)
