"""Rearrange an int8 network so that it runs faster; its outputs stay the same to the last bit.

Every sum keeps its terms and every tensor its scale, so nothing is rounded differently. Three changes are made:

* Shapes that are computed while the network runs become constants. That alone saves little; the others build on it.
* The input is int8. The runtime converts uint8 pixels one by one; the device does the same for a whole image at once.
* The first convolution, 3x3 with stride 2 on one channel, takes pairs of columns as two channels. The runtime's kernels
  multiply several channels at once, and leave most of that unused with one channel.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter as LiteRT
from ai_edge_litert.interpreter import OpResolverType
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from edge.vision.interpreter import INT8_OFFSET, Interpreter

Operator = schema.BuiltinOperator
Shapes = dict[int, list[int]]
"""Shape of each tensor, by its index in the graph."""
VERSIONS = {Operator.RESHAPE: 1, Operator.CONCATENATION: 2}
"""Operators that a change may add, with the version that takes int8."""
COMPARED_BATCHES = (1, 3, 1)
"""Numbers of images for which outputs are compared."""
IMAGE_RANK = 4
"""Number of axes of a batch of images."""


def optimise(content: bytes) -> bytes:
    """The content of a TFLite file, rearranged.

    It is returned as it is if nothing of the network can be rearranged, or if an output would change.
    """
    shapes = _shapes(content)
    network = _Network(content)
    if shapes is None or not network.is_single:
        return content
    changes = [network.fix_shapes(*shapes), network.take_int8(), network.pair_columns()]
    if not any(changes):
        return content
    rearranged = network.content()
    return rearranged if _same_outputs(content, rearranged) else content


def _shapes(content: bytes) -> tuple[Shapes, Shapes] | None:
    """The shapes of all tensors for one image and for two; None if the network takes only one."""
    try:
        return _shapes_for(content, 1), _shapes_for(content, 2)
    except (RuntimeError, ValueError):
        return None


def _shapes_for(content: bytes, count: int) -> Shapes:
    """The shapes of all tensors for so many images; they are known after a run."""
    interpreter = LiteRT(
        model_content=content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    (source,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(source["index"], [count, *source["shape"][1:]])
    interpreter.allocate_tensors()
    interpreter.invoke()
    return {each["index"]: [int(side) for side in each["shape"]] for each in interpreter.get_tensor_details()}


def _same_outputs(content: bytes, rearranged: bytes) -> bool:
    """Whether two networks have equal outputs for images of noise, which reach values that no photograph reaches."""
    before, after = Interpreter(content), Interpreter(rearranged)
    rng = np.random.default_rng(0)
    for count in COMPARED_BATCHES:
        images = rng.integers(0, 256, (count, *before.input.shape[1:]), np.uint8)
        wanted, given = before.run(images), after.run(images)
        if wanted.keys() != given.keys() or not all(np.array_equal(wanted[name], given[name]) for name in wanted):
            return False
    return True


class _Network:
    """A TFLite file that is being changed."""

    def __init__(self, content: bytes) -> None:
        self._model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        self._graph = self._model.subgraphs[0]

    @property
    def is_single(self) -> bool:
        """Whether the file holds one graph with one input."""
        return len(self._model.subgraphs) == 1 and len(self._graph.inputs) == 1

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

    def fix_shapes(self, one: Shapes, two: Shapes) -> bool:
        """Replace shapes that are computed in the network by constants; only the first axis, the batch, stays open.

        ``one`` and ``two`` are the shapes for one image and for two. EXPAND_DIMS becomes RESHAPE. A TILE that repeats
        once becomes CONCATENATION, which has a fast kernel. Returns whether anything changed.
        """
        batched = {
            index
            for index, shape in one.items()
            if shape and two[index] == [2 * shape[0], *shape[1:]] and index < len(self._graph.tensors)
        }
        for index in batched:
            tensor = self._graph.tensors[index]
            if tensor.shapeSignature is not None:
                tensor.shape, tensor.shapeSignature = one[index], [-1, *one[index][1:]]

        def has_computed_shape(operator: Any) -> bool:
            if not {int(operator.inputs[0]), int(operator.outputs[0])} <= batched:
                return False
            kind = self._kind(operator)
            return kind == Operator.EXPAND_DIMS or (
                kind == Operator.RESHAPE and len(operator.inputs) > 1 and self._values(operator.inputs[1]) is None
            )

        reshaped = self._replace(has_computed_shape, self._reshaped)
        return self._replace(self._repeats_once, self._concatenated) or reshaped

    def _reshaped(self, operator: Any) -> list[Any]:
        return [self._reshape(operator.inputs[0], operator.outputs[0])]

    def _repeats_once(self, operator: Any) -> bool:
        if self._kind(operator) != Operator.TILE:
            return False
        counts = self._values(operator.inputs[1], np.int32)
        return counts is not None and sorted(counts.tolist()) == [1] * (len(counts) - 1) + [2]

    def _concatenated(self, operator: Any) -> list[Any]:
        """The operator that joins a tensor with itself along the axis that a TILE repeats."""
        options = schema.ConcatenationOptionsT()
        options.axis = int(self._values(operator.inputs[1], np.int32).argmax())
        inputs = [operator.inputs[0]] * 2
        joined = self._operator(Operator.CONCATENATION, inputs, operator.outputs)
        joined.builtinOptionsType, joined.builtinOptions = schema.BuiltinOptions.ConcatenationOptions, options
        return [joined]

    def take_int8(self) -> bool:
        """Remove the conversion of uint8 pixels to int8 with the same scale; returns whether there was one."""
        (source,) = map(int, self._graph.inputs)
        readers = [each for each in self._graph.operators if source in map(int, each.inputs)]
        if len(readers) != 1 or self._kind(readers[0]) != Operator.QUANTIZE or source in map(int, self._graph.outputs):
            return False
        given, converted = (self._graph.tensors[index] for index in (source, readers[0].outputs[0]))
        offset = given.quantization.zeroPoint[0] - converted.quantization.zeroPoint[0]
        same_scale = given.quantization.scale[0] == converted.quantization.scale[0]
        kinds = (given.type, converted.type)
        if kinds != (schema.TensorType.UINT8, schema.TensorType.INT8) or offset != INT8_OFFSET or not same_scale:
            return False
        self._graph.operators = [each for each in self._graph.operators if each is not readers[0]]
        self._graph.inputs = list(readers[0].outputs)
        given.name, converted.name = converted.name, given.name
        for signature in self._model.signatureDefs or ():
            signature.inputs[0].tensorIndex = self._graph.inputs[0]
        return True

    def pair_columns(self) -> bool:
        """Let a 3x3 convolution with stride 2 on one channel take pairs of columns as two channels.

        Output column x is computed from the columns 2x, 2x + 1 and 2x + 2. These are pair x, and the first half of
        pair x + 1. So the kernel has two columns of two channels, the stride across is 1, and in each row the last of
        four weights is zero. Returns whether there was such a convolution.
        """
        return self._replace(self._takes_one_channel, self._paired)

    def _takes_one_channel(self, operator: Any) -> bool:
        if self._kind(operator) != Operator.CONV_2D:
            return False
        options = operator.builtinOptions
        source, kernel = (self._graph.tensors[index] for index in operator.inputs[:2])
        steps = (options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor)
        return (
            len(source.shape) == IMAGE_RANK
            and source.shape[3] == 1
            and source.shape[2] % 2 == 0
            and tuple(kernel.shape[1:]) == (3, 3, 1)
            and kernel.type == schema.TensorType.INT8
            and not np.any(kernel.quantization.zeroPoint)
            and steps == (2, 2, 1, 1)
            and options.padding == schema.Padding.SAME
        )

    def _paired(self, operator: Any) -> list[Any]:
        source, kernel, _ = operator.inputs
        _, height, width, _ = self._graph.tensors[source].shape
        pairs = self._tensor_like(source, [1, height, width // 2, 2], b"pairs")
        self._graph.tensors[pairs].shapeSignature = [-1, height, width // 2, 2]
        weights = self._values(kernel, np.int8).reshape(-1, 3, 3)
        padded = np.pad(weights, ((0, 0), (0, 0), (0, 1))).reshape(-1, 3, 2, 2)
        # others may share the old weights, so they get a tensor of their own
        paired = self._tensor_like(kernel, list(padded.shape), self._graph.tensors[kernel].name)
        self._graph.tensors[paired].buffer = self._buffer(padded)
        operator.inputs[:2] = pairs, paired
        operator.builtinOptions.strideW = 1
        return [self._reshape(source, pairs), operator]

    def _replace(self, is_replaced: Callable[[Any], bool], replacements: Callable[[Any], list[Any]]) -> bool:
        """Replace some operators by new ones; returns whether there were any."""
        found = [each for each in self._graph.operators if is_replaced(each)]
        self._graph.operators = [
            new
            for old in self._graph.operators
            for new in (replacements(old) if any(old is each for each in found) else [old])
        ]
        return bool(found)

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
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = b"shape", [len(shape)], schema.TensorType.INT32
        tensor.buffer = self._buffer(shape)
        self._graph.tensors.append(tensor)
        operator = self._operator(Operator.RESHAPE, [source, len(self._graph.tensors) - 1], [target])
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema.ReshapeOptionsT()
        operator.builtinOptions.newShape = shape.tolist()
        return operator

    def _tensor_like(self, index: int, shape: list[int], name: bytes) -> int:
        """The index of a new tensor with the type and scale of another, without values."""
        tensor = copy.deepcopy(self._graph.tensors[index])
        tensor.shape, tensor.shapeSignature, tensor.name, tensor.buffer = shape, None, name, 0
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _buffer(self, values: NDArray[Any]) -> int:
        """The index of a new buffer with constant values."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def _values(self, index: int, kind: type = np.uint8) -> Any:
        """The values of a constant tensor, flat; None if the tensor is computed."""
        data = self._model.buffers[self._graph.tensors[index].buffer].data
        return None if data is None else np.frombuffer(bytes(data), kind)
