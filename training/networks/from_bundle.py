"""Load the weights of a shipped int8 bundle into a new Keras model of the same network, to fine-tune it.

Only int8 files are shipped, and batch normalisation is folded into their convolutions. Here the two are separated
again: the model computes what the file computes, and its batch normalisation has the statistics of real images.
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
from training.networks.architectures import creation_rank, in_creation_order

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
LAYERS_WITH_WEIGHTS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
LAYER_NAME = re.compile(r"/([^/;]+)_\d+/(?:convolution|depthwise|MatMul)")
"""Finds the layer's name in the converter's name of a kernel, which adds a number."""
AXES = {
    schema.BuiltinOperator.CONV_2D: (1, 2, 3, 0),
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: (1, 2, 3, 0),
    schema.BuiltinOperator.FULLY_CONNECTED: (1, 0),
}
"""Operators with weights, and the order of their axes that gives Keras's."""
SINGLE, PAIRED = (3, 3, 1), (3, 2, 2)
"""Rows, columns and channels of the kernel of a first convolution, for single columns and for pairs of columns."""


def load_bundle_weights(model: keras.Model, file: Path, images: Pixels) -> None:
    """Load the weights of a TFLite file into a new model of the same network.

    Afterwards the model computes what the file computes, up to quantisation. The statistics of its batch normalisation
    are those of ``images`` (n, h, w, 1), uint8. BundleError if the file's layers are not those of the model.
    """
    stored = sorted(_read_weights(file), key=lambda each: creation_rank(each[0]))
    wanted = in_creation_order(model, LAYERS_WITH_WEIGHTS)
    if len(stored) != len(wanted):
        raise BundleError(f"{file}: must have {len(wanted)} layers with weights, as the network has; has {len(stored)}")
    norms = {_input_layer(each): each for each in model.layers if isinstance(each, layers.BatchNormalization)}
    for (name, given, bias), layer in zip(stored, wanted, strict=True):
        kernel = _of_single_columns(given, tuple(layer.kernel.shape))
        if kernel.shape != tuple(layer.kernel.shape):
            raise BundleError(f"{file}: {name} must have the shape {tuple(layer.kernel.shape)}, has {kernel.shape}")
        norm = norms.get(layer.name)
        layer.set_weights([kernel, 0 * bias if norm else bias] if layer.use_bias else [kernel])
        if norm:
            one = np.ones_like(bias)
            norm.set_weights([one * np.sqrt(1 + norm.epsilon), bias, 0 * bias, one])
    _set_statistics(model, list(norms.values()), images)


def _set_statistics(model: keras.Model, norms: list[Any], images: Pixels) -> None:
    """Set the mean and variance of each batch normalisation to those of its inputs for ``images``.

    Scale and offset are changed so that its output stays the same.
    """
    inputs = keras.Model(model.inputs, [norm.input for norm in norms])
    activations = [np.asarray(each) for each in inputs.predict_on_batch(images.astype(np.float32))]
    for norm, values in zip(norms, activations, strict=True):
        mean, variance = values.mean((0, 1, 2)), values.var((0, 1, 2)) + 1e-6
        _, offset, _, _ = norm.get_weights()
        norm.set_weights([np.sqrt(variance + norm.epsilon), offset + mean, mean, variance])


def _read_weights(file: Path) -> list[tuple[str, Floats, Floats]]:
    """Name, kernel in Keras's order of axes and bias (out,) of each layer of a TFLite file that has weights."""
    model = flatbuffer_utils.read_model(str(file))
    (graph,) = model.subgraphs
    read = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        axes = AXES.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        if axes is None:
            continue
        weights, bias = (graph.tensors[index] for index in operator.inputs[1:3])
        name = LAYER_NAME.search(weights.name.decode())
        if name is None:
            raise BundleError(f"{file}: the name of a kernel must contain a layer's, is {weights.name.decode()!r}")
        kernel = _dequantised(model, weights, np.int8).transpose(axes)
        read.append((name[1], kernel, _dequantised(model, bias, np.int32)))
    return read


def _of_single_columns(kernel: Floats, shape: tuple[int, ...]) -> Floats:
    """A kernel for pairs of columns (`convert.optimise`) as one for single columns, if ``shape`` asks for that."""
    if shape[:3] != SINGLE or kernel.shape[:3] != PAIRED:
        return kernel
    return kernel.reshape(3, 4, 1, -1)[:, :3]


def _dequantised(model: Any, tensor: Any, kind: type) -> Floats:
    """Values of a tensor of the type ``kind`` that is quantised per channel."""
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
    shape = [1] * values.ndim
    shape[tensor.quantization.quantizedDimension] = len(tensor.quantization.scale)
    return (values * tensor.quantization.scale.reshape(shape)).astype(np.float32)


def _input_layer(norm: Any) -> str:
    """Name of the layer whose output a layer takes."""
    return str(norm.input._keras_history.operation.name)
