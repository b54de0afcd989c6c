"""Depthwise convolution that JAX computes as a sum of shifted products."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("facetally")
class Depthwise(layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, with the same weights and values.

    A convolution of single channels, and even more its gradient, leaves most of an accelerator idle. As a sum of
    products with shifted inputs it takes one pass over memory. Other backends use Keras's implementation. Saved models
    store weights by the name of this class.
    """

    def call(self, inputs: Any) -> Any:
        """Convolve activations (n, h, w, c) to (n, h', w', c * depth multiplier)."""
        if keras.backend.backend() != "jax" or self.depth_multiplier != 1:
            return super().call(inputs)
        (rows, columns), (down, across) = self.kernel_size, self.strides
        if self.padding == "same":
            padding = [self._same_padding(inputs.shape[axis + 1], axis) for axis in range(2)]
            inputs = ops.pad(inputs, [(0, 0), *padding, (0, 0)])
        last_row, last_column = (
            (inputs.shape[axis + 1] - self.kernel_size[axis]) // self.strides[axis] for axis in range(2)
        )
        kernel, total = ops.cast(self.kernel, inputs.dtype), 0.0
        for row in range(rows):
            for column in range(columns):
                in_rows = slice(row, row + last_row * down + 1, down)
                in_columns = slice(column, column + last_column * across + 1, across)
                total = total + inputs[:, in_rows, in_columns] * kernel[row, column, :, 0]
        return total + ops.cast(self.bias, total.dtype) if self.use_bias else total

    def _same_padding(self, length: int, axis: int) -> tuple[int, int]:
        """Zeros before and after along an axis for the padding ``same``."""
        size, stride = self.kernel_size[axis], self.strides[axis]
        missing = max((-(-length // stride) - 1) * stride + size - length, 0)
        return missing // 2, missing - missing // 2
