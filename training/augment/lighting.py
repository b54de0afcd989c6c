"""Degrade grey images as a poorer camera or poorer light would; used for both tasks."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Grey = NDArray[np.uint8]


def degrade(rng: Generator, grey: Grey, strength: float = 1.0) -> Grey:
    """Apply random exposure, blur, noise and JPEG compression to an image (h, w).

    ``strength`` (0 to 1) scales the probability of each.
    """
    if rng.random() < 0.7 * strength:
        grey = expose(rng, grey)
    if rng.random() < 0.25 * strength:
        grey = blur(rng, grey)
    if rng.random() < 0.3 * strength:
        noise = rng.normal(0, rng.uniform(2, 14), grey.shape)
        grey = np.clip(grey + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.25 * strength:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
        grey = cv2.imdecode(cv2.imencode(".jpg", grey, quality)[1], cv2.IMREAD_GRAYSCALE)
    return grey


def expose(rng: Generator, grey: Grey) -> Grey:
    """Apply random gamma, gain and offset, and sometimes a gradient of light from one side."""
    levels = (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.35))
    levels = (levels - 0.5) * rng.uniform(0.5, 1.3) + 0.5 + rng.normal(0, 0.1)
    exposed = np.clip(levels * 255, 0, 255).astype(np.uint8)[grey]
    if rng.random() < 0.2:
        gradient = np.linspace(rng.uniform(0.4, 1), 1, grey.shape[1], dtype=np.float32)
        exposed = (exposed * (gradient if rng.random() < 0.5 else gradient[::-1])).astype(np.uint8)
    return exposed


def blur(rng: Generator, grey: Grey) -> Grey:
    """Apply defocus, motion blur or a lower resolution, each with the same probability."""
    kind = rng.integers(3)
    if kind == 0:
        return cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.6))
    if kind == 1:
        length = int(rng.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1 / length
        return cv2.filter2D(grey, -1, kernel if rng.random() < 0.7 else kernel.T)
    height, width = grey.shape
    scale = rng.uniform(0.4, 0.9)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
