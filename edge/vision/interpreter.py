"""Run an int8 TFLite model on the first runtime that works: ai_edge_litert, tflite_runtime or tensorflow.lite."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import BundleError
from edge.errors import RuntimeMissing

RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter")
"""Modules with a class ``Interpreter``, in the order in which they are tried."""
INT8_OFFSET = 128
"""An int8 pixel is the uint8 pixel less this."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Description of an input or output tensor."""

    index: int
    """The interpreter's number for it."""
    shape: tuple[int, ...]
    """The first dimension is the batch."""
    dtype: type[Any]
    scale: float
    """Quantisation: value = scale * (integer - zero_point)."""
    zero_point: int


class Interpreter:
    """An int8 model that is ready to run: uint8 images in, raw int8 or uint8 tensors out.

    The model's own input may be int8. Images are then converted here, which NumPy does faster than the runtime, and
    `input` describes the input as if it were uint8.
    """

    def __init__(self, content: bytes, threads: int = 1, runtimes: Sequence[str] = RUNTIMES) -> None:
        """``content`` is that of a .tflite file.

        Raises `BundleError` if it is not a model with one uint8 or int8 input, `RuntimeMissing` if no runtime works.
        """
        self.runtime, self._interpreter = _create(content, threads, runtimes)
        try:
            (taken,) = self._interpreter.get_input_details()
            self.input = _tensor(taken)
            self.outputs = {detail["name"]: _tensor(detail) for detail in self._interpreter.get_output_details()}
        except (ValueError, TypeError, KeyError) as error:
            raise BundleError(f"not a model with one input: {error}") from error
        if self.input.dtype not in (np.uint8, np.int8):
            raise BundleError(f"the dtype of the model's input must be uint8 or int8, is {self.input.dtype.__name__}")
        self._takes_int8 = self.input.dtype is np.int8
        if self._takes_int8:
            self.input = replace(self.input, dtype=np.uint8, zero_point=self.input.zero_point + INT8_OFFSET)
        self._batch = self.input.shape[0]

    def run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Run the model on images (n, height, width, 1) uint8, n >= 1; returns raw output tensors (n, ...) by name.

        Raises `BundleError` if the runtime cannot run the model.
        """
        try:
            if len(pixels) != self._batch:
                self._interpreter.resize_tensor_input(self.input.index, pixels.shape, strict=True)
                self._interpreter.allocate_tensors()
                self._batch = len(pixels)
            self._interpreter.set_tensor(self.input.index, _as_int8(pixels) if self._takes_int8 else pixels)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"{self.runtime} cannot run the model: {error}") from error
        return {name: self._interpreter.get_tensor(tensor.index) for name, tensor in self.outputs.items()}

    def values(self, raw: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
        """Dequantise the output ``name`` of `run`; float32 of the same shape."""
        return dequantise(raw[name], self.outputs[name].scale, self.outputs[name].zero_point)


def dequantise(raw: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    """Convert quantised integers to real values, ``scale * (raw - zero_point)``, float32.

    Integers are widened before the subtraction, which int8 would overflow.
    """
    return np.asarray((raw.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale))


def _as_int8(pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Pixels less 128: the sign bit is flipped."""
    return np.asarray((pixels ^ np.uint8(INT8_OFFSET)).view(np.int8))


def _tensor(detail: dict[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    return Tensor(
        detail["index"], tuple(int(n) for n in detail["shape"]), detail["dtype"], float(scale), int(zero_point)
    )


def _create(content: bytes, threads: int, runtimes: Sequence[str]) -> tuple[str, Any]:
    """The name of the first runtime that can create an interpreter, and the interpreter.

    An import alone proves nothing: it can succeed where the runtime does not fit the installed NumPy.
    """
    failures: list[str] = []
    for name, module in _importable(runtimes, failures):
        try:
            interpreter = module.Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
        except (ImportError, AttributeError, SystemError, OSError) as error:
            failures.append(f"{name}: {error}")
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"not a TFLite model that {name} can run: {error}") from error
        else:
            return name.partition(".")[0], interpreter
    raise RuntimeMissing("no TFLite runtime works here; install ai-edge-litert. Tried " + "; ".join(failures))


def _importable(names: Sequence[str], failures: list[str]) -> Iterator[tuple[str, Any]]:
    """Import runtimes one after the other; an import error is appended to ``failures``."""
    for name in names:
        try:
            yield name, importlib.import_module(name)
        except (ImportError, SystemError, OSError) as error:
            failures.append(f"{name}: {error}")
