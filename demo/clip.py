"""Public-domain portraits of installed packages -> a short clip of people who walk past a camera."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import skimage.data
from numpy.typing import NDArray
from tqdm import tqdm

WIDTH, HEIGHT, FPS = 640, 480, 10
SECONDS = 30
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Person:
    """A portrait, BGR, and where in it head and shoulders are: head's centre and half axes, shoulders' too, pixels."""

    pixels: Picture
    head: tuple[int, int, int, int]
    shoulders: tuple[int, int, int, int]

    def mask(self) -> NDArray[np.float32]:
        """How much of each pixel is the person, 0 to 1 (h, w, 1), soft at the rim."""
        drawn = np.zeros(self.pixels.shape[:2], np.uint8)
        for x, y, across, down in (self.head, self.shoulders):
            cv2.ellipse(drawn, (x, y), (across, down), 0, 0, 360, 255, -1)
        return (cv2.GaussianBlur(drawn, (0, 0), 4) / np.float32(255))[..., None].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Walk:
    """One visit: who, from which second for how many, at which height of the picture (the head's centre, pixels), how
    large (of the portrait), and whether from left to right.
    """

    who: str
    start: float
    lasts: float
    y: int
    scale: float
    rightward: bool


WALKS = (
    Walk("astronaut", 1.0, 5.0, 190, 1.0, True),
    Walk("officer", 4.5, 5.5, 170, 0.55, False),
    Walk("astronaut", 11.0, 6.0, 120, 0.6, False),
    Walk("officer", 15.0, 6.0, 230, 0.8, True),
    Walk("astronaut", 20.5, 6.5, 220, 1.2, False),
)
"""Five visits: three of somebody who smiles, two of somebody who hardly does."""


def people() -> dict[str, Person]:
    """The two portraits: Eileen Collins (NASA, by scikit-image), Grace Hopper (US Navy, by matplotlib).

    The officer comes without the top of her cap: the detector takes its badge for a small face, see docs/accuracy.md.
    """
    astronaut = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    officer = cv2.imread(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return {
        "astronaut": Person(astronaut, (224, 110, 85, 110), (200, 400, 190, 190)),
        "officer": Person(officer, (262, 222, 130, 142), (262, 560, 235, 240)),
    }


def compose(path: Path) -> None:
    """Write the clip: half a minute, ten frames a second, before the shelves of an imagined shop."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise OSError(f"{path}: OpenCV cannot write an MPEG-4 video here")
    try:
        for picture in tqdm(
            pictures(WALKS, SECONDS, FPS), desc="clip of passers-by", unit="frame", total=SECONDS * FPS
        ):
            writer.write(picture)
    finally:
        writer.release()


def pictures(walks: Sequence[Walk], seconds: int, fps: int) -> Iterator[Picture]:
    """The shop while these walks are walked, frame by frame, BGR (480, 640, 3)."""
    cast, ground = people(), _shop()
    masks = {name: person.mask() for name, person in cast.items()}
    noise = np.random.default_rng(7)
    for index in range(seconds * fps):
        frame = ground.astype(np.float32)
        for walk in walks:
            _paint(frame, walk, index / fps, cast[walk.who], masks[walk.who])
        frame += noise.normal(0, 3, frame.shape)
        yield np.clip(frame, 0, 255).astype(np.uint8)


def _paint(frame: NDArray[np.float32], walk: Walk, second: float, who: Person, mask: NDArray[np.float32]) -> None:
    """Put a walker into the frame where they are at this second, if they are anywhere."""
    gone = (second - walk.start) / walk.lasts
    if not 0 <= gone <= 1:
        return
    reach = walk.scale * who.pixels.shape[1] / 2
    x = -reach + gone * (WIDTH + 2 * reach)
    if not walk.rightward:
        x = WIDTH - x
    y = walk.y + 4 * walk.scale * math.sin(second * 2 * math.pi * 1.8)
    shift = np.array([[walk.scale, 0, x - walk.scale * who.head[0]], [0, walk.scale, y - walk.scale * who.head[1]]])
    method = cv2.INTER_AREA if walk.scale < 1 else cv2.INTER_LINEAR
    body = cv2.warpAffine(who.pixels, shift, (WIDTH, HEIGHT), flags=method).astype(np.float32)
    share = cv2.warpAffine(mask, shift, (WIDTH, HEIGHT), flags=method)[..., None]
    frame += share * (body - frame)


def _shop() -> Picture:
    """Shelves with boxes, drawn: nobody is in it."""
    draw = np.random.default_rng(3)
    picture = np.full((HEIGHT, WIDTH, 3), (196, 202, 206), np.uint8)
    for top in range(30, HEIGHT, 110):
        left = 10
        while left < WIDTH - 20:
            width, height = int(draw.integers(26, 70)), int(draw.integers(40, 90))
            colour = tuple(int(value) for value in draw.integers(70, 210, 3))
            cv2.rectangle(picture, (left, top + 95 - height), (left + width, top + 95), colour, -1)
            left += width + int(draw.integers(3, 14))
        cv2.rectangle(picture, (0, top + 95), (WIDTH, top + 103), (120, 132, 140), -1)
    return cv2.GaussianBlur(picture, (0, 0), 2.2)
