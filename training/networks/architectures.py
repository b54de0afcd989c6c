"""Names and sizes -> the float networks, in Keras 3."""

import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from base.errors import SettingsError
from training.networks.batch_norm import Normalised
from training.networks.depthwise import Depthwise
from training.recipe import ClassifierRecipe


def _conv(x: Any, filters: int, size: int = 3, stride: int = 1) -> Any:
    """Convolution, batch normalisation, ReLU6: what folds into one int8 operator."""
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
    x = Normalised(momentum=0.97)(x)
    return layers.ReLU(max_value=6.0)(x)


def _residual(x: Any, filters: int) -> Any:
    """1x1, 3x3 at half the width, 1x1, and the way round (He et al. 2016, bottleneck)."""
    y = _conv(x, filters // 2, 1)
    y = _conv(y, filters // 2, 3)
    y = layers.Conv2D(filters, 1, use_bias=False)(y)
    y = Normalised(momentum=0.97)(y)
    return layers.ReLU(max_value=6.0)(layers.Add()([x, y]))


Levels = tuple[tuple[int, int], ...]
LEVELS: Levels = ((64, 2), (96, 3), (128, 4))
"""Channels and residual blocks of the face detector at strides 8, 16 and 32. Blocks at a coarse stride cost little time
and see much of the image, which tells a face from a thing of its size and shade."""

LEVELS_BEFORE_2: Levels = ((64, 2), (96, 2), (96, 2))
"""Those of the bundles 1.x, which `training.networks.grow` makes larger."""


def face_detector(height: int | None = None, width: int | None = None, detail: Levels = LEVELS) -> keras.Model:
    """Pixels (n, height, width, 1) in 0..255 -> (n, cells, 15): score logit, box 4, landmarks 10.

    Anchor-free heads at strides 8, 16 and 32 over a small feature pyramid (Lin et al. 2017); cells are row by row,
    stride after stride. The encoding is that of `edge.vision.detect.decode`. Without a size any multiples of 32 are taken;
    with one, any multiples of 8: the picture is padded inside, right and below, and the cells beyond it are cut off
    again. The weights fit every size.
    """
    pixels = keras.Input((height, width, 1), name="pixels")
    x = layers.Rescaling(1 / 128, offset=-1)(pixels)
    if height and width:
        x = _padded(x, height, width)
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu6")(
        x
    )  # normalising here would cost a sixth of the time
    x = _conv(x, 24, 3, 2)
    levels = []
    for filters, blocks in detail:
        x = _conv(x, filters, 3, 2)
        for _ in range(blocks):
            x = _residual(x, filters)
        levels.append(x)
    top = _conv(levels[2], 48, 1)
    middle = layers.Add()([_conv(levels[1], 48, 1), layers.UpSampling2D()(top)])
    bottom = layers.Add()([_conv(levels[0], 48, 1), layers.UpSampling2D()(middle)])
    parts = []
    rare = keras.initializers.Constant(-4.6)  # at first every cell says: one in a hundred (Lin et al. 2017, focal loss)
    for level, stride in ((bottom, 8), (middle, 16), (top, 32)):
        y = _conv(level, 48, 3)
        if height and width:
            y = _cropped(y, -(-height // stride), -(-width // stride))
        scores = layers.Conv2D(1, 1, bias_initializer=rare, dtype="float32", name=f"scores{stride}")(y)
        boxes = layers.Conv2D(4, 1, dtype="float32", name=f"boxes{stride}")(y)
        landmarks = layers.Conv2D(10, 1, dtype="float32", name=f"landmarks{stride}")(y)
        parts.append(
            layers.Reshape((-1, 15), dtype="float32")(layers.Concatenate(dtype="float32")([scores, boxes, landmarks]))
        )
    return keras.Model(pixels, layers.Concatenate(axis=1, dtype="float32", name="cells")(parts), name="face")


def with_input_size(model: keras.Model, height: int, width: int) -> keras.Model:
    """A trained face detector -> the same for pictures of one size."""
    fixed = face_detector(height, width)
    fixed.set_weights(model.get_weights())
    return fixed


def _padded(x: Any, height: int, width: int) -> Any:
    """Grown to multiples of 32 at the right and below, as far as they are missing."""
    missing = ((0, -height % 32), (0, -width % 32))
    return layers.ZeroPadding2D(missing)(x) if any(map(any, missing)) else layers.Identity()(x)


def _cropped(x: Any, rows: int, columns: int) -> Any:
    """The first rows and columns. With nothing to cut a layer stands here too: all strides stay equally deep, and Keras
    orders weights by depth.
    """
    beyond = ((0, x.shape[1] - rows), (0, x.shape[2] - columns))
    return layers.Cropping2D(beyond)(x) if any(map(any, beyond)) else layers.Identity()(x)


def build_classifier(recipe: ClassifierRecipe) -> keras.Model:
    """The classifier that a recipe names, its weights by the recipe's seed; SettingsError if that needs a backbone and
    the recipe has none.
    """
    keras.utils.set_random_seed(recipe.seed)
    side, labels = recipe.width, len(recipe.labels)
    if recipe.network == "cnn":
        return cnn(side, labels)
    if recipe.network == "plain":
        return plain(side, labels)
    if recipe.network == "wide":
        return wide(side, labels, recipe.upscale)
    if recipe.backbone is None:
        raise SettingsError(f"model.backbone: network {recipe.network!r} needs the path of a backbone (NAME.npz)")
    if recipe.network == "dense":
        return dense(side, labels, Path(recipe.backbone), recipe.front, pretrained=recipe.pretrained)
    return transfer(side, labels, Path(recipe.backbone), pretrained=recipe.pretrained, upscale=recipe.upscale)


def cnn(side: int, labels: int) -> keras.Model:
    """The classic baseline: convolutions, max pooling, dropout, dense. Pixels (n, side, side, 1) -> (n, labels)."""
    pixels = keras.Input((side, side, 1), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in (32, 64, 128):
        x = _conv(_conv(x, filters), filters)
        x = layers.Dropout(0.2)(layers.MaxPooling2D()(x))
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    return keras.Model(pixels, layers.Dense(labels, dtype="float32", name="logits")(layers.Dropout(0.5)(x)), name="cnn")


def plain(side: int, labels: int) -> keras.Model:
    """A net of plain convolutions with an early stride, quick in int8 on any processor; pixels (n, side, side, 1) ->
    logits (n, labels). Bottlenecks as in the face detector, no layer that int8 kernels are slow at.
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = _conv(x, 32, 5, 2)
    for filters, blocks in ((64, 2), (128, 3), (224, 3)):
        x = _conv(x, filters, 3, 2)
        for _ in range(blocks):
            x = _residual(x, filters)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, layers.Dense(labels, dtype="float32", name="logits")(x), name="plain")


def wide(side: int, labels: int, upscale: int = 1) -> keras.Model:
    """A large residual net (He et al. 2016, basic blocks), for teachers: far too slow for a device. Pixels
    (n, side, side, 1), seen ``upscale`` times larger -> logits (n, labels).
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    x = _conv(_enlarged(layers.Rescaling(1 / 127.5, offset=-1)(pixels), upscale), 48)
    for filters in (64, 128, 256, 384):
        x = _basic(_basic(_conv(x, filters, 3, 2), filters), filters)
    x = layers.Dropout(0.4)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, layers.Dense(labels, dtype="float32", name="logits")(x), name="wide")


def _basic(x: Any, filters: int) -> Any:
    """Twice 3x3, and the way round."""
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(_conv(x, filters))
    y = Normalised(momentum=0.97)(y)
    return layers.ReLU(max_value=6.0)(layers.Add()([x, y]))


def _enlarged(x: Any, times: int) -> Any:
    return layers.UpSampling2D(times, interpolation="bilinear")(x) if times > 1 else x


def transfer(side: int, labels: int, weights: Path, *, pretrained: bool = True, upscale: int = 1) -> keras.Model:
    """The face-recognition backbone of ``weights`` (``NAME.npz``, ``NAME.json`` beside it), pooled, with a new head;
    not ``pretrained``, its layers alone, with random weights. It sees pixels ``upscale`` times larger.

    Pixels (n, side, side, 1) in 0..255 -> logits (n, labels). Symmetric padding as in the backbone's own framework.
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    x = _enlarged(layers.Rescaling(1 / 127.5, offset=-1)(pixels), upscale)
    x = _backbone(x, _listed(weights))
    return _with_head(pixels, x, labels, weights if pretrained else None, "transfer")


JOINT = "batchnorm11"
"""The backbone's layer in whose place the front of `dense` stands: an eighth of its side, a quarter of ours."""
FRONT = "front"
"""The last layer of that front."""


def dense(
    side: int, labels: int, weights: Path, front: tuple[int, int, int, int], *, pretrained: bool = True
) -> keras.Model:
    """`transfer` with its cells twice as close: a few plain convolutions, quick in int8, come to a quarter of the side
    at once, and the backbone's later layers stand on those.

    ``front``: channels of the two convolutions that halve the side, channels inside the residual blocks that follow,
    and how many blocks. Pixels (n, side, side, 1) in 0..255 -> logits (n, labels). SettingsError for a backbone that
    has no layer `JOINT`.
    """
    listed = _listed(weights)
    at = next((index for index, spec in enumerate(listed) if spec["layer"] == JOINT), None)
    if at is None:
        raise SettingsError(f"{weights}: has no layer {JOINT}, behind which the network 'dense' begins")
    first, second, inside, blocks = front
    channels = next(spec["out"] for spec in reversed(listed[:at]) if "out" in spec)
    pixels = keras.Input((side, side, 1), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Conv2D(first, 3, 2, padding="same", activation="relu6")(x)
    x = _conv(x, second, 3, 2)
    x = Normalised(momentum=0.97)(layers.Conv2D(channels, 1, use_bias=False)(x))
    for left in reversed(range(blocks)):
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(_conv(x, inside))
        x = layers.Add(name=f"{FRONT}_{left}" if left else FRONT)([x, Normalised(momentum=0.97)(y)])
    x = _backbone(x, listed[at + 1 :], {JOINT: x})
    return _with_head(pixels, x, labels, weights if pretrained else None, "dense")


def _listed(weights: Path) -> list[dict[str, Any]]:
    """The backbone's layers up to its embedding, in order."""
    listed = json.loads(weights.with_suffix(".json").read_text())["layers"]
    return list(itertools.takewhile(lambda spec: spec["op"] != "Flatten", listed))


def _backbone(x: Any, listed: list[dict[str, Any]], made: dict[str, Any] | None = None) -> Any:
    """Layers of the backbone on ``x``; ``made`` are earlier ones by name, to which some of them go back."""
    made = made or {}
    for spec in listed:
        if spec["op"] == "min":
            continue  # ReLU6 stands as max 0, min 6
        x = layers.Add()([made[name] for name in spec["inputs"]]) if spec["op"] == "elemwise_add" else _layer(x, spec)
        made[spec["layer"]] = x
    return x


def _with_head(pixels: Any, x: Any, labels: int, weights: Path | None, name: str) -> keras.Model:
    """The network from ``pixels`` to ``x``, pooled, with logits; the backbone's layers with its weights, if given."""
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(pixels, layers.Dense(labels, dtype="float32", name="logits")(x), name=name)
    if weights:
        _load(model, weights)
    return model


def _layer(x: Any, spec: dict[str, Any]) -> Any:
    """One layer of the backbone's list, named as there."""
    name = spec["layer"]
    if spec["op"] == "max":
        return layers.ReLU(max_value=6.0)(x)
    if spec["op"] == "batchnorm":
        return Normalised(epsilon=spec["eps"], momentum=0.97, name=name)(x)
    size, stride = (int(spec[key].strip("()").split(",")[0]) for key in ("kernel", "stride"))
    if size > 1 and stride > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    padding = "valid" if stride > 1 or size == 1 else "same"
    if spec["groups"] > 1:
        return Depthwise(size, stride, padding, use_bias=spec["bias"], name=name)(x)
    return layers.Conv2D(spec["out"], size, stride, padding, use_bias=spec["bias"], name=name)(x)


def load_model(path: Path) -> keras.Model:
    """A saved model, not to be trained on; Keras must know the layers of this module to read it. SettingsError if it is
    not there.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: not there; python -m training train writes it")
    return keras.saving.load_model(path, compile=False)


def in_float32(model: keras.Model) -> keras.Model:
    """A model that computes in bfloat16, or in part -> the same, with the same weights, in float32: what is measured
    and quantised.
    """

    def made(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=made)
    copy.set_weights(model.get_weights())
    return copy


def _load(model: keras.Model, weights: Path) -> None:
    """Put the backbone's arrays into the layers of the same names; (out, in, kh, kw) becomes Keras's order."""
    with np.load(weights) as held:
        for layer in model.layers:
            if f"{layer.name}_gamma" in held:
                parts = ("gamma", "beta", "moving_mean", "moving_var")
                layer.set_weights([held[f"{layer.name}_{part}"] for part in parts])
            elif f"{layer.name}_weight" in held:
                axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
                bias = [held[f"{layer.name}_bias"]] if layer.use_bias else []
                layer.set_weights([held[f"{layer.name}_weight"].transpose(axes), *bias])


def in_creation_order(model: keras.Model, kind: type[layers.Layer]) -> list[layers.Layer]:
    """The layers of one kind in the order in which they were made: ``conv2d``, ``conv2d_1``, ... ``conv2d_10``."""

    def rank(layer: layers.Layer) -> tuple[str, int]:
        stem = layer.name.rstrip("0123456789")
        return stem.rstrip("_"), int(layer.name[len(stem) :] or 0)

    return sorted((layer for layer in model.layers if isinstance(layer, kind)), key=rank)
