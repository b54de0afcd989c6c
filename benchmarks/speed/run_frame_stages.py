"""Run the stages of a frame on an emulated board, each between two calls of getsid(2) as markers.

``run_frame_stages.py IMAGE...`` prints the name of each stage that has run, in order. The qemu plugin
`count_instructions.c` records the instructions executed at each marker. Each image must hold a face. ``--fer FILE`` and
``--yunet FILE`` run those networks as well. Started by `benchmarks.speed.frame_instructions`.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from contract.card import CheckCard, ClassifierCard, DetectorCard
from edge import build
from edge.camera.file_source import read_image
from edge.camera.image_quality import ImageQuality
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker, TrackUpdate
from edge.settings import AdmitSettings, TrackSettings
from edge.values import Detection, Pixels
from edge.vision.bundle import DEFAULT_CHECK, Bundle, load
from edge.vision.classify import Classifier
from edge.vision.crop import crop_face
from edge.vision.detect import Detector, letterbox
from edge.vision.face_check import FaceCheck
from edge.vision.interpreter import RUNTIMES
from edge.vision.motion_gate import BackgroundModel

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
OTHER_DETECTORS = ("face-320x240", "face-640x480")
"""Shipped detectors beside the default one; each is a stage of this name."""
WARM_UP_FRAMES = 2
"""Frames without markers; what is created on first use exists afterwards."""


def fer(path: Path) -> Callable[[], Any]:
    """Load the quantised network of the package ``fer``; return a function that runs it once."""
    module = import_module(RUNTIMES[0])
    network = module.Interpreter(model_path=str(path), num_threads=1)
    network.allocate_tensors()
    (source,) = network.get_input_details()
    network.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
    return network.invoke


def yunet(path: Path, pixels: Pixels) -> Callable[[], Any]:
    """Load YuNet; return a function that runs it on the image at a long side of 320 pixels.

    `benchmarks.speed.yunet` does the same, but is not installed on a board.
    """
    scale = 320 / max(pixels.shape)
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    network = cv2.FaceDetectorYN.create(str(path), "", size, 0.6)
    image = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    return lambda: network.detect(image)


def detector_run(name: str, pixels: Pixels) -> Callable[[], Any]:
    """Load a shipped detector; return a function that runs it on the image, with resizing and decoding."""
    detector = Detector(build.detector_bundle(name))
    return lambda: detector.detect(pixels)


@dataclass(slots=True)
class Stages:
    """The daemon's stages with the shipped bundles, and the networks alone."""

    faces: Bundle[DetectorCard]
    checks: Bundle[CheckCard]
    expressions: Bundle[ClassifierCard]
    condition: ImageQuality = field(default_factory=lambda: ImageQuality(live=False))
    scene: BackgroundModel = field(default_factory=BackgroundModel)
    tracker: Tracker = field(default_factory=lambda: Tracker(TrackSettings()))
    gate: AdmissionGate = field(default_factory=lambda: AdmissionGate(AdmitSettings(staff_zones=())))

    def run_frame(self, pixels: Pixels, now: float, run: Callable[[str, Callable[[], Any]], Any]) -> None:
        """Run all stages on one frame; ``run`` is called with the name and function of each."""
        faces, expressions = self.faces, self.expressions
        detector, classifier = Detector(faces), Classifier(expressions)
        tally, shape = Tally(expressions.card.labels, 60.0, now, 60.0), (pixels.shape[0], pixels.shape[1])
        fitted = letterbox(pixels, (faces.card.input.height, faces.card.input.width))[0][None, :, :, None]
        run("nothing", lambda: None)
        run("detect network", lambda: faces.model.run(fitted))
        run("condition", lambda: self.condition.assess(pixels, now))
        run("motion", lambda: self._compare(pixels))
        found = run("detect", lambda: detector.detect(pixels))
        size = (self.checks.card.input.height, self.checks.card.input.width)
        crop = crop_face(pixels, found[0], self.checks.card.crop, size)[None, :, :, None]
        run("check network", lambda: self.checks.model.run(crop))
        found = run("check", lambda: FaceCheck(self.checks).check(pixels, found))
        tracks = run("track and admit", lambda: self._follow(found, now, shape))
        size = (expressions.card.input.height, expressions.card.input.width)
        crops = np.stack([crop_face(pixels, face, expressions.card.crop, size) for face in found])[..., None]
        expressions.model.run(crops)  # sets the batch size
        run("classify network", lambda: expressions.model.run(crops))
        looks = run("classify", lambda: classifier.classify(pixels, found))
        run("tally", lambda: (tally.add_frame(now), tally.add_observations(tracks.seen, looks), tally.count((), ())))

    def _compare(self, pixels: Pixels) -> None:
        self.scene.compare(pixels, 0.1)
        self.scene.mark_detected()

    def _follow(self, found: list[Detection], now: float, shape: tuple[int, int]) -> TrackUpdate:
        tracks = self.tracker.update(found, now, shape)
        self.gate.admit(tracks.seen, shape, now, NOON)
        return tracks


def with_markers(name: str, run: Callable[[], Any]) -> Any:
    """Call a function between two markers, and print its name."""
    os.getsid(0)
    result = run()
    os.getsid(0)
    print(name)
    return result


def without_markers(_: str, run: Callable[[], Any]) -> Any:
    """Call a function."""
    return run()


def main() -> None:
    """Run the stages on all images, the first `WARM_UP_FRAMES` without markers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fer", type=Path)
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("images", nargs="+", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    stages = Stages(build.detector_bundle(), load(DEFAULT_CHECK, CheckCard), build.classifier_bundle())
    peers: dict[str, Callable[[], Any]] = {"fer network": fer(arguments.fer)} if arguments.fer else {}
    for index, path in enumerate(arguments.images):
        image = read_image(path)
        assert image is not None, path
        run = without_markers if index < WARM_UP_FRAMES else with_markers
        stages.run_frame(image, index / 10, run)
        if arguments.yunet and "yunet" not in peers:
            peers["yunet"] = yunet(arguments.yunet, image)
        for other in OTHER_DETECTORS:
            if other not in peers:
                peers[other] = detector_run(other, image)
        for name, peer in peers.items():
            run(name, peer)


if __name__ == "__main__":
    main()
