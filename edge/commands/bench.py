"""A clip -> milliseconds of each stage on this device, beside the bare networks on the same input."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone

import numpy as np

from contract.card import ClassifierCard, DetectorCard
from edge.camera.image_quality import Condition
from edge.commands.try_images import image_paths, read_images
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker
from edge.settings import AdmitSettings, TallySettings, TrackSettings
from edge.system.health import resident_mb
from edge.vision.bundle import Bundle
from edge.vision.classify import Classifier
from edge.vision.crop import cut
from edge.vision.detect import Detector, letterbox
from edge.vision.motion_gate import Scene

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
FPS = 10.0
WARM = 3
"""The first frames are not counted: memory is laid out then."""
NETWORKS = ("detect network", "classify network")
STAGES = ("condition", "motion", "detect", "track and admit", "classify", "tally")


@dataclass(slots=True)
class StageTimes:
    """Milliseconds of each frame, by stage; the networks alone, on the same input, under names of their own."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Note how long what is inside takes."""
        begin = time.perf_counter()
        yield
        self.values[name].append((time.perf_counter() - begin) * 1000)

    def percentiles(self) -> dict[str, tuple[float, float, float]]:
        """Stage -> p50, p95 and p99 in milliseconds."""
        found = {}
        for name, each in self.values.items():
            p50, p95, p99 = np.percentile(each, (50, 95, 99)).tolist()
            found[name] = (p50, p95, p99)
        return found

    def frame_ms(self) -> float:
        """What a frame costs in all stages: the sum of their means over all frames."""
        return self._per_frame(STAGES)

    def glue_ms(self) -> float:
        """What of it is not the two networks."""
        return self.frame_ms() - self._per_frame(NETWORKS)

    def _per_frame(self, names: tuple[str, ...]) -> float:
        frames = max(len(self.values["detect"]), 1)
        return sum(sum(self.values[name]) for name in names) / frames


def measure(path: str, faces: Bundle[DetectorCard], expressions: Bundle[ClassifierCard]) -> StageTimes:
    """A picture, clip or folder, and the two bundles -> the times of all its frames, one after the other."""
    detector, classifier, times = Detector(faces), Classifier(expressions), StageTimes()
    tracker, gate = Tracker(TrackSettings()), AdmissionGate(AdmitSettings(staff_zones=()))
    scene = Scene()
    tally, condition = Tally(expressions.card.labels, TallySettings().window_s, 0.0, 60.0), Condition(live=False)
    seen = (pixels for file in image_paths([path]) for _, pixels in read_images(file))
    size = (faces.card.input.height, faces.card.input.width)
    crop_size = (expressions.card.input.height, expressions.card.input.width)
    for index, pixels in enumerate(seen):
        if index == WARM:
            times.values.clear()
        now, shape = index / FPS, (pixels.shape[0], pixels.shape[1])
        fitted = letterbox(pixels, size)[0][None, :, :, None]
        with times.of("detect network"):
            faces.model.run(fitted)
        with times.of("condition"):
            condition.look(pixels, now)
        with times.of("motion"):
            scene.compare(pixels, 1 / FPS)
        scene.detected()
        with times.of("detect"):
            found = detector.detect(pixels)
        with times.of("track and admit"):
            tracks = tracker.update(found, now, shape)
            over = gate.release(tracks.visits, tracks.gone, now)
            admitted = gate.admit(tracks.seen, shape, now, NOON).admitted
        if admitted:
            crops = np.stack([cut(pixels, each.face, expressions.card.crop, crop_size) for each in admitted])
            with times.of("classify network"):
                expressions.model.run(crops[..., None])
            with times.of("classify"):
                looks = classifier.classify(pixels, [each.face for each in admitted])
        with times.of("tally"):
            tally.look(now)
            if admitted:
                tally.add_observations(admitted, looks)
            tally.count(*over)
    return times


def table(times: StageTimes) -> str:
    """The percentiles, what a frame costs, and the memory of this process, as lines of text."""
    rows = [f"{'stage':20}{'frames':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}"]
    for name, (p50, p95, p99) in times.percentiles().items():
        rows.append(f"{name:20}{len(times.values[name]):8}{p50:9.3f}{p95:9.3f}{p99:9.3f}")
    rows.append(f"a frame: {times.frame_ms():.3f} ms, of which {times.glue_ms():.3f} ms are not the two networks")
    rows.append(f"resident memory: {resident_mb():.0f} MB")
    return "\n".join(rows)
