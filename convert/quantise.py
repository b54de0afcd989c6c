"""Quantise a float model to a TFLite file that is int8 throughout, with named tensors."""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from convert.export_graph import OUTPUTS, deployed, rescaling
from convert.optimise import optimise


def quantise(model: keras.Model, task: str, images: NDArray[np.uint8]) -> bytes:
    """Quantise a trained model and rearrange it for speed; the content of a TFLite file with int8 input and outputs.

    ``images`` (n, h, w, 1) calibrate the ranges of activations; a black and a white image are added, so that the whole
    range of pixels occurs. The scale of the input is that of the model's own rescaling.
    """
    return optimise(converted(model, task, images))


def converted(model: keras.Model, task: str, images: NDArray[np.uint8]) -> bytes:
    """Quantise a model as `quantise` does, in the arrangement that the converter gives it."""
    scale, offset = rescaling(model)
    function = deployed(model, task)
    height, width = images.shape[1:3]
    extremes = np.stack([np.zeros((height, width, 1), np.uint8), np.full((height, width, 1), 255, np.uint8)])

    def calibration() -> Any:
        for image in np.concatenate([images, extremes]):
            yield [image[None].astype(np.float32) * scale + offset]

    with tempfile.TemporaryDirectory() as folder:
        function.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = calibration
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
        content = converter.convert()
    return _with_names(content, OUTPUTS[task])


def operators(content: bytes) -> tuple[str, ...]:
    """Names of the operators of a TFLite file, each once."""
    codes = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    return tuple(sorted({codes[max(each.builtinCode, each.deprecatedBuiltinCode)] for each in model.operatorCodes}))


def float_tensors(content: bytes) -> list[str]:
    """Names of the tensors that are not quantised; empty if a file is int8 throughout."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    kinds = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
    return [tensor.name.decode() for graph in model.subgraphs for tensor in graph.tensors if tensor.type in kinds]


def _with_names(content: bytes, outputs: tuple[str, ...]) -> bytes:
    """The file with its input and outputs named; a signature sorts outputs by name, as ``outputs`` are."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    graph.tensors[graph.inputs[0]].name = b"pixels"
    (signature,) = model.signatureDefs
    tensors = {each.name.decode(): each.tensorIndex for each in signature.outputs}
    for name in outputs:
        graph.tensors[tensors[name]].name = name.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def write(content: bytes, path: Path) -> None:
    """Write a file under a temporary name, then rename it."""
    partial = path.with_suffix(".writing")
    partial.write_bytes(content)
    partial.replace(path)
