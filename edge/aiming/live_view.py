"""Run the daemon's stages on the camera for the aiming page: faces and measures of the latest frame, nothing else.

No window leaves this module, and no broker or spool is opened. A file is played in real time, again and again.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from edge import build
from edge.aiming.advice import Measures
from edge.aiming.measure import Measurements, Scene, SeenFace
from edge.camera.capture import Source, source
from edge.camera.file_source import read_frames
from edge.camera.image_quality import BLURRED_MAX_RATIO
from edge.camera_settings import File
from edge.counting.admit import AdmissionGate
from edge.settings import AdmitSettings, Polygon, Settings
from edge.system.clock import MonotonicClock, now
from edge.values import Frame, MissingFrame, Pixels
from edge.vision.choose_detector import choose_detector

Zones = tuple[Polygon, ...]
WHOLE_IMAGE: Zones = (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)
"""The zones while the configuration states none: nobody is analysed."""
LOOP_PAUSE_S = 1.0
"""Pause before a file starts again, seconds; at least a frame, even of a single image."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the page shows of one frame."""

    number: int
    """Grows with each frame."""
    pixels: Pixels | None
    """The latest frame; None while there is none."""
    faces: tuple[SeenFace, ...]
    measures: Measures


class LiveView:
    """Follows the camera in the calling thread; any thread may take the latest snapshot."""

    def __init__(
        self,
        settings: Settings,
        zones: Zones | None,
        stop: threading.Event,
        warnings: Callable[[Zones], Sequence[str]],
        field_of_view: float,
    ) -> None:
        """``zones`` are those of the configuration, None if it does not say; ``warnings`` judges zones.

        Raises `BundleError`, `ClipError` and `SettingsError` where the daemon would.
        """
        settings = structs.replace(settings, detect=structs.replace(settings.detect, follow_motion=False))
        bundles = build.load_bundles(settings, choose_detector(settings, None).card)
        tracker = build.tracker_for(settings, bundles.detector.card)
        self._source = _opened(settings, stop)
        self._gate = AdmissionGate(_with_zones(settings.admit, zones))
        self._analyzer = build.frame_analyzer(settings, self._source, bundles=bundles, tracker=tracker, gate=self._gate)
        card = bundles.classifier.card
        self._seen = Measurements(card.min_face_px, settings.track.min_observations)
        self._analyzer.observer = self._seen
        self._warnings, self.zones = warnings, zones
        self._zone_warnings = _sentences(warnings(zones or ()))
        empty = Measures(
            blurred_max_ratio=BLURRED_MAX_RATIO,
            needed_px=card.min_face_px,
            wanted_per_s=settings.detect.max_fps,
            field_of_view=field_of_view,
        )
        self._latest = Snapshot(0, None, (), replace(empty, problem="it is being opened"))

    @property
    def latest(self) -> Snapshot:
        """The latest snapshot."""
        return self._latest

    def set_zones(self, zones: Zones) -> None:
        """Apply zones that were saved, from the next frame on."""
        self.zones, self._zone_warnings = zones, _sentences(self._warnings(zones))
        self._gate.settings = _with_zones(self._gate.settings, zones)

    def run(self) -> None:
        """Follow the camera until the source ends. Raises `ClipError` for a file that cannot be played."""
        for frame in self._source.frames:
            if isinstance(frame, MissingFrame):
                self._analyzer.add_missing(frame)
                self._latest = self._without_frame(frame)
                continue
            scene = self._seen.add_frame(frame)
            self._analyzer.add_frame(frame)
            faces = () if scene.blind else self._seen.faces
            self._latest = Snapshot(self._latest.number + 1, frame.pixels, faces, self._measures(frame, scene))

    def _without_frame(self, missing: MissingFrame) -> Snapshot:
        """The snapshot while the camera gives no frame."""
        reason = f"{missing.reason}; the terminal of facetally-aim says why"
        measures = replace(self._latest.measures, problem=reason, frames_per_s=0.0, detections_per_s=0.0)
        return Snapshot(self._latest.number + 1, None, (), measures)

    def _measures(self, frame: Frame, scene: Scene) -> Measures:
        """What was measured up to a frame."""
        people, zones = self._seen.summary(frame.time), self.zones
        frames_per_s, detections_per_s = self._seen.rates(frame.time)
        return replace(
            self._latest.measures,
            problem=None,
            image_width=frame.pixels.shape[1],
            blind=scene.blind,
            light=scene.light,
            bright=scene.bright,
            detail=scene.detail,
            best_detail=self._seen.best_detail(),
            frames_per_s=frames_per_s,
            detections_per_s=detections_per_s,
            people=people.people,
            unknown=people.unknown,
            face_px=people.face_px,
            face_light=people.light,
            turned=people.turned,
            zones=None if zones is None else len(zones),
            zone_warnings=self._zone_warnings,
        )


def _sentences(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{warning[:1].upper()}{warning[1:]}." for warning in warnings)


def _with_zones(admit: AdmitSettings, zones: Zones | None) -> AdmitSettings:
    return structs.replace(admit, staff_zones=WHOLE_IMAGE if zones is None else zones)


def _opened(settings: Settings, stop: threading.Event) -> Source:
    """Open the camera as the daemon does; a file is repeated."""
    if isinstance(settings.capture, File):
        return _looped(settings.capture, stop)
    return source(settings.capture, stop, settings.grid_s)


def _looped(settings: File, stop: threading.Event) -> Source:
    """Play a file in real time, again and again, until ``stop`` is set."""
    start = time.monotonic()
    frames = _loop(settings, stop)
    return Source(frames, MonotonicClock(time.monotonic, now), start, lambda: 0, lambda: None)


def _loop(settings: File, stop: threading.Event) -> Iterator[Frame | MissingFrame]:
    while not stop.is_set():
        begin = time.monotonic()
        for frame in read_frames(settings):
            if stop.wait(max(0.0, begin + frame.time - time.monotonic())):
                return
            yield Frame(frame.pixels, time.monotonic())
        stop.wait(LOOP_PAUSE_S)
