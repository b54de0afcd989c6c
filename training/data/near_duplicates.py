"""Find images that nearly repeat a held-out image, by perceptual hash."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Side to which an image is shrunk before the cosine transform, pixels."""
LOW = 8
"""Number of frequencies along each axis that the hash keeps."""
MAX_DISTANCE = 6
"""Highest Hamming distance, of 64 bits, between hashes of near-duplicates.

Of the pairs of FER2013 that were inspected, nearly all at distance 4 show the same image, about half at 6, hardly any
at 8. Losing a few training images does less harm than testing on images that were trained on."""
CHUNK = 2048
"""Images compared at once; bounds memory."""


def perceptual_hash(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Perceptual hashes (n,) of grey images (n, h, w), 64 bits each (Zauner 2010, "pHash").

    An image is shrunk to 32 x 32 and cosine transformed. A bit tells whether one of the 8 x 8 lowest frequencies
    exceeds their median.
    """
    bits = np.zeros((len(images), LOW * LOW), bool)
    for index, image in enumerate(images):
        small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        low = cv2.dct(small)[:LOW, :LOW].ravel()
        bits[index] = low > np.median(low)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def find_near_duplicates(images: NDArray[np.uint8], held_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the images (n,) that nearly repeat a held-out one, mirrored or not.

    ``images`` is (n, h, w) grey, ``held_out`` (n,) tells which are held out. Held-out images are never marked.
    """
    hashes, mirrored = perceptual_hash(images), perceptual_hash(images[:, :, ::-1])
    wanted = np.unique(hashes[held_out])
    marked = np.zeros(len(images), bool)
    others = np.flatnonzero(~held_out)
    for start in range(0, len(others), CHUNK):
        rows = others[start : start + CHUNK]
        for each in (hashes, mirrored):
            distance = np.bitwise_count(each[rows, None] ^ wanted[None])
            marked[rows] |= (distance <= MAX_DISTANCE).any(1)
    return marked
