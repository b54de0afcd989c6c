"""Frames -> the daemon's whole loop over them, with a call of getsid(2), which `count.c` sees, before each frame.

``marked_scene.py FRAMES.npy FPS PATH``: frames are uint8 (n, height, width), grey, ``PATH`` is ``every`` (the detector
runs on every frame) or ``motion`` (as the daemon does by default). Prints how many detections ran after the first
second. Runs on a board. Frames are in memory, so that decoding is not counted; disk and broker are left out.
"""

import argparse
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from edge import build
from edge.settings import AdmitSettings, File, Settings
from edge.values import Face, Frame, Pixels
from edge.vision.detect import Detector


class Counted(Detector):
    """The detector; counts its calls."""

    calls = 0

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        """As `Detector.detect`."""
        self.calls += 1
        return Detector.detect(self, pixels)


def main() -> None:
    """Run the loop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", type=Path)
    parser.add_argument("fps", type=float)
    parser.add_argument("path", choices=("every", "motion"))
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = np.load(chosen.frames)
    cv2.imwrite(str(chosen.frames.with_suffix(".png")), pictures[0])  # a source has to open
    capture = File(path=str(chosen.frames.parent))
    settings = Settings(site="bench", device="scene", capture=capture, admit=AdmitSettings(staff_zones=()))
    detector = Counted(build.detector_bundle())
    before = 0

    def frames() -> Iterator[Frame]:
        nonlocal before
        for index, pixels in enumerate(pictures):
            if index <= chosen.fps:
                before = detector.calls
            os.getsid(0)
            yield Frame(pixels, index / chosen.fps)
        os.getsid(0)

    with build.pipeline(settings, threading.Event(), build.no_temperature, io.StringIO()) as wired:
        wired.source = replace(wired.source, frames=frames())
        wired.detector = detector
        if chosen.path == "every":
            wired.motion = None
        wired.run()
    print(detector.calls - before)


if __name__ == "__main__":
    main()
