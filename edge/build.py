"""Build the pipeline that the settings describe, and close at the end all that it opened."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from msgspec.structs import replace

from base.certificate import device_certificate_end
from base.errors import FacetallyError
from base.logs import line
from contract.card import CheckCard, ClassifierCard, DetectorCard, model_of, read_card
from contract.fields import MAX_OUTCOMES
from contract.health import MAX_CHOICE_LENGTH
from contract.message import Models, Privacy, Shadow
from edge.analyzer import FrameAnalyzer
from edge.camera.capture import Source, source
from edge.camera.image_quality import ImageQuality
from edge.camera_settings import File
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.totals import PublishedTotals
from edge.counting.track import Tracker
from edge.delivery import spool
from edge.delivery.agreement import AgreementTable
from edge.delivery.publish import Identity, published
from edge.delivery.restamp import Restamper
from edge.delivery.spool import Spool
from edge.delivery.spool_lock import locked
from edge.pipeline import Pipeline, window_converter
from edge.settings import AUTO, NONE, Settings, ShadowSettings
from edge.shadow.comparison import ShadowComparison
from edge.shadow.worker import ShadowWorker
from edge.stages import Observer
from edge.system.clock import boot_id, floor_to_grid, kernel_boot, now
from edge.system.health import HealthMonitor, temperature_c
from edge.system.thermal import ThermalThrottle
from edge.vision import bundle
from edge.vision.bundle import Bundle
from edge.vision.choose_detector import choose_detector
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck
from edge.vision.motion_gate import MotionGate
from edge.vision.region import RegionSelector

log = logging.getLogger("edge")
MIN_WINDOW_FRACTION = 0.01
"""A first window shorter than this fraction of a full one is joined to the second."""


def detector_bundle(path: str | None = None, threads: int = 1) -> Bundle[DetectorCard]:
    """Load a detector bundle: the card at a path, a shipped bundle by name, or the default. Raises BundleError."""
    return bundle.load(bundle.card_path(path) if path else bundle.DEFAULT_DETECTOR, DetectorCard, threads)


def classifier_bundle(path: str | None = None, threads: int = 1) -> Bundle[ClassifierCard]:
    """Load a classifier bundle: the card at a path, a shipped bundle by name, or the default. Raises BundleError."""
    return bundle.load(bundle.card_path(path) if path else bundle.DEFAULT_CLASSIFIER, ClassifierCard, threads)


def check_bundle(given: str, detector: Path, threads: int = 1) -> Bundle[CheckCard] | None:
    """Load the face check that ``detect.check`` names for the detector of a card; None if detections are not checked.

    ``auto`` is the shipped check for a shipped detector, and none for another. Raises BundleError.
    """
    if given == NONE or (given == AUTO and not bundle.is_shipped(detector)):
        return None
    return bundle.load(bundle.DEFAULT_CHECK if given == AUTO else bundle.card_path(given), CheckCard, threads)


@dataclass(frozen=True, slots=True)
class Bundles:
    """The bundles that analyse a frame."""

    detector: Bundle[DetectorCard]
    check: Bundle[CheckCard] | None
    """The face check; None if detections are not checked."""
    classifier: Bundle[ClassifierCard]


def load_bundles(settings: Settings, detector: Path) -> Bundles:
    """Load the detector of a card, and the face check and the classifier that the settings name. Raises BundleError."""
    threads = settings.detect.threads
    return Bundles(
        bundle.load(detector, DetectorCard, threads),
        check_bundle(settings.detect.check, detector, threads),
        classifier_bundle(settings.classify.bundle, settings.classify.threads),
    )


def describe_choice(reason: str, check: Bundle[CheckCard] | None) -> str:
    """Why this detector runs, and which face check, for the health message."""
    return f"{reason}; {f'face check {check.card.identity}' if check else 'no face check'}"[:MAX_CHOICE_LENGTH]


def first_window_s(begin: datetime, window_s: float) -> float:
    """Duration of a first window that starts at ``begin``, seconds, so that the second starts on the grid."""
    left = window_s - (begin - floor_to_grid(begin, window_s)).total_seconds()
    return left if left >= MIN_WINDOW_FRACTION * window_s else left + window_s


def no_temperature() -> None:
    """Temperature while a file is replayed: unknown, because every replay must give the same counts."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of a second classifier with the one that counts."""

    observer: Observer
    message: Callable[[], Shadow]
    """Returns the agreement table as it may be published now."""


