"""A real pipeline on scripted faces: only camera, networks, disk and broker are replaced."""

import numpy as np

from contract.message import Models, Privacy
from edge.analyzer import FrameAnalyzer
from edge.camera.capture import Source
from edge.camera.image_quality import ImageQuality
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker
from edge.delivery.publish import Identity
from edge.delivery.restamp import Restamper
from edge.errors import SpoolError
from edge.pipeline import Pipeline, window_converter
from edge.settings import AdmitSettings, TrackSettings
from edge.stages import Observer
from edge.system.clock import ReplayClock
from edge.values import Expression, Frame
from tests.support.fakes import BEGIN

PIXELS = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
IDENTITY = Identity("shop-1", "door", "1" * 16)
MODELS = Models(detector="face@aaaaaaaaaaaa", expression="expression@bbbbbbbbbbbb")


class FakeSpool:
    """Replaces spool and publisher: keeps the windows in a list, and refuses them like a full disk while ``full``."""

    connected = False

    def __init__(self):
        self.windows, self.full, self.pumped, self.dropped = [], False, 0, 0

    def add(self, window):
        if self.full:
            raise SpoolError("spool: could not add a window: disk full")
        self.windows.append(window)

    def first_unsynced(self):
        return None

    def pump(self, spool):
        self.pumped += 1

    @property
    def happy(self):
        """Happy visits of each window."""
        return [window.visits["happiness"] for window in self.windows]


class ScriptedFaces:
    """Replaces source and both networks: faces as a function of the second, all of them happy."""

    def __init__(self, at):
        self.at, self.time = at, 0.0

    def frames(self, times):
        for self.time in times:
            yield Frame(PIXELS, self.time)

    def detect(self, pixels):
        return tuple(self.at(self.time))

    def classify(self, pixels, faces):
        return tuple(Expression((0.9, 0.1), True) for _ in faces)


class Recorder(Observer):
    """Records the seconds of the frames on which the detector ran, and of every face that was classified."""

    def __init__(self):
        self.detected_at, self.classified_at = [], []

    def on_detections(self, frame, detections):
        self.detected_at.append(frame.time)

    def on_expressions(self, frame, tracks, expressions):
        self.classified_at += [frame.time] * len(tracks)


def scripted_pipeline(faces, items, window_s=60.0, observer=None, **admit):
    """A pipeline over the items of a source, and the fake spool that takes its windows."""
    spool, clock = FakeSpool(), ReplayClock(BEGIN)
    analyzer = FrameAnalyzer(
        detector=faces,
        tracker=Tracker(TrackSettings()),
        gate=AdmissionGate(AdmitSettings(**({"staff_zones": ()} | admit))),
        classifier=faces,
        tally=Tally(("happiness", "neutral"), window_s, 0.0, window_s),
        utc=clock.utc,
        quality=ImageQuality(live=False),
        observer=observer or Observer(),
    )
    converter = window_converter(IDENTITY, clock, Privacy(k=1), MODELS)
    pipeline = Pipeline(
        source=Source(items, clock, 0.0, lambda: 0, lambda: None),
        analyzer=analyzer,
        restamper=Restamper(converter, clock, "kernel", 0.0, lambda: 0.0),
        spool=spool,
        publisher=spool,
        report=lambda health: None,
        alive=lambda: None,
    )
    return pipeline, spool
