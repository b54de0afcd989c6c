"""Pack grey images into one array of compressed bytes, and unpack them."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Format = tuple[str, list[int]]
"""File extension and OpenCV's options of a compressed format."""
LOSSLESS: Format = (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])
"""Lossless WebP; OpenCV takes a quality above 100 as lossless."""
HIGH_QUALITY: Format = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90])
"""JPEG, for photographs."""


def pack(images: Iterable[Grey], form: Format) -> tuple[Grey, NDArray[np.int64]]:
    """Compress images (h, w) of any sizes; return their concatenated bytes and the end of each."""
    extension, options = form
    parts = [cv2.imencode(extension, image, options)[1] for image in images]
    content = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
    return content, np.cumsum([len(part) for part in parts], dtype=np.int64)


def unpack(content: Grey, ends: NDArray[np.int64]) -> Iterator[Grey]:
    """Yield the images that `pack` compressed, in order."""
    start = 0
    for end in ends.tolist():
        yield cv2.imdecode(content[start:end], cv2.IMREAD_GRAYSCALE)
        start = end
