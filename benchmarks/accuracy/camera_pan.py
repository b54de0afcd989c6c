"""Move a virtual camera over an image, with the noise of a sensor and the compression of H.264."""

import hashlib
import io
from collections.abc import Sequence

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge.values import Pixels

FRAMES, FPS = 24, 12
"""Length of a video and its frame rate."""
WIDTH, SMALL_WIDTH, SMALL_BELOW = 640, 480, 500
"""Width of the frames; the second for images narrower than the third, pixels."""
SEEN = (0.72, 0.82)
"""The camera sees a fraction of the image's width between these, and at most `SEEN_HEIGHT` of its height."""
SEEN_HEIGHT, ASPECT = 0.95, 0.75
"""Largest fraction of the height that is seen, and height of a frame over its width."""
REACH, SWAY, ZOOM = 0.95, 0.004, 0.04
"""How far the camera goes towards the border, how much it sways (fraction of the width), and how much it zooms."""
NOISE = 2.5
"""Standard deviation of the sensor noise, grey levels."""
CRF = (22, 36)
"""Compression of the videos: quality of H.264 from the first value up to below the second; higher is worse."""

Floats = NDArray[np.float64]


def video(pixels: Pixels, boxes: Floats, name: str) -> tuple[list[Pixels], list[Floats]]:
    """Let a camera move over a grey image (height, width): return frames, and the boxes (n, 4) in each of them."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    height, width = pixels.shape
    seen_width = rng.uniform(*SEEN) * width
    seen_height = min(SEEN_HEIGHT * height, ASPECT * seen_width)
    shown_width = WIDTH if width >= SMALL_BELOW else SMALL_WIDTH
    shown_height = 2 * round(shown_width * seen_height / seen_width / 2)
    direction, phases = rng.uniform(0, 2 * np.pi), rng.uniform(0, 6, 3)
    frames, moved = [], []
    for index in range(FRAMES):
        way = REACH * (2 * index / (FRAMES - 1) - 1)
        x = width / 2 + (width - seen_width) / 2 * np.cos(direction) * way
        y = height / 2 + (height - seen_height) / 2 * np.sin(direction) * way
        x += SWAY * width * np.sin(0.9 * index + phases[0])
        y += SWAY * width * np.sin(0.7 * index + phases[1])
        scale = shown_width / seen_width * (1 + ZOOM * np.sin(0.13 * index + phases[2]))
        shift = (shown_width / 2 - x * scale, shown_height / 2 - y * scale)
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        frame = cv2.warpAffine(pixels, matrix, (shown_width, shown_height), borderMode=cv2.BORDER_REFLECT_101)
        frames.append(np.clip(frame + rng.normal(0, NOISE, frame.shape), 0, 255).astype(np.uint8))
        moved.append(boxes * scale + np.array([*shift, 0, 0]))
    return compress(frames, int(rng.integers(*CRF))), moved


def compress(frames: Sequence[Pixels], crf: int) -> list[Pixels]:
    """Encode grey frames of the same size with H.264 at a quality, and decode them."""
    file = io.BytesIO()
    height, width = frames[0].shape
    with av.open(file, "w", format="mp4") as output:
        options = {"crf": str(crf), "preset": "veryfast", "bf": "0", "threads": "1"}
        stream = output.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray").reformat(format="yuv420p")))
        output.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as opened:
        return [np.asarray(each.reformat(format="gray").to_ndarray(), np.uint8) for each in opened.decode(video=0)]
