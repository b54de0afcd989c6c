"""The float networks in Keras 3: the face detector and the expression classifiers, and how to load saved ones."""

from pathlib import Path
from typing import Any

import keras
from keras import layers

from base.errors import SettingsError
from training.networks.backbone import apply_layers, load_weights, read_layers
from training.networks.batch_norm import Normalised
from training.recipe import ClassifierRecipe

Levels = tuple[tuple[int, int], ...]
"""Channels and residual blocks of the face detector at strides 8, 16 and 32."""
LEVELS: Levels = ((64, 2), (96, 3), (128, 4))
"""Blocks at a coarse stride cost little time and see much of the image, which separates faces from look-alikes."""
LEVELS_BEFORE_2: Levels = ((64, 2), (96, 2), (96, 2))
"""Levels of the bundles 1.x, which `training.networks.grow` enlarges."""
JOINT = "batchnorm11"
"""Layer of the backbone that the front of `dense` replaces; its output has an eighth of the backbone's input side."""
FRONT = "front"
"""Name of the last layer of the front of `dense`."""


def _conv(x: Any, filters: int, size: int = 3, stride: int = 1) -> Any:
    """Convolution, batch normalisation and ReLU6, which fold into one int8 operator."""
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
    x = Normalised(momentum=0.97)(x)
    return layers.ReLU(max_value=6.0)(x)


