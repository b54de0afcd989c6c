"""Rearrange an int8 network so that it runs faster; its outputs stay the same to the last bit.

Every sum keeps its terms and every tensor its scale, so nothing is rounded differently. Three changes are made:

* The input is int8. The runtime converts uint8 pixels one by one; the device does the same for a whole image at once.
* Shapes are constants. The runtime then plans the whole network once, and runs all of it with its fast kernels.
* The first convolution, 3x3 with stride 2 on one channel, takes pairs of columns as two channels. The runtime's kernels
  multiply several channels at once, and leave most of that unused with one channel.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

Operator = schema.BuiltinOperator
VERSIONS = {Operator.RESHAPE: 1, Operator.CONCATENATION: 2}
"""Operators that a change may add, with the version that takes int8."""
UINT8_TO_INT8 = 128
"""Difference of the zero points of the same pixels as uint8 and as int8."""


def optimise(content: bytes) -> bytes:
    """The content of a TFLite file, rearranged; a change that does not apply to its network is left out."""
    network = _Network(content)
    network.fix_shapes(_shapes(content))
    network.take_int8()
    network.pair_columns()
    return network.content()


def _shapes(content: bytes) -> dict[int, list[int]]:
    """The shape of each tensor, by its number, for one image; they are known after a run."""
    interpreter = Interpreter(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    return {each["index"]: [int(side) for side in each["shape"]] for each in interpreter.get_tensor_details()}


class _Network:
    """A TFLite file that is being changed."""

    def __init__(self, content: bytes) -> None:
        self._model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        (self._graph,) = self._model.subgraphs

    def content(self) -> bytes:
        """The content of the changed file, without operators that nothing needs."""
        needed, kept = set(map(int, self._graph.outputs)), []
        for operator in reversed(self._graph.operators):
            if needed.intersection(map(int, operator.outputs)):
                kept.append(operator)
                needed.update(map(int, operator.inputs))
        self._graph.operators = kept[::-1]
        used = sorted({operator.opcodeIndex for operator in kept})
        self._model.operatorCodes = [self._model.operatorCodes[index] for index in used]
        for operator in kept:
            operator.opcodeIndex = used.index(operator.opcodeIndex)
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self._model))

    def fix_shapes(self, shapes: dict[int, list[int]]) -> None:
        """Replace shapes that are computed in the network by constants; only the batch stays open.

        EXPAND_DIMS becomes RESHAPE. A TILE that repeats once becomes CONCATENATION, which has a fast kernel.
        """
        for index, tensor in enumerate(self._graph.tensors):
            if tensor.shapeSignature is not None:
                tensor.shape = shapes[index]
                tensor.shapeSignature = [-1, *shapes[index][1:]]
        self._replace(lambda each: self._kind(each) in (Operator.RESHAPE, Operator.EXPAND_DIMS), self._reshaped)
        self._replace(self._repeats_once, self._concatenated)

    def _reshaped(self, operator: Any) -> list[Any]:
        return [self._reshape(operator.inputs[0], operator.outputs[0])]

    def _repeats_once(self, operator: Any) -> bool:
        if self._kind(operator) != Operator.TILE:
            return False
        counts = self._values(operator.inputs[1], np.int32)
        return sorted(counts.tolist()) == [1] * (len(counts) - 1) + [2]

    def _concatenated(self, operator: Any) -> list[Any]:
        """The operator that joins a tensor with itself along the axis that a TILE repeats."""
        options = schema.ConcatenationOptionsT()
        options.axis = int(self._values(operator.inputs[1], np.int32).argmax())
        inputs = [operator.inputs[0]] * 2
        joined = self._operator(Operator.CONCATENATION, inputs, operator.outputs)
        joined.builtinOptionsType, joined.builtinOptions = schema.BuiltinOptions.ConcatenationOptions, options
        return [joined]

    def take_int8(self) -> None:
        """Remove the conversion of uint8 pixels to int8 with the same scale at the input."""
        first = self._graph.operators[0]
        if self._kind(first) != Operator.QUANTIZE:
            return
        given, converted = (self._graph.tensors[index] for index in (first.inputs[0], first.outputs[0]))
        offset = given.quantization.zeroPoint[0] - converted.quantization.zeroPoint[0]
        same_scale = given.quantization.scale[0] == converted.quantization.scale[0]
        if converted.type != schema.TensorType.INT8 or offset != UINT8_TO_INT8 or not same_scale:
            return
        self._graph.operators = self._graph.operators[1:]
        self._graph.inputs = list(first.outputs)
        given.name, converted.name = converted.name, given.name
        for signature in self._model.signatureDefs:
            signature.inputs[0].tensorIndex = self._graph.inputs[0]

    def pair_columns(self) -> None:
        """Let a 3x3 convolution with stride 2 on one channel take pairs of columns as two channels.

        Output column x is computed from the columns 2x, 2x + 1 and 2x + 2. These are pair x, and the first half of
        pair x + 1. So the kernel has two columns of two channels, the stride across is 1, and in each row the last of
        four weights is zero.
        """
        self._replace(self._takes_one_channel, self._paired)

    def _takes_one_channel(self, operator: Any) -> bool:
        if self._kind(operator) != Operator.CONV_2D:
            return False
        options, kernel = operator.builtinOptions, self._graph.tensors[operator.inputs[1]]
        width = self._graph.tensors[operator.inputs[0]].shape[2]
        steps = (options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor)
        same = options.padding == schema.Padding.SAME
        return tuple(kernel.shape[1:]) == (3, 3, 1) and steps == (2, 2, 1, 1) and same and width % 2 == 0

    def _paired(self, operator: Any) -> list[Any]:
        source, kernel, _ = operator.inputs
        _, height, width, _ = self._graph.tensors[source].shape
        pairs = self._tensor_like(source, [1, height, width // 2, 2], b"pairs")
        weights = self._values(kernel, np.int8).reshape(-1, 3, 3)
        padded = np.pad(weights, ((0, 0), (0, 0), (0, 1))).reshape(-1, 3, 2, 2)
        self._graph.tensors[kernel].shape = list(padded.shape)
        self._model.buffers[self._graph.tensors[kernel].buffer].data = _as_bytes(padded)
        operator.inputs[0] = pairs
        operator.builtinOptions.strideW = 1
        return [self._reshape(source, pairs), operator]

    def _replace(self, chosen: Callable[[Any], bool], replaced: Callable[[Any], list[Any]]) -> None:
        """Put others in the place of the chosen operators."""
        operators = self._graph.operators
        self._graph.operators = [new for old in operators for new in (replaced(old) if chosen(old) else [old])]

    def _kind(self, operator: Any) -> int:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))

    def _operator(self, kind: int, inputs: Any, outputs: Any) -> Any:
        """A new operator of a kind, without options."""
        codes = [max(each.builtinCode, each.deprecatedBuiltinCode) for each in self._model.operatorCodes]
        if kind not in codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = kind
            code.version = VERSIONS[kind]
            self._model.operatorCodes.append(code)
            codes.append(kind)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = codes.index(kind), list(inputs), list(outputs)
        return operator

    def _reshape(self, source: int, target: int) -> Any:
        """An operator that gives the tensor ``source`` the shape of ``target``, for any batch."""
        shape = np.array([-1, *self._graph.tensors[target].shape[1:]], np.int32)
        tensor, buffer = schema.TensorT(), schema.BufferT()
        buffer.data = _as_bytes(shape)
        self._model.buffers.append(buffer)
        tensor.name, tensor.shape, tensor.type = b"shape", [len(shape)], schema.TensorType.INT32
        tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        operator = self._operator(Operator.RESHAPE, [source, len(self._graph.tensors) - 1], [target])
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema.ReshapeOptionsT()
        operator.builtinOptions.newShape = shape.tolist()
        return operator

    def _tensor_like(self, index: int, shape: list[int], name: bytes) -> int:
        """The number of a new tensor with the type and scale of another, for any batch."""
        tensor = copy.deepcopy(self._graph.tensors[index])
        tensor.shape, tensor.shapeSignature, tensor.name, tensor.buffer = shape, [-1, *shape[1:]], name, 0
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _values(self, index: int, kind: type) -> NDArray[Any]:
        """The values of a constant tensor, flat."""
        return np.frombuffer(bytes(self._model.buffers[self._graph.tensors[index].buffer].data), kind)


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(values.tobytes(), np.uint8)
