"""A replacement for the picamera2 library that plays images, for a daemon with ``source = "picamera2"``.

``FACETALLY_IMAGES`` names a folder of images. They are shown in order, in a loop, ``FACETALLY_IMAGES_FPS`` per second
of the monotonic clock. Or it names a NumPy file of frames, (n, height, width) uint8, that hold the noise of a sensor
already; the file is mapped, so it is in memory once for all cameras. While a file ``camera-off`` exists beside the
folder the camera cannot be opened and delivers no frame. While a file ``camera-silent`` exists there it can be opened,
and delivers none. ``FACETALLY_IMAGES_LOG``, if set, names a file that receives a line for each request: the wall-clock
time of the answer in seconds, and ``delivered`` or ``refused``.
"""

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

NOISE = 2
"""Amplitude of the sensor noise, grey levels."""


class Picamera2:
    """The methods of `picamera2.Picamera2` that the daemon calls."""

    def __init__(self, number: int = 0) -> None:
        folder = Path(os.environ["FACETALLY_IMAGES"])
        self._off, self._silent = folder.with_name("camera-off"), folder.with_name("camera-silent")
        self._log = os.environ.get("FACETALLY_IMAGES_LOG")
        if self._off.exists():
            self._log_answer("refused")
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self._is_noisy = folder.suffix == ".npy"
        self._images = (
            np.load(folder, mmap_mode="r")
            if self._is_noisy
            else [cv2.imread(str(name), cv2.IMREAD_GRAYSCALE) for name in sorted(folder.iterdir())]
        )
        self._fps = float(os.environ["FACETALLY_IMAGES_FPS"])
        self._interval_s, self._rng = 0.1, np.random.default_rng(number)

    def create_video_configuration(self, main: dict[str, Any], buffer_count: int) -> dict[str, Any]:
        """Return the configuration as requested."""
        return {"main": main, "buffer_count": buffer_count}

    def configure(self, config: dict[str, Any]) -> None:
        """Accept a configuration, but with the size of the images."""
        height, width = self._images[0].shape
        self._config = {"main": config["main"] | {"size": (width, height)}}

    def camera_configuration(self) -> dict[str, Any]:
        """Return the configuration in effect."""
        return self._config

    def set_controls(self, controls: dict[str, float]) -> None:
        """Set the frame rate."""
        self._interval_s = 1 / controls["FrameRate"]

    def start(self) -> None:
        """Do nothing: frames are always available."""

    def capture_array(self, name: str, wait: float) -> np.ndarray:
        """Return the next frame, uint8 YUV420 (height * 3 // 2, width); TimeoutError while the camera is off.

        Noise makes no two frames alike, as that of a sensor does.
        """
        time.sleep(self._interval_s)
        if self._off.exists() or self._silent.exists():
            time.sleep(wait)
            self._log_answer("refused")
            raise TimeoutError
        self._log_answer("delivered")
        grey = self._images[int(time.monotonic() * self._fps) % len(self._images)]
        if not self._is_noisy:
            noise = self._rng.integers(-NOISE, NOISE + 1, grey.shape)
            grey = np.clip(grey + noise, 0, 255).astype(np.uint8)
        return np.vstack([grey, np.full((grey.shape[0] // 2, grey.shape[1]), 128, np.uint8)])

    def _log_answer(self, answer: str) -> None:
        if self._log:
            with Path(self._log).open("a") as file:
                file.write(f"{time.time():.3f} {answer}\n")

    def cancel_all_and_flush(self) -> None:
        """Do nothing: no request is pending."""

    def close(self) -> None:
        """Do nothing: no device is open."""
