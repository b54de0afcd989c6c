"""In place of a Raspberry Pi's camera library, for a daemon with ``source = "picamera2"``: plays pictures by the clock.

``FACETALLY_PICTURES`` names a folder of pictures, shown in order, for ever, ``FACETALLY_PICTURES_FPS`` a second of the
monotonic clock. While a file ``lost`` is beside them there is no camera: it does not open, and gives nothing.
``FACETALLY_PICTURES_LOG``, if set, names a file that receives a line for each request: the wall-clock time of the
answer in seconds, and ``taken`` or ``refused``. It shows what the daemon could see on a machine of any speed.
"""

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np


class Picamera2:
    """The few calls that the daemon makes of the real class."""

    def __init__(self, number: int = 0) -> None:
        folder = Path(os.environ["FACETALLY_PICTURES"])
        self._lost = folder.with_name("lost")
        self._log = os.environ.get("FACETALLY_PICTURES_LOG")
        if self._lost.exists():
            self._note("refused")
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self._pictures = [cv2.imread(str(name), cv2.IMREAD_GRAYSCALE) for name in sorted(folder.iterdir())]
        self._fps = float(os.environ["FACETALLY_PICTURES_FPS"])
        self._wait_s, self._chance = 0.1, np.random.default_rng(number)

    def create_video_configuration(self, main: dict[str, Any], buffer_count: int) -> dict[str, Any]:
        """As asked for."""
        return {"main": main, "buffer_count": buffer_count}

    def configure(self, config: dict[str, Any]) -> None:
        """The pictures have a size of their own."""
        height, width = self._pictures[0].shape
        self._config = {"main": config["main"] | {"size": (width, height)}}

    def camera_configuration(self) -> dict[str, Any]:
        """What it really gives."""
        return self._config

    def set_controls(self, controls: dict[str, float]) -> None:
        """The rate at which frames come."""
        self._wait_s = 1 / controls["FrameRate"]

    def start(self) -> None:
        """From now on there are frames."""

    def capture_array(self, name: str, wait: float) -> np.ndarray:
        """The next frame (h * 3 // 2, w) YUV420, no two alike, as a sensor has noise; TimeoutError if there is none."""
        time.sleep(self._wait_s)
        if self._lost.exists():
            time.sleep(wait)
            self._note("refused")
            raise TimeoutError
        grey = self._pictures[int(time.monotonic() * self._fps) % len(self._pictures)]
        self._note("taken")
        noisy = np.clip(grey + self._chance.integers(-2, 3, grey.shape), 0, 255).astype(np.uint8)
        return np.vstack([noisy, np.full((grey.shape[0] // 2, grey.shape[1]), 128, np.uint8)])

    def _note(self, answer: str) -> None:
        if self._log:
            with Path(self._log).open("a") as file:
                file.write(f"{time.time():.3f} {answer}\n")

    def cancel_all_and_flush(self) -> None:
        """Nothing is on its way."""

    def close(self) -> None:
        """Nothing to let go."""
