"""Pictures of several parts -> which of them are repeats of pictures held back, by what they look like."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
LOW = 8
ALIKE = 6
"""Hashes that differ in at most so many of 64 bits are one picture. Of pairs in FER2013 that were looked at, nearly all
were one at 4, about half at 6, hardly any at 8: rather lose a few than test on what was trained on."""
CHUNK = 2048


def perceptual_hash(pictures: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Pictures (n, h, w) -> 64 bits each (n,): which of the 8 x 8 lowest frequencies lie above their median.

    Shrunk to 32 x 32, cosine transform (Zauner 2010, "pHash").
    """
    bits = np.zeros((len(pictures), LOW * LOW), bool)
    for index, picture in enumerate(pictures):
        small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        low = cv2.dct(small)[:LOW, :LOW].ravel()
        bits[index] = low > np.median(low)
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def find_near_duplicates(pictures: NDArray[np.uint8], held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pictures (n, h, w), which are held back (n,) -> which of the others look like one of those, mirrored or not."""
    hashes, mirrored = perceptual_hash(pictures), perceptual_hash(pictures[:, :, ::-1])
    wanted = np.unique(hashes[held])
    found = np.zeros(len(pictures), bool)
    others = np.flatnonzero(~held)
    for at in range(0, len(others), CHUNK):
        rows = others[at : at + CHUNK]
        for each in (hashes, mirrored):
            apart = np.bitwise_count(each[rows, None] ^ wanted[None])
            found[rows] |= (apart <= ALIKE).any(1)
    return found