def _bottleneck(x: Any, filters: int) -> Any:
    """Residual block of 1x1, 3x3 at half the channels, and 1x1 (He et al. 2016, bottleneck)."""
    y = _conv(x, filters // 2, 1)
    y = _conv(y, filters // 2, 3)
    y = layers.Conv2D(filters, 1, use_bias=False)(y)
    y = Normalised(momentum=0.97)(y)
    return layers.ReLU(max_value=6.0)(layers.Add()([x, y]))


def _basic_block(x: Any, filters: int) -> Any:
    """Residual block of two 3x3 convolutions (He et al. 2016, basic block)."""
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(_conv(x, filters))
    y = Normalised(momentum=0.97)(y)
    return layers.ReLU(max_value=6.0)(layers.Add()([x, y]))


def _logits(labels: int) -> layers.Layer:
    """The last layer of a classifier."""
    return layers.Dense(labels, dtype="float32", name="logits")


def face_detector(height: int | None = None, width: int | None = None, detail: Levels = LEVELS) -> keras.Model:
    """The face detector: pixels (n, height, width, 1), 0 to 255, to (n, cells, 15): score logit, box 4, landmarks 10.

    Anchor-free heads at strides 8, 16 and 32 on a small feature pyramid (Lin et al. 2017). Grid cells are in row-major
    order, stride after stride; `edge.vision.detect.decode` decodes them.

    Without a size the model takes any multiples of 32. With a size it takes multiples of 8: the image is padded at the
    right and below, and the grid cells in the padding are cropped. The weights fit every size.
    """
    pixels = keras.Input((height, width, 1), name="pixels")
    x = layers.Rescaling(1 / 128, offset=-1)(pixels)
    if height and width:
        x = _pad(x, height, width)
    levels = _levels(x, detail)
    top = _conv(levels[2], 48, 1)
    middle = layers.Add()([_conv(levels[1], 48, 1), layers.UpSampling2D()(top)])
    bottom = layers.Add()([_conv(levels[0], 48, 1), layers.UpSampling2D()(middle)])
    parts = [_head(each, stride, height, width) for each, stride in ((bottom, 8), (middle, 16), (top, 32))]
    return keras.Model(pixels, layers.Concatenate(axis=1, dtype="float32", name="cells")(parts), name="face")


def _levels(x: Any, detail: Levels) -> list[Any]:
    """The first part of the face detector: rescaled pixels to features at strides 8, 16 and 32."""
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu6")(x)  # batch normalisation here costs 1/6 of the time
    x = _conv(x, 24, 3, 2)
    levels = []
    for filters, blocks in detail:
        x = _conv(x, filters, 3, 2)
        for _ in range(blocks):
            x = _bottleneck(x, filters)
        levels.append(x)
    return levels


def _head(level: Any, stride: int, height: int | None, width: int | None) -> Any:
    """Predictions (n, cells, 15) of one level of the feature pyramid."""
    y = _conv(level, 48, 3)
    if height and width:
        y = _crop(y, -(-height // stride), -(-width // stride))
    rare = keras.initializers.Constant(-4.6)  # initial scores of 0.01 (Lin et al. 2017, focal loss)
    scores = layers.Conv2D(1, 1, bias_initializer=rare, dtype="float32", name=f"scores{stride}")(y)
    boxes = layers.Conv2D(4, 1, dtype="float32", name=f"boxes{stride}")(y)
    landmarks = layers.Conv2D(10, 1, dtype="float32", name=f"landmarks{stride}")(y)
    joined = layers.Concatenate(dtype="float32")([scores, boxes, landmarks])
    return layers.Reshape((-1, 15), dtype="float32")(joined)


def face_check(side: int) -> keras.Model:
    """The face check: pixels (n, side, side, 1), 0 to 255, to one logit (n, 1), higher for a face.

    Its first layers are those of the face detector. They see a face at one size, so the last layers may use the place
    of each feature.
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    levels = _levels(layers.Rescaling(1 / 128, offset=-1)(pixels), LEVELS)
    x = layers.Concatenate()([layers.Flatten()(level) for level in levels[1:]])
    x = layers.Dense(64, use_bias=False)(layers.Dropout(0.3)(x))
    x = layers.Dropout(0.2)(layers.ReLU(max_value=6.0)(layers.BatchNormalization(momentum=0.97)(x)))
    return keras.Model(pixels, _logits(1)(x), name="face_check")


def copy_trunk(detector: keras.Model, check: keras.Model) -> None:
    """Copy the weights of a face detector's first layers to those of a face check."""
    for kind in (layers.Conv2D, Normalised):
        mine, theirs = in_creation_order(check, kind), in_creation_order(detector, kind)
        stem, _ = creation_rank(mine[0].name)
        unnamed = [each for each in theirs if creation_rank(each.name)[0] == stem]  # the last layers have own names
        for to, source in zip(mine, unnamed, strict=False):
            to.set_weights(source.get_weights())


def with_input_size(model: keras.Model, height: int, width: int) -> keras.Model:
    """Copy a trained face detector with a fixed input size."""
    fixed = face_detector(height, width)
    fixed.set_weights(model.get_weights())
    return fixed


def _pad(x: Any, height: int, width: int) -> Any:
    """Pad at the right and below to multiples of 32."""
    missing = ((0, -height % 32), (0, -width % 32))
    return layers.ZeroPadding2D(missing)(x) if any(map(any, missing)) else layers.Identity()(x)


def _crop(x: Any, rows: int, columns: int) -> Any:
    """Keep the first rows and columns.

    Without anything to crop an identity layer takes the place: all strides must stay equally deep, because Keras orders
    weights by depth.
    """
    beyond = ((0, x.shape[1] - rows), (0, x.shape[2] - columns))
    return layers.Cropping2D(beyond)(x) if any(map(any, beyond)) else layers.Identity()(x)


def build_classifier(recipe: ClassifierRecipe) -> keras.Model:
    """The classifier that a recipe names, with random weights by its seed, or with those of its backbone.

    SettingsError if the network needs a backbone and the recipe names none.
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
        raise SettingsError(f"model.backbone: must be the path of a backbone (NAME.npz) for network {recipe.network!r}")
    if recipe.network == "dense":
        return dense(side, labels, Path(recipe.backbone), recipe.front, pretrained=recipe.pretrained)
    return transfer(side, labels, Path(recipe.backbone), pretrained=recipe.pretrained, upscale=recipe.upscale)


def cnn(side: int, labels: int) -> keras.Model:
    """The classic baseline, convolutions, max pooling, dropout, dense: pixels (n, side, side, 1) to (n, labels)."""
    pixels = keras.Input((side, side, 1), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in (32, 64, 128):
        x = _conv(_conv(x, filters), filters)
        x = layers.Dropout(0.2)(layers.MaxPooling2D()(x))
    x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    return keras.Model(pixels, _logits(labels)(layers.Dropout(0.5)(x)), name="cnn")


def plain(side: int, labels: int) -> keras.Model:
    """Plain convolutions with an early stride, fast in int8 on any processor: pixels (n, side, side, 1) to (n, labels).

    Its bottlenecks are those of the face detector; no layer is slow in int8.
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = _conv(x, 32, 5, 2)
    for filters, blocks in ((64, 2), (128, 3), (224, 3)):
        x = _conv(x, filters, 3, 2)
        for _ in range(blocks):
            x = _bottleneck(x, filters)
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, _logits(labels)(x), name="plain")


def wide(side: int, labels: int, upscale: int = 1) -> keras.Model:
    """A large residual network for teachers, far too slow for a device: pixels (n, side, side, 1) to (n, labels).

    The input is upscaled by the factor ``upscale``.
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    x = _conv(_upscaled(layers.Rescaling(1 / 127.5, offset=-1)(pixels), upscale), 48)
    for filters in (64, 128, 256, 384):
        x = _basic_block(_basic_block(_conv(x, filters, 3, 2), filters), filters)
    x = layers.Dropout(0.4)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, _logits(labels)(x), name="wide")


def _upscaled(x: Any, factor: int) -> Any:
    return layers.UpSampling2D(factor, interpolation="bilinear")(x) if factor > 1 else x


def transfer(side: int, labels: int, weights: Path, *, pretrained: bool = True, upscale: int = 1) -> keras.Model:
    """A face-recognition backbone with a new head: pixels (n, side, side, 1), 0 to 255, to (n, labels).

    ``weights`` is ``NAME.npz``, with ``NAME.json`` beside it. Unless ``pretrained``, only its architecture is used. The
    input is upscaled by the factor ``upscale``.
    """
    pixels = keras.Input((side, side, 1), name="pixels")
    x = _upscaled(layers.Rescaling(1 / 127.5, offset=-1)(pixels), upscale)
    x = apply_layers(x, read_layers(weights))
    return _with_head(pixels, x, labels, weights if pretrained else None, "transfer")


def dense(
    side: int, labels: int, weights: Path, front: tuple[int, int, int, int], *, pretrained: bool = True
) -> keras.Model:
    """`transfer` on a grid twice as dense: pixels (n, side, side, 1), 0 to 255, to (n, labels).

    A front of a few plain convolutions, fast in int8, replaces the backbone's first layers. It reduces the input to a
    quarter of its side, where the replaced layers reduce it to an eighth.

    ``front``: channels of the two strided convolutions, inner channels of the residual blocks, and number of blocks.
    SettingsError if the backbone has no layer `JOINT`.
    """
    listed = read_layers(weights)
    joint = next((index for index, spec in enumerate(listed) if spec["layer"] == JOINT), None)
    if joint is None:
        raise SettingsError(f"{weights}: must have the layer {JOINT}, which the front of 'dense' ends at; has none")
    first, second, inner, blocks = front
    channels = next(spec["out"] for spec in reversed(listed[:joint]) if "out" in spec)
    pixels = keras.Input((side, side, 1), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Conv2D(first, 3, 2, padding="same", activation="relu6")(x)
    x = _conv(x, second, 3, 2)
    x = Normalised(momentum=0.97)(layers.Conv2D(channels, 1, use_bias=False)(x))
    for remaining in reversed(range(blocks)):
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(_conv(x, inner))
        name = f"{FRONT}_{remaining}" if remaining else FRONT
        x = layers.Add(name=name)([x, Normalised(momentum=0.97)(y)])
    x = apply_layers(x, listed[joint + 1 :], {JOINT: x})
    return _with_head(pixels, x, labels, weights if pretrained else None, "dense")


def _with_head(pixels: Any, x: Any, labels: int, weights: Path | None, name: str) -> keras.Model:
    """Add pooling and logits to a backbone, and load the backbone's weights if they are given."""
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(pixels, _logits(labels)(x), name=name)
    if weights:
        load_weights(model, weights)
    return model


def load_model(path: Path) -> keras.Model:
    """Load a saved model for inference; SettingsError if the file is missing.

    Keras can read it because this module registers its layers.
    """
    if not path.is_file():
        raise SettingsError(f"{path}: missing; `python -m training train` writes it")
    return keras.saving.load_model(path, compile=False)


def in_float32(model: keras.Model) -> keras.Model:
    """Copy a model that computes in bfloat16 to one that computes in float32, to be measured and quantised."""

    def copied(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def in_creation_order(model: keras.Model, kind: type[layers.Layer] | tuple[type[layers.Layer], ...]) -> list[Any]:
    """The layers of one or several kinds, sorted by `creation_rank`."""
    return sorted((each for each in model.layers if isinstance(each, kind)), key=lambda each: creation_rank(each.name))


def creation_rank(name: str) -> tuple[str, int]:
    """Sort key of a layer's default name: ``conv2d``, ``conv2d_1``, ... ``conv2d_10``."""
    stem = name.rstrip("0123456789")
    return stem.rstrip("_"), int(name[len(stem) :] or 0)
