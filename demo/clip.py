"""Render a short clip of people who walk past a camera, from public-domain portraits of installed packages."""

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
NOISE = 3.0
"""Standard deviation of the sensor noise, grey levels."""
STEPS_HZ, STEP_PX = 1.8, 4
"""Frequency and amplitude of the vertical movement of a walking head, at scale 1."""
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Person:
    """A portrait, and the ellipses of head and shoulders in it: centre x, y and half axes x, y in pixels."""

    pixels: Image
    """BGR, (height, width, 3)."""
    head: tuple[int, int, int, int]
    shoulders: tuple[int, int, int, int]

    def mask(self) -> NDArray[np.float32]:
        """Return the opacity of each pixel, 0 to 1, (height, width, 1), with soft edges."""
        ellipses = np.zeros(self.pixels.shape[:2], np.uint8)
        for x, y, half_width, half_height in (self.head, self.shoulders):
            cv2.ellipse(ellipses, (x, y), (half_width, half_height), 0, 0, 360, 255, -1)
        return (cv2.GaussianBlur(ellipses, (0, 0), 4) / np.float32(255))[..., None].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Walk:
    """One visit: a person who crosses the image."""

    person: str
    """Key of `people`."""
    start: float
    """Seconds from the beginning of the clip."""
    duration: float
    """Seconds from one edge of the image to the other."""
    y: int
    """Height of the head's centre in the image, pixels from the top."""
    scale: float
    """Size relative to the portrait."""
    rightward: bool


WALKS = (
    Walk("astronaut", start=1.0, duration=5.0, y=190, scale=1.0, rightward=True),
    Walk("officer", start=4.5, duration=5.5, y=170, scale=0.55, rightward=False),
    Walk("astronaut", start=11.0, duration=6.0, y=120, scale=0.6, rightward=False),
    Walk("officer", start=15.0, duration=6.0, y=230, scale=0.8, rightward=True),
    Walk("astronaut", start=20.5, duration=6.5, y=220, scale=1.2, rightward=False),
)
"""Five visits: three of a person who smiles, two of a person who hardly does."""


def people() -> dict[str, Person]:
    """Return the two portraits: Eileen Collins (NASA, by scikit-image) and Grace Hopper (US Navy, by matplotlib).

    The officer's mask leaves out the top of her cap: the detector takes its badge for a small face (docs/accuracy.md).
    """
    astronaut = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    officer = cv2.imread(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return {
        "astronaut": Person(astronaut, head=(224, 110, 85, 110), shoulders=(200, 400, 190, 190)),
        "officer": Person(officer, head=(262, 222, 130, 142), shoulders=(262, 560, 235, 240)),
    }


def compose(path: Path) -> None:
    """Write the demonstration's clip: `SECONDS` of `WALKS` at `FPS`; OSError if OpenCV cannot encode MPEG-4."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise OSError(f"{path}: OpenCV cannot write MPEG-4 video on this machine")
    frames = render(WALKS, SECONDS, FPS)
    try:
        for image in tqdm(frames, desc="rendering the clip", unit="frame", total=SECONDS * FPS):
            writer.write(image)
    finally:
        writer.release()


def render(walks: Sequence[Walk], seconds: int, fps: int) -> Iterator[Image]:
    """Yield the frames of a clip with these walks, BGR (480, 640, 3)."""
    persons, background = people(), _shop()
    masks = {name: person.mask() for name, person in persons.items()}
    rng = np.random.default_rng(7)
    for index in range(seconds * fps):
        frame = background.astype(np.float32)
        for walk in walks:
            _draw(frame, walk, index / fps, persons[walk.person], masks[walk.person])
        frame += rng.normal(0, NOISE, frame.shape)
        yield np.clip(frame, 0, 255).astype(np.uint8)


def _draw(frame: NDArray[np.float32], walk: Walk, second: float, person: Person, mask: NDArray[np.float32]) -> None:
    """Draw the person into the frame where they are at this second, if they are in view."""
    progress = (second - walk.start) / walk.duration
    if not 0 <= progress <= 1:
        return
    half_width = walk.scale * person.pixels.shape[1] / 2
    x = -half_width + progress * (WIDTH + 2 * half_width)
    if not walk.rightward:
        x = WIDTH - x
    y = walk.y + STEP_PX * walk.scale * math.sin(second * 2 * math.pi * STEPS_HZ)
    transform = np.array(
        [[walk.scale, 0, x - walk.scale * person.head[0]], [0, walk.scale, y - walk.scale * person.head[1]]]
    )
    method = cv2.INTER_AREA if walk.scale < 1 else cv2.INTER_LINEAR
    body = cv2.warpAffine(person.pixels, transform, (WIDTH, HEIGHT), flags=method).astype(np.float32)
    opacity = cv2.warpAffine(mask, transform, (WIDTH, HEIGHT), flags=method)[..., None]
    frame += opacity * (body - frame)


def _shop() -> Image:
    """Return a background of shelves with boxes, without people."""
    rng = np.random.default_rng(3)
    image = np.full((HEIGHT, WIDTH, 3), (196, 202, 206), np.uint8)
    for top in range(30, HEIGHT, 110):
        left = 10
        while left < WIDTH - 20:
            width, height = int(rng.integers(26, 70)), int(rng.integers(40, 90))
            colour = tuple(int(value) for value in rng.integers(70, 210, 3))
            cv2.rectangle(image, (left, top + 95 - height), (left + width, top + 95), colour, -1)
            left += width + int(rng.integers(3, 14))
        cv2.rectangle(image, (0, top + 95), (WIDTH, top + 103), (120, 132, 140), -1)
    return cv2.GaussianBlur(image, (0, 0), 2.2)
