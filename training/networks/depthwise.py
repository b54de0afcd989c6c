"""Depthwise convolution that JAX computes as a sum of shifted products."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("facetally")
class Depthwise(layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`; same weights, same values.

    On an accelerator the convolution of one channel with itself, and more so its gradient, leaves most of the device
    idle; as products of shifted pictures, added up, it is one pass over memory. Other backends go Keras's own way.
    """

    def call(self, inputs: Any) -> Any:
        """Activations (n, h, w, c) -> (n, h', w', c * depth multiplier)."""
        if keras.backend.backend() != "jax" or self.depth_multiplier != 1:
            return super().call(inputs)
        (rows, columns), (down, across) = self.kernel_size, self.strides
        if self.padding == "same":
            missing = [self._missing(inputs.shape[axis + 1], axis) for axis in range(2)]
            inputs = ops.pad(inputs, [(0, 0), *missing, (0, 0)])
        lowest, rightmost = (
            (inputs.shape[axis + 1] - self.kernel_size[axis]) // self.strides[axis] for axis in range(2)
        )
        kernel, total = ops.cast(self.kernel, inputs.dtype), 0.0
        for row in range(rows):
            for column in range(columns):
                seen = inputs[
                    :, row : row + lowest * down + 1 : down, column : column + rightmost * across + 1 : across
                ]
                total = total + seen * kernel[row, column, :, 0]
        return total + ops.cast(self.bias, total.dtype) if self.use_bias else total

    def _missing(self, length: int, axis: int) -> tuple[int, int]:
        """Zeros before and behind that ``same`` means."""
        size, stride = self.kernel_size[axis], self.strides[axis]
        wanted = max((-(-length // stride) - 1) * stride + size - length, 0)
        return wanted // 2, wanted - wanted // 2
