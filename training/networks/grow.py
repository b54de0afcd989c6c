"""A trained face detector -> a larger one that gives the same answers, to train on from (Chen et al. 2016, Net2Net).

New residual blocks begin as the identity, and new channels are read by nothing that the old network had.
"""

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers

from training.networks.architectures import LEVELS, Levels, in_creation_order

Place = tuple[str, int, int, int]
"""Part of the network, stride, number of the block, number of the convolution in it."""


def grow_detector(small: keras.Model, large: keras.Model, detail: Levels, larger: Levels = LEVELS) -> None:
    """Put the function of ``small``, a face detector with the levels ``detail``, into ``large``, one with ``larger``.

    Every level of ``larger`` must have at least as many channels and blocks. Boxes, landmarks and scores stay the same.
    """
    before = dict(zip(_places(detail), _convolutions(small), strict=True))
    for place, (layer, norm) in zip(_places(larger), _convolutions(large), strict=True):
        if place not in before:
            if place[0] == "block" and place[3] == 2:
                _, *rest = norm.get_weights()
                norm.set_weights([np.zeros_like(rest[0]), *rest])
            continue
        taught, normed = before[place]
        kernel, *bias = layer.get_weights()
        old, *old_bias = taught.get_weights()
        inputs, outputs = old.shape[2:]
        kernel[:, :, inputs:, :outputs] = 0
        kernel[:, :, :inputs, :outputs] = old
        layer.set_weights([kernel, *(_filled(new, each) for new, each in zip(bias, old_bias, strict=True))])
        if norm:
            old_norm = normed.get_weights()
            norm.set_weights([_filled(new, each) for new, each in zip(norm.get_weights(), old_norm, strict=True)])
    for name in (layer.name for layer in large.layers if layer.name.startswith(("scores", "boxes", "landmarks"))):
        large.get_layer(name).set_weights(small.get_layer(name).get_weights())


def _filled(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    made = new.copy()
    made[: len(old)] = old
    return made


def _places(detail: Levels) -> Iterator[Place]:
    """What each convolution without a name of its own is, in the order in which `face_detector` makes them."""
    yield from (("stem", 2, 0, 0), ("stem", 4, 0, 0))
    for level, (_, blocks) in enumerate(detail):
        yield "down", 8 << level, 0, 0
        yield from (("block", 8 << level, block, conv) for block in range(blocks) for conv in range(3))
    yield from (("lateral", stride, 0, 0) for stride in (32, 16, 8))
    yield from (("head", stride, 0, 0) for stride in (8, 16, 32))


def _convolutions(model: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.Layer | None]]:
    """Convolutions without a name of their own, in the order of making, each with its normalisation if it has one."""
    convs = [each for each in in_creation_order(model, layers.Conv2D) if each.name.startswith("conv2d")]
    norms = in_creation_order(model, layers.BatchNormalization)
    return [(convs[0], None), *zip(convs[1:], norms, strict=True)]
