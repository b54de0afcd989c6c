"""Copy a trained face detector into a larger network that computes the same (Chen et al. 2016, Net2Net).

New residual blocks start as the identity. Channels that the smaller network had ignore new ones.
"""

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from training.networks.architectures import LEVELS, Levels, in_creation_order

Place = tuple[str, int, int, int]
"""Part of the network, stride, index of the block, and index of the convolution in it."""


def grow_detector(small: keras.Model, large: keras.Model, detail: Levels, larger: Levels = LEVELS) -> None:
    """Copy ``small``, a face detector with the levels ``detail``, into ``large``, one with the levels ``larger``.

    Every level of ``larger`` must have at least as many channels and blocks. Predictions stay the same.
    """
    before = dict(zip(_places(detail), _convolutions(small), strict=True))
    for place, (layer, norm) in zip(_places(larger), _convolutions(large), strict=True):
        if place not in before:
            part, _, _, convolution = place
            if part == "block" and convolution == 2:  # the last one of a new block: its output must be zero
                _, *rest = norm.get_weights()
                norm.set_weights([np.zeros_like(rest[0]), *rest])
            continue
        old_layer, old_norm = before[place]
        kernel, *bias = layer.get_weights()
        old_kernel, *old_bias = old_layer.get_weights()
        inputs, outputs = old_kernel.shape[2:]
        kernel[:, :, inputs:, :outputs] = 0
        kernel[:, :, :inputs, :outputs] = old_kernel
        layer.set_weights([kernel, *_with_start(bias, old_bias)])
        if norm:
            norm.set_weights(_with_start(norm.get_weights(), old_norm.get_weights()))
    for name in (layer.name for layer in large.layers if layer.name.startswith(("scores", "boxes", "landmarks"))):
        large.get_layer(name).set_weights(small.get_layer(name).get_weights())


def _with_start(new: list[np.ndarray], old: list[np.ndarray]) -> list[np.ndarray]:
    """Copies of new vectors whose first values are those of old, shorter ones."""
    copies = [each.copy() for each in new]
    for copy, values in zip(copies, old, strict=True):
        copy[: len(values)] = values
    return copies


def _places(detail: Levels) -> Iterator[Place]:
    """Places of the convolutions with default names, in the order in which `face_detector` creates them."""
    yield from (("stem", 2, 0, 0), ("stem", 4, 0, 0))
    for level, (_, blocks) in enumerate(detail):
        yield "down", 8 << level, 0, 0
        yield from (("block", 8 << level, block, conv) for block in range(blocks) for conv in range(3))
    yield from (("lateral", stride, 0, 0) for stride in (32, 16, 8))
    yield from (("head", stride, 0, 0) for stride in (8, 16, 32))


def _convolutions(model: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.Layer | None]]:
    """Convolutions with default names in creation order, each with its batch normalisation; the first has none."""
    convs = [each for each in in_creation_order(model, layers.Conv2D) if each.name.startswith("conv2d")]
    norms = in_creation_order(model, layers.BatchNormalization)
    return [(convs[0], None), *zip(convs[1:], norms, strict=True)]
