"""Run the daemon's pipeline over the frames of a scene on an emulated board, with a marker before each frame.

``run_scene.py FRAMES.npy FPS PATH``: the frames are grey, uint8 (n, height, width). ``PATH`` is ``every`` (a detection
on every frame) or ``motion`` (as the daemon works by default). The markers are calls of getsid(2), at which the qemu
plugin `count_instructions.c` records the instructions executed. It prints the number of detections after the first
second. The frames are in memory, so decoding is not counted; disk and broker are left out. Started by
`benchmarks.speed.scene_instructions`.
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
from edge.values import Detection, Frame, Pixels
from edge.vision.detect import Detector


class CountingDetector(Detector):
    """The detector, with a count of its calls."""

    calls = 0

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        """Detect faces, and count the call."""
        self.calls += 1
        return Detector.detect(self, pixels)


def main() -> None:
    """Run the pipeline, and print the number of detections."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", type=Path)
    parser.add_argument("fps", type=float)
    parser.add_argument("path", choices=("every", "motion"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    images = np.load(arguments.frames)
    # the pipeline opens its source, which is replaced below
    cv2.imwrite(str(arguments.frames.with_suffix(".png")), images[0])
    capture = File(path=str(arguments.frames.parent))
    settings = Settings(site="bench", device="scene", capture=capture, admit=AdmitSettings(staff_zones=()))
    detector = CountingDetector(build.detector_bundle())
    before = 0

    def frames() -> Iterator[Frame]:
        nonlocal before
        for index, pixels in enumerate(images):
            if index <= arguments.fps:
                before = detector.calls
            os.getsid(0)
            yield Frame(pixels, index / arguments.fps)
        os.getsid(0)

    with build.pipeline(settings, threading.Event(), build.no_temperature, io.StringIO()) as wired:
        wired.source = replace(wired.source, frames=frames())
        wired.detector = detector
        if arguments.path == "every":
            wired.motion = None
        wired.run()
    print(detector.calls - before)


if __name__ == "__main__":
    main()
