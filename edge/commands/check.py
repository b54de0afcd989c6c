"""Check what of a configuration works on this device: bundles, staff rules, camera, spool, broker, clock."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from base.errors import FacetallyError
from contract.receipt import stored_filter
from contract.topics import topic
from edge.build import classifier_bundle, detector_bundle
from edge.camera.capture import Camera
from edge.camera.drivers import driver_for
from edge.camera.file_source import read_frames
from edge.counting.admit import AdmissionGate
from edge.counting.zone_advice import advise
from edge.delivery import spool
from edge.delivery.broker_check import Rights, check_access, check_reachable
from edge.delivery.spool_lock import is_locked
from edge.settings import File, Settings
from edge.system.clock import is_synchronised
from edge.values import Frame
from edge.vision.bundle import Bundle
from edge.vision.choose_detector import choose_detector

BROKER_LIMIT_S = 3.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of checking one part of the device."""

    part: str
    works: bool
    text: str
    """What was found, or what is wrong."""


def check(settings: Settings) -> Iterator[CheckResult]:
    """Check the parts one after another. A part that fails does not keep the others from being checked."""
    yield _checked("detector", lambda: _detector(settings))
    yield _checked("classifier", lambda: _classifier(settings))
    yield _checked("staff", lambda: _staff_rules(AdmissionGate(settings.admit)))
    yield _checked("camera", lambda: _frame(_first_frame(settings)))
    yield _checked("spool", lambda: _spool(settings))
    yield _checked("broker", lambda: _broker(settings))
    clock = "synchronised" if is_synchronised() else "not synchronised yet; windows are marked as unsynced"
    yield CheckResult("clock", True, clock)


def _checked(part: str, describe: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(part, True, describe())
    except (FacetallyError, OSError) as error:
        return CheckResult(part, False, str(error))


def _bundle(loaded: Bundle[Any]) -> str:
    card = loaded.card
    return f"{card.identity}, {len(card.golden)} golden samples replayed by {loaded.model.runtime}"


def _detector(settings: Settings) -> str:
    choice = choose_detector(settings, Path(settings.spool.path).parent)
    return f"{_bundle(detector_bundle(str(choice.card), settings.detect.threads))}; {choice.reason}"


def _classifier(settings: Settings) -> str:
    return _bundle(classifier_bundle(settings.classify.bundle, settings.classify.threads))


def _staff_rules(gate: AdmissionGate) -> str:
    zones, hours = gate.settings.staff_zones, gate.settings.hours
    opened = f"{hours.open} to {hours.close}, {hours.timezone}" if hours else "all hours"
    return "; ".join((f"{len(zones)} zones", opened, *(f"warning: {each}" for each in advise(zones))))


def _first_frame(settings: Settings) -> Frame:
    if isinstance(settings.capture, File):
        return next(read_frames(settings.capture))
    capture = settings.capture
    with Camera(driver_for(capture), capture.open_limit_s, capture.read_limit_s).opened() as newest:
        return newest()


def _frame(frame: Frame) -> str:
    height, width = frame.pixels.shape
    return f"a frame of {width} x {height}, mean grey level {frame.pixels.mean():.0f}"


def _spool(settings: Settings) -> str:
    path = Path(settings.spool.path)
    with spool.opened(path, settings.max_windows) as waiting:
        return f"{path}: {waiting.depth()} messages wait"


def _broker(settings: Settings) -> str:
    host, port = settings.broker.host, settings.broker.port
    try:
        return _broker_access(settings, f"{host}:{port}")
    except OSError as error:
        raise FacetallyError(f"{host}:{port}: {error}") from error


def _broker_access(settings: Settings, address: str) -> str:
    """Log in as another client than the daemon, and ask for the rights that the daemon needs.

    A broker that names clients by their users would take both for one client and disconnect the daemon. While the
    daemon runs with a user name, only the connection is checked.
    """
    broker, device = settings.broker, (settings.site, settings.device)
    if broker.username is not None and is_locked(Path(settings.spool.path)):
        check_reachable(broker, BROKER_LIMIT_S)
        return f"{address} can be reached; login not checked, because the daemon runs and is logged in as this user"
    reads = (topic(*device, "status"), *((stored_filter(*device),) if broker.confirm == "collector" else ()))
    rights = Rights((topic(*device, "counts"),), reads)
    version = check_access(broker, f"facetally-check:{settings.site}:{settings.device}", BROKER_LIMIT_S, rights)
    unknown = "" if version == "5" else "; this version does not tell whether publishing is allowed"
    return f"{address} accepts the login, MQTT {version}{unknown}"
