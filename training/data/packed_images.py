"""Grey pictures -> one array of compressed bytes, and back."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
LOSSLESS = (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])
"""OpenCV takes a WebP quality over 100 as lossless."""
HIGH_QUALITY = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90])
Format = tuple[str, list[int]]


def pack(pictures: Iterable[Grey], form: Format) -> tuple[Grey, NDArray[np.int64]]:
    """Pictures (h, w), of any sizes -> their bytes one after the other, and where each ends."""
    extension, options = form
    parts = [cv2.imencode(extension, picture, options)[1] for picture in pictures]
    content = np.concatenate(parts) if parts else np.zeros(0, np.uint8)
    return content, np.cumsum([len(part) for part in parts], dtype=np.int64)


def unpack(content: Grey, ends: NDArray[np.int64]) -> Iterator[Grey]:
    """What `pack` made -> the pictures, in order."""
    start = 0
    for end in ends.tolist():
        yield cv2.imdecode(content[start:end], cv2.IMREAD_GRAYSCALE)
        start = end
