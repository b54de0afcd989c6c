"""Pictures -> the stages of a frame, each between two calls of getsid(2), which `count.c` sees; runs on a board.

``marked.py PICTURE...`` prints the name of each stage that has run, in order. Each picture holds a face. ``--fer FILE``
and ``--yunet FILE`` run those networks beside ours.
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

from contract.card import ClassifierCard, DetectorCard
from edge import build
from edge.camera.file_source import read_picture
from edge.camera.image_quality import Condition
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker, TrackUpdate
from edge.settings import AdmitSettings, TrackSettings
from edge.values import Face, Pixels
from edge.vision.bundle import Bundle
from edge.vision.classify import Classifier
from edge.vision.crop import cut
from edge.vision.detect import Detector, letterbox
from edge.vision.interpreter import RUNTIMES
from edge.vision.motion_gate import Scene

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
LIGHT = "face-320x240"
WARM = 2
"""Frames before the count: what is made on first use has been."""


def fer(path: Path) -> Callable[[], Any]:
    """The quantised network of the package ``fer`` -> one inference of it."""
    module = import_module(RUNTIMES[0])
    network = module.Interpreter(model_path=str(path), num_threads=1)
    network.allocate_tensors()
    (taken,) = network.get_input_details()
    network.set_tensor(taken["index"], np.zeros(taken["shape"], taken["dtype"]))
    return network.invoke


def yunet(path: Path, pixels: Pixels) -> Callable[[], Any]:
    """YuNet's file, a picture -> its boxes at the long side of 320; `benchmarks.speed.yunet` is not there on a board."""
    scale = 320 / max(pixels.shape)
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    network = cv2.FaceDetectorYN.create(str(path), "", size, 0.6)
    colours = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    return lambda: network.detect(colours)


def light(pixels: Pixels) -> Callable[[], Any]:
    """The network of the smallest shipped detector on a picture."""
    smallest = build.detector_bundle(LIGHT)
    fitted = letterbox(pixels, (smallest.card.input.height, smallest.card.input.width))[0][None, :, :, None]
    return lambda: smallest.model.run(fitted)


@dataclass(slots=True)
class Stages:
    """The daemon's stages with the shipped bundles, and both networks bare."""

    faces: Bundle[DetectorCard]
    expressions: Bundle[ClassifierCard]
    condition: Condition = field(default_factory=lambda: Condition(live=False))
    scene: Scene = field(default_factory=Scene)
    tracker: Tracker = field(default_factory=lambda: Tracker(TrackSettings()))
    gate: AdmissionGate = field(default_factory=lambda: AdmissionGate(AdmitSettings(staff_zones=())))

    def see(self, pixels: Pixels, now: float, run: Callable[[str, Callable[[], Any]], Any]) -> None:
        """One frame through all of them; ``run`` calls each by name."""
        faces, expressions = self.faces, self.expressions
        detector, classifier = Detector(faces), Classifier(expressions)
        tally, shape = Tally(expressions.card.labels, 60.0, now, 60.0), (pixels.shape[0], pixels.shape[1])
        fitted = letterbox(pixels, (faces.card.input.height, faces.card.input.width))[0][None, :, :, None]
        run("nothing", lambda: None)
        run("detect network", lambda: faces.model.run(fitted))
        run("condition", lambda: self.condition.look(pixels, now))
        run("motion", lambda: self._compare(pixels))
        found = run("detect", lambda: detector.detect(pixels))
        tracks = run("track and admit", lambda: self._follow(found, now, shape))
        size = (expressions.card.input.height, expressions.card.input.width)
        crops = np.stack([cut(pixels, face, expressions.card.crop, size) for face in found])[..., None]
        expressions.model.run(crops)  # its batch is set
        run("classify network", lambda: expressions.model.run(crops))
        looks = run("classify", lambda: classifier.classify(pixels, found))
        run("tally", lambda: (tally.add_frame(now), tally.add_observations(tracks.seen, looks), tally.count((), ())))

    def _compare(self, pixels: Pixels) -> None:
        self.scene.compare(pixels, 0.1)
        self.scene.detected()

    def _follow(self, found: list[Face], now: float, shape: tuple[int, int]) -> TrackUpdate:
        tracks = self.tracker.update(found, now, shape)
        self.gate.admit(tracks.seen, shape, now, NOON)
        return tracks


def marked(name: str, run: Callable[[], Any]) -> Any:
    """Call it between two marks."""
    os.getsid(0)
    result = run()
    os.getsid(0)
    print(name)
    return result


def unmarked(_: str, run: Callable[[], Any]) -> Any:
    """Call it."""
    return run()


def main() -> None:
    """Run the stages over the pictures, the first `WARM` without marks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fer", type=Path)
    parser.add_argument("--yunet", type=Path)
    parser.add_argument("pictures", nargs="+", type=Path)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    stages = Stages(build.detector_bundle(), build.classifier_bundle())
    beside: dict[str, Callable[[], Any]] = {"fer network": fer(chosen.fer)} if chosen.fer else {}
    for index, path in enumerate(chosen.pictures):
        picture = read_picture(path)
        assert picture is not None, path
        run = unmarked if index < WARM else marked
        stages.see(picture, index / 10, run)
        if chosen.yunet and "yunet" not in beside:
            beside["yunet"] = yunet(chosen.yunet, picture)
        if f"{LIGHT} network" not in beside:
            beside[f"{LIGHT} network"] = light(picture)
        for name, one in beside.items():
            run(name, one)


if __name__ == "__main__":
    main()
