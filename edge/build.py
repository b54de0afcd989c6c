"""Settings -> the pipeline they describe, all that it opens closed at the end."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from base.logs import line
from contract.card import ClassifierCard, DetectorCard, model_of
from contract.message import Models, Privacy
from edge.camera.capture import source
from edge.camera.image_quality import Condition
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker
from edge.delivery import spool
from edge.delivery.publish import Identity, published
from edge.delivery.restamp import Settler
from edge.delivery.spool_lock import alone
from edge.pipeline import Pipeline, stamp
from edge.settings import File, Settings
from edge.system.clock import boot_id, floor_to_grid, kernel_boot, now
from edge.system.health import HealthMonitor, temperature_c
from edge.system.thermal import ThermalThrottle
from edge.vision import bundle
from edge.vision.bundle import Bundle
from edge.vision.choose_detector import chosen
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.motion_gate import MotionGate

log = logging.getLogger("edge")
SHORTEST_SHARE = 0.01
"""A first window shorter than this share of a whole one is not worth a message."""


def detector_bundle(path: str | None = None, threads: int = 1) -> Bundle[DetectorCard]:
    """The detector's bundle at a path, or a shipped one by its name, or the default."""
    return bundle.load(bundle.card_path(path) if path else bundle.DETECTOR, DetectorCard, threads)


def classifier_bundle(path: str | None = None, threads: int = 1) -> Bundle[ClassifierCard]:
    """The classifier's bundle at a path, or a shipped one by its name, or the default."""
    return bundle.load(bundle.card_path(path) if path else bundle.CLASSIFIER, ClassifierCard, threads)


def first_window_s(begin: datetime, window_s: float) -> float:
    """How long a window that begins now lasts, so that the next begins on the grid; a scrap is joined to the next."""
    left = window_s - (begin - floor_to_grid(begin, window_s)).total_seconds()
    return left if left >= SHORTEST_SHARE * window_s else left + window_s


def no_temperature() -> None:
    """The temperature while a file is replayed, which must count the same each time."""


@contextmanager
def pipeline(
    settings: Settings, stop: threading.Event, alive: Callable[[], None], stream: TextIO | None = None
) -> Iterator[Pipeline]:
    """A pipeline ready to run; ``alive`` is called for every frame that has gone through. With a ``stream`` messages
    are printed there, nothing goes to a broker, and the spool is one of its own that ends with the process.
    """
    choice = chosen(settings, None if stream else Path(settings.spool.path).parent)
    faces = detector_bundle(str(choice.card), settings.detect.threads)
    expressions = classifier_bundle(settings.classify.bundle, settings.classify.threads)
    own = faces.card.threshold if settings.detect.threshold is None else settings.detect.threshold
    tracker = Tracker(settings.track.for_detector(own))
    gate = AdmissionGate(settings.admit)
    camera = source(settings.capture, stop, settings.grid_s)
    begin = camera.clock.utc(camera.start)
    first = first_window_s(begin, settings.tally.window_s)
    identity = Identity(settings.site, settings.device, boot_id())
    model = model_of(faces.card, expressions.card)
    models = Models(detector=faces.card.identity, expression=expressions.card.identity)
    path = Path(":memory:" if stream else settings.spool.path)
    with (
        alone(path),
        spool.opened(
            path, settings.max_windows, int(settings.spool.max_mb * 1e6), settings.privacy.release_s
        ) as waiting,
        published(settings.publish, identity, model, stream) as publisher,
    ):
        log.info(line("boot", id=identity.boot))
        log.info(line("detector", bundle=faces.card.identity, reason=choice.reason))

        def report(watch: HealthMonitor) -> None:
            runtime = faces.model.runtime
            watch.fixed_faces = len(tracker.fixed)
            publisher.health(watch.report(identity.boot, waiting, camera.clock.state, now(), camera.dropped, runtime))

        yield Pipeline(
            camera,
            Detector(faces, tracker.settings.low),
            tracker,
            gate,
            Classifier(expressions),
            Tally(expressions.card.labels, settings.tally.window_s, camera.start, first),
            waiting,
            publisher,
            Settler(
                stamp(identity, camera.clock, Privacy(k=settings.privacy.k), models),
                camera.clock,
                kernel_boot(),
                0.0 if stream else settings.spool.unsynced_hold_h * 3600,
                time.monotonic,
                identity.boot,
            ),
            report,
            alive,
            settings.detect.every,
            watch=HealthMonitor(detector_choice=choice.reason),
            condition=Condition(live=not isinstance(settings.capture, File)),
            governor=ThermalThrottle(no_temperature if isinstance(settings.capture, File) else temperature_c),
            motion=MotionGate(settings.detect.max_fps, settings.track.gap_s, settings.detect.follow_motion),
        )
