"""A pipeline with the real stages, but scripted detections and expressions, and a list for spool and publisher."""

import numpy as np

from contract.message import Models, Privacy
from edge.camera.capture import Source
from edge.camera.image_quality import ImageQuality
from edge.counting.admit import Gate
from edge.counting.tally import Tally
from edge.counting.track import Tracker
from edge.delivery.publish import Identity
from edge.delivery.restamp import Restamper
from edge.errors import SpoolError
from edge.pipeline import Pipeline, stamp
from edge.settings import AdmitSettings, TrackSettings
from edge.system.clock import ReplayClock
from edge.values import Expression, Frame
from tests.support.fakes import BEGIN

PIXELS = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
IDENTITY = Identity("shop-1", "door", "1" * 16)
MODELS = Models(detector="face@aaaaaaaaaaaa", expression="expression@bbbbbbbbbbbb")


class FakeSpool:
    """Replaces spool and publisher with a list. `add` raises SpoolError while ``full``."""

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


class ScriptedFaces:
    """Replaces both networks. ``at`` returns the faces at a second; each is happy. Records the classified seconds."""

    def __init__(self, at):
        self.at, self.time, self.classified = at, 0.0, []

    def frames(self, times):
        for self.time in times:
            yield Frame(PIXELS, self.time)

    def detect(self, pixels):
        return tuple(self.at(self.time))

    def classify(self, pixels, faces):
        self.classified += [self.time] * len(faces)
        return tuple(Expression((0.9, 0.1), True) for _ in faces)


def scripted_pipeline(faces, items, window_s=60.0, **admit):
    """Return a pipeline over the items of a source, and the list that receives its windows."""
    kept, clock = FakeSpool(), ReplayClock(BEGIN)
    pipeline = Pipeline(
        Source(items, clock, 0.0, lambda: 0, lambda: None),
        faces,
        Tracker(TrackSettings()),
        Gate(AdmitSettings(**({"staff_zones": ()} | admit))),
        faces,
        Tally(("happiness", "neutral"), window_s, 0.0, window_s),
        kept,
        kept,
        Restamper(stamp(IDENTITY, clock, Privacy(k=1), MODELS), clock, "kernel", 0.0, lambda: 0.0),
        lambda watch: None,
        lambda: None,
        condition=ImageQuality(live=False),
    )
    return pipeline, kept
