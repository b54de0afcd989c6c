"""Count visits as the device does: motion gate, regions, detector, face check and tracker, 10 detections a second."""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.card import DetectorCard
from edge.counting.track import Tracker
from edge.settings import DetectSettings, TrackSettings
from edge.values import Frame
from edge.vision.bundle import Bundle
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck
from edge.vision.motion_gate import MotionGate
from edge.vision.region import RegionSelector, detect_in_view


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """What was counted."""

    visits: int
    detections: int
    """Number of times the detector ran."""


def count_frames(
    bundle: Bundle[DetectorCard], check: FaceCheck | None, frames: Iterable[Frame], *, regions: bool = True
) -> DeviceCount:
    """Count the visits of a video. Without ``regions`` the detector sees whole frames only."""
    settings, card = TrackSettings().for_detector(bundle.card.threshold), bundle.card
    detector, tracker, visits, runs = Detector(bundle, settings.low), Tracker(settings), 0, 0
    selector = RegionSelector((card.input.height, card.input.width), settings.gap_s) if regions else None
    gate = MotionGate(DetectSettings().max_fps, settings.gap_s, regions=selector)
    for frame in frames:
        view = gate.select(frame.pixels, frame.time)
        if view:
            runs += 1
            shape = (frame.pixels.shape[0], frame.pixels.shape[1])
            faces = detect_in_view(detector, frame.pixels, view)
            if check:
                faces = check.check(frame.pixels, faces)
            update = tracker.update(faces, frame.time, shape, is_partial=view.is_partial)
            gate.update_tracks(update.seen, frame.time)
            visits += len(update.visits)
    return DeviceCount(visits + len(tracker.finish().visits), runs)
