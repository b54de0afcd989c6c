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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge import build
from edge.camera_settings import File
from edge.settings import AdmitSettings, Settings
from edge.stages import Observer
from edge.values import Detection, Frame


@dataclass(frozen=True, slots=True)
class InMemorySource:
    """Frames that are in memory, in place of the source that the pipeline opened."""

    frames: Iterator[Frame]


class DetectionCounter(Observer):
    """Counts the frames on which the detector ran."""

    count = 0

    def on_detections(self, frame: Frame, detections: Sequence[Detection]) -> None:
        """Count a frame."""
        self.count += 1


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
    detections, before = DetectionCounter(), 0

    def frames() -> Iterator[Frame]:
        nonlocal before
        for index, pixels in enumerate(images):
            if index <= arguments.fps:
                before = detections.count
            os.getsid(0)
            yield Frame(pixels, index / arguments.fps)
        os.getsid(0)

    with build.pipeline(settings, threading.Event(), lambda: None, io.StringIO(), detections) as pipeline:
        pipeline.source = InMemorySource(frames())
        if arguments.path == "every":
            pipeline.analyzer.motion = None
        pipeline.run()
    print(detections.count - before)


if __name__ == "__main__":
    main()
