"""Bytes of a TFLite file and uint8 pixels -> output tensors, by whichever runtime works here."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import BundleError
from edge.errors import RuntimeMissing

RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter")


@dataclass(frozen=True, slots=True)
class Tensor:
    """Of one tensor: where it is in the interpreter, its shape (the first is the batch), dtype and quantisation."""

    index: int
    shape: tuple[int, ...]
    dtype: type[Any]
    scale: float
    zero_point: int


class Interpreter:
    """One int8 model, ready to run; takes uint8 (n, height, width, 1), gives raw int8 or uint8 tensors by name."""

    def __init__(self, content: bytes, threads: int = 1, runtimes: Sequence[str] = RUNTIMES) -> None:
        self.runtime, self._interpreter = _make(content, threads, runtimes)
        try:
            (taken,) = self._interpreter.get_input_details()
            self.input = _tensor(taken)
            self.outputs = {detail["name"]: _tensor(detail) for detail in self._interpreter.get_output_details()}
        except (ValueError, TypeError, KeyError) as error:
            raise BundleError(f"not a model with one input: {error}") from error
        if self.input.dtype is not np.uint8:
            raise BundleError(f"the model takes {self.input.dtype.__name__} pixels, not uint8")
        self._batch = self.input.shape[0]

    def run(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Pixels uint8 (n, height, width, 1), n >= 1 -> raw output tensors (n, ...) by name; BundleError if the runtime
        refuses to run the model.
        """
        try:
            if len(pixels) != self._batch:
                self._interpreter.resize_tensor_input(self.input.index, pixels.shape, strict=True)
                self._interpreter.allocate_tensors()
                self._batch = len(pixels)
            self._interpreter.set_tensor(self.input.index, pixels)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"{self.runtime} cannot run the model: {error}") from error
        return {name: self._interpreter.get_tensor(tensor.index) for name, tensor in self.outputs.items()}

    def values(self, raw: dict[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
        """One raw tensor of `run` -> its real values, float32, same shape."""
        return dequantise(raw[name], self.outputs[name].scale, self.outputs[name].zero_point)


def dequantise(raw: NDArray[Any], scale: float, zero_point: int) -> NDArray[np.float32]:
    """Quantised integers -> real values ``scale * (raw - zero_point)``, float32; widened before the subtraction."""
    return np.asarray((raw.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale))


def _tensor(detail: dict[str, Any]) -> Tensor:
    scale, zero_point = detail["quantization"]
    return Tensor(
        detail["index"], tuple(int(n) for n in detail["shape"]), detail["dtype"], float(scale), int(zero_point)
    )


def _make(content: bytes, threads: int, runtimes: Sequence[str]) -> tuple[str, Any]:
    """The first runtime that really makes an interpreter; an import alone can pass where numpy does not fit."""
    failures: list[str] = []
    for name, module in _runtimes(runtimes, failures):
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


def _runtimes(names: Sequence[str], failures: list[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        try:
            yield name, importlib.import_module(name)
        except (ImportError, SystemError, OSError) as error:
            failures.append(f"{name}: {error}")
