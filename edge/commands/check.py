"""Settings -> what of them works on this device, one line each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from base.errors import FacetallyError
from contract.receipt import stored_filter
from contract.topics import topic
from edge.build import classifier_bundle, detector_bundle
from edge.camera.capture import Camera
from edge.camera.drivers import camera_of
from edge.camera.file_source import clip
from edge.counting.admit import AdmissionGate
from edge.delivery import spool
from edge.delivery.broker_login import Rights, answered, reached
from edge.delivery.spool_lock import in_use
from edge.settings import File, Settings
from edge.system.clock import is_synchronised
from edge.values import Frame
from edge.vision.bundle import Bundle
from edge.vision.choose_detector import chosen

BROKER_LIMIT_S = 3.0


def check(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Name, whether it works, and what was seen or what is wrong: bundles, staff rules, camera or clip, spool, broker,
    clock.
    """
    yield _tried("detector", lambda: _detector(settings))
    yield _tried("classifier", lambda: _bundle(classifier_bundle(settings.classify.bundle, settings.classify.threads)))
    yield _tried("staff", lambda: _rules(AdmissionGate(settings.admit)))
    yield _tried("camera", lambda: _picture(_first_frame(settings)))
    yield _tried("spool", lambda: _spool(settings))
    yield _tried("broker", lambda: _broker(settings))
    yield "clock", True, "synchronised" if is_synchronised() else "not synchronised yet; windows will say so"


def _tried(name: str, look: Callable[[], str]) -> tuple[str, bool, str]:
    try:
        return name, True, look()
    except (FacetallyError, OSError) as error:
        return name, False, str(error)


def _bundle(loaded: Bundle[Any]) -> str:
    card = loaded.card
    return f"{card.identity}, {len(card.golden)} golden samples replayed by {loaded.model.runtime}"


def _detector(settings: Settings) -> str:
    choice = chosen(settings, Path(settings.spool.path).parent)
    return f"{_bundle(detector_bundle(str(choice.card), settings.detect.threads))}; {choice.reason}"


def _rules(gate: AdmissionGate) -> str:
    zones, hours = gate.settings.staff_zones, gate.settings.hours
    opened = f"{hours.open} to {hours.close}, {hours.timezone}" if hours else "all hours"
    return f"{len(zones)} zones; {opened}"


def _first_frame(settings: Settings) -> Frame:
    if isinstance(settings.capture, File):
        return next(clip(settings.capture))
    capture = settings.capture
    with Camera(camera_of(capture), capture.open_limit_s, capture.read_limit_s).opened() as newest:
        return newest()


def _picture(frame: Frame) -> str:
    height, width = frame.pixels.shape
    return f"a frame of {width} x {height}, mean grey level {frame.pixels.mean():.0f}"


def _spool(settings: Settings) -> str:
    path = Path(settings.spool.path)
    with spool.opened(path, settings.max_windows) as waiting:
        return f"{path}: {waiting.depth()} messages wait"


def _broker(settings: Settings) -> str:
    """As another client than the daemon. Where the broker names clients by their users it would be the same one and
    throw the daemon out, so while that runs only the way to the broker is tried.
    """
    where = f"{settings.publish.host}:{settings.publish.port}"
    try:
        return _asked(settings, where)
    except OSError as error:
        raise FacetallyError(f"{where}: {error}") from error


def _asked(settings: Settings, where: str) -> str:
    publish, me = settings.publish, (settings.site, settings.device)
    if publish.username is not None and in_use(Path(settings.spool.path)):
        reached(publish, BROKER_LIMIT_S)
        return f"{where} is there; the daemon runs and is logged in under our name, its log says what the broker says"
    reads = (topic(*me, "status"), *((stored_filter(*me),) if publish.confirm == "collector" else ()))
    rights = Rights((topic(*me, "counts"),), reads)
    version = answered(publish, f"facetally-check:{settings.site}:{settings.device}", BROKER_LIMIT_S, rights)
    told = "" if version == "5" else ", which does not tell whether we may publish"
    return f"{where} lets us in, MQTT {version}{told}"
