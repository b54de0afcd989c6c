"""Names and sizes -> the float networks, in Keras 3."""

from typing import Any

import keras
from keras import layers


def _conv(x: Any, filters: int, size: int = 3, stride: int = 1) -> Any:
    """Convolution, batch normalisation, ReLU6: what folds into one int8 operator."""
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.97)(x)
    return layers.ReLU(max_value=6.0)(x)


def _residual(x: Any, filters: int) -> Any:
    """1x1, 3x3 at half the width, 1x1, and the way round (He et al. 2016, bottleneck)."""
    y = _conv(x, filters // 2, 1)
    y = _conv(y, filters // 2, 3)
    y = layers.Conv2D(filters, 1, use_bias=False)(y)
    y = layers.BatchNormalization(momentum=0.97)(y)
    return layers.ReLU(max_value=6.0)(layers.Add()([x, y]))


def face_detector(height: int, width: int) -> keras.Model:
    """Pixels (n, height, width, 1) in 0..255 -> (n, cells, 15): score logit, box 4, landmarks 10.

    Anchor-free heads at strides 8, 16 and 32 over a small feature pyramid (Lin et al. 2017); cells are row by row,
    stride after stride. Height and width are multiples of 32. The encoding is that of `edge.detect.decode`.
    """
    pixels = keras.Input((height, width, 1), name="pixels")
    x = layers.Rescaling(1 / 128, offset=-1)(pixels)
    x = _conv(x, 16, 3, 2)
    x = _conv(x, 24, 3, 2)
    levels = []
    for filters in (64, 96, 128):
        x = _conv(x, filters, 3, 2)
        x = _residual(_residual(x, filters), filters)
        levels.append(x)
    top = _conv(levels[2], 48, 1)
    middle = layers.Add()([_conv(levels[1], 48, 1), layers.UpSampling2D()(top)])
    bottom = layers.Add()([_conv(levels[0], 48, 1), layers.UpSampling2D()(middle)])
    parts = []
    for level, name in ((bottom, "8"), (middle, "16"), (top, "32")):
        y = _conv(level, 48, 3)
        score = layers.Conv2D(1, 1, bias_initializer=keras.initializers.Constant(-4.6), name=f"score{name}")(y)
        place = layers.Conv2D(14, 1, name=f"place{name}")(y)
        parts.append(layers.Reshape((-1, 15))(layers.Concatenate()([score, place])))
    return keras.Model(pixels, layers.Concatenate(axis=1, name="cells")(parts), name="face")