@contextmanager
def pipeline(
    settings: Settings,
    stop: threading.Event,
    alive: Callable[[], None],
    stream: TextIO | None = None,
    observer: Observer | None = None,
) -> Iterator[Pipeline]:
    """Open a pipeline that is ready to run.

    ``stop`` ends the source; ``alive`` is called after every frame. With a ``stream``, messages are printed there
    instead of sent to a broker, and the spool is in memory. ``observer`` sees what each stage produced.
    """
    choice = choose_detector(settings, None if stream else Path(settings.spool.path).parent)
    bundles = load_bundles(settings, choice.card)
    detector, check, classifier = bundles.detector, bundles.check, bundles.classifier
    gate = AdmissionGate(settings.admit)  # before the camera is opened, because the settings may be wrong
    camera = source(settings.capture, stop, settings.grid_s)
    tracker = tracker_for(settings, detector.card)
    analyzer = frame_analyzer(settings, camera, bundles=bundles, tracker=tracker, gate=gate)
    analyzer.health.detector_choice = describe_choice(choice.reason, check)
    analyzer.health.certificate_ends = None if stream else device_certificate_end(settings.broker)
    analyzer.observer = observer or Observer()
    identity = Identity(settings.site, settings.device, boot_id())
    models = Models(detector=detector.card.identity, expression=classifier.card.identity)
    converter = window_converter(identity, camera.clock, Privacy(k=settings.privacy.k), models)
    hold_s = 0.0 if stream else settings.spool.unsynced_hold_h * 3600
    published_totals = PublishedTotals(settings.privacy.k, MAX_OUTCOMES)
    with (
        _spool(settings, in_memory=stream is not None) as opened,
        published(settings.broker, identity, model_of(detector.card, classifier.card), stream) as publisher,
        _comparison(
            settings if stream is None else replace(settings, shadow=None),
            models,
            classifier.card.labels,
            opened,
            identity.boot,
        ) as comparison,
    ):
        log.info(line("boot", id=identity.boot))
        identity_of_check = check.card.identity if check else NONE
        log.info(line("detector", bundle=detector.card.identity, check=identity_of_check, reason=choice.reason))

        if comparison:
            analyzer.shadow = comparison.observer
            publisher.shadow(comparison.message())
        elif stream is None and opened.agreement() is not None:
            publisher.shadow(None)  # the comparison has ended

        def report(monitor: HealthMonitor) -> None:
            monitor.fixed_faces = len(tracker.fixed)
            monitor.tracks_ended = published_totals.update(analyzer.totals, opened.released_visits)
            runtime = detector.model.runtime
            publisher.health(monitor.report(identity.boot, opened, camera.clock.state, now(), camera.dropped, runtime))
            if comparison:
                publisher.shadow(comparison.message())

        yield Pipeline(
            source=camera,
            analyzer=analyzer,
            restamper=Restamper(converter, camera.clock, kernel_boot(), hold_s, time.monotonic, identity.boot),
            spool=opened,
            publisher=publisher,
            report=report,
            alive=alive,
        )


def frame_analyzer(
    settings: Settings,
    camera: Source,
    *,
    bundles: Bundles,
    tracker: Tracker,
    gate: AdmissionGate,
) -> FrameAnalyzer:
    """The stages of one frame, as the settings describe them."""
    is_file = isinstance(settings.capture, File)
    detector, check, classifier = bundles.detector, bundles.check, bundles.classifier
    return FrameAnalyzer(
        detector=Detector(detector, tracker.settings.low),
        check=FaceCheck(check) if check else None,
        tracker=tracker,
        gate=gate,
        classifier=Classifier(classifier),
        tally=_tally(settings, classifier.card, camera),
        utc=camera.clock.utc,
        reopen=camera.reopen,
        every=settings.detect.every,
        quality=ImageQuality(live=not is_file),
        throttle=ThermalThrottle(no_temperature if is_file else temperature_c),
        motion=motion_gate(settings, detector.card),
    )


def motion_gate(settings: Settings, card: DetectorCard) -> MotionGate:
    """The motion gate, with regions for the detector's input."""
    detect, gap_s = settings.detect, settings.track.gap_s
    regions = RegionSelector((card.input.height, card.input.width), gap_s)
    return MotionGate(detect.max_fps, gap_s, detect.follow_motion, regions)


@contextmanager
def _spool(settings: Settings, *, in_memory: bool) -> Iterator[Spool]:
    """Lock and open the spool."""
    path, max_bytes = Path(":memory:" if in_memory else settings.spool.path), int(settings.spool.max_mb * 1e6)
    with locked(path), spool.opened(path, settings.max_windows, max_bytes, settings.privacy.release_s) as opened:
        yield opened


@contextmanager
def _comparison(
    settings: Settings, models: Models, labels: tuple[str, ...], opened: Spool, boot: str
) -> Iterator[Comparison | None]:
    """Run the shadow classifier that the settings ask for. A wrong one is reported, and counting goes on."""
    chosen = settings.shadow
    if chosen is None:
        yield None
        return
    is_file = isinstance(settings.capture, File)
    worker = ShadowWorker(
        lambda: Classifier(classifier_bundle(chosen.bundle)), labels, chosen.max_core_fraction, is_patient=is_file
    )
    rng = random.Random(0) if is_file else random.Random()  # noqa: S311 - not used for cryptography
    observer = ShadowComparison(worker, chosen.fraction, rng)
    size = len(labels) + 1
    empty = Shadow(
        schema=1,
        boot=boot,
        seq=0,
        active=models.expression,
        shadow=_identity(chosen),
        fraction=chosen.fraction,
        privacy=Privacy(k=settings.privacy.k),
        labels=labels,
        table=((0,) * size,) * size,
        skipped=0,
    )
    table = AgreementTable(empty, opened, time.monotonic())
    worker.start()
    try:
        yield Comparison(observer, lambda: table.update(observer.take(), worker.failed, time.monotonic()))
    finally:
        worker.stop()
        table.save()


def _identity(chosen: ShadowSettings) -> str:
    """Name and hash of the shadow bundle; empty if its card cannot be read, which the worker reports."""
    try:
        path = bundle.card_path(chosen.bundle)
        return read_card(path.read_bytes(), str(path)).identity
    except (FacetallyError, OSError):
        return ""


def tracker_for(settings: Settings, card: DetectorCard) -> Tracker:
    """A tracker whose high score is the detector's threshold, unless the settings name another."""
    threshold = card.threshold if settings.detect.threshold is None else settings.detect.threshold
    return Tracker(settings.track.for_detector(threshold))


def _tally(settings: Settings, card: ClassifierCard, camera: Source) -> Tally:
    """A tally whose first window starts with the source."""
    window_s = settings.tally.window_s
    first_s = first_window_s(camera.clock.utc(camera.start), window_s)
    return Tally(card.labels, window_s, camera.start, first_s)
