"""A float model and pictures to calibrate on -> a full int8 TFLite file with named tensors."""

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


def quantise(model: keras.Model, task: str, pictures: NDArray[np.uint8]) -> bytes:
    """A trained model and calibration pictures uint8 (n, h, w, 1) -> the file: uint8 in, int8 out, int8 throughout.

    The input's scale is the model's own rescaling, so that pixels go in as they are. A black and a white picture are
    calibrated too, so that the whole range of pixels is met.
    """
    scale, offset = rescaling(model)
    function = deployed(model, task)
    height, width = pictures.shape[1:3]
    ends = np.stack([np.zeros((height, width, 1), np.uint8), np.full((height, width, 1), 255, np.uint8)])

    def calibration() -> Any:
        for picture in np.concatenate([pictures, ends]):
            yield [picture[None].astype(np.float32) * scale + offset]

    with tempfile.TemporaryDirectory() as folder:
        function.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = calibration
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.int8
        content = converter.convert()
    return _named(content, OUTPUTS[task])


def operators(content: bytes) -> tuple[str, ...]:
    """The operators of a TFLite file, each once, by name."""
    codes = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    return tuple(sorted({codes[max(each.builtinCode, each.deprecatedBuiltinCode)] for each in model.operatorCodes}))


def floats(content: bytes) -> list[str]:
    """Names of tensors that are not quantised; empty where a file is int8 throughout."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    kinds = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
    return [tensor.name.decode() for graph in model.subgraphs for tensor in graph.tensors if tensor.type in kinds]


def _named(content: bytes, outputs: tuple[str, ...]) -> bytes:
    """Input and outputs under their own names; a signature's outputs are sorted by name, and so are ours."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    graph.tensors[graph.inputs[0]].name = b"pixels"
    (signature,) = model.signatureDefs
    places = {each.name.decode(): each.tensorIndex for each in signature.outputs}
    for name in outputs:
        graph.tensors[places[name]].name = name.encode()
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def write(content: bytes, path: Path) -> None:
    """The file, at once and whole."""
    beside = path.with_suffix(".writing")
    beside.write_bytes(content)
    beside.replace(path)
