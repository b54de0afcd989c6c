"""Choose the largest shipped face detector that the device can afford, by measuring what a detection costs.

The shipped detectors run on a blank frame, smallest input first, for at most `BUDGET_S` in all. Measured costs are
cached in a file until the machine boots again. A replayed file is never measured for: it always gets the default
detector, so that the same file gives the same counts on every machine.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from base.logs import line
from contract.card import DetectorCard, read_card
from contract.errors import BundleError
from edge.camera_settings import File, Gstreamer, Network
from edge.settings import AUTO, DetectSettings, Settings
from edge.system.clock import kernel_boot
from edge.vision.bundle import DEFAULT_DETECTOR, SHIPPED, Bundle, card_path
from edge.vision.detect import Detector
from edge.vision.interpreter import Interpreter

log = logging.getLogger("edge.vision.choose_detector")
BUDGET_S = 1.0
"""Time limit of all measurements at a start, seconds."""
MAX_RUNS = 20
"""Maximum number of timed runs of a detector. The fastest run counts, because other processes slow the rest down."""
SKIP_FACTOR = 1.5
"""A detector is not measured if, extrapolated by its input size, it would cost this many times the limit."""
CACHE_FILE = "detector-costs.json"
DEFAULT_FRAME_SHAPE = (480, 640)
"""Height and width of the blank frame where the settings do not give the camera's."""


@dataclass(frozen=True, slots=True)
class DetectorChoice:
    """The detector to run, and why."""

    card: Path
    reason: str
    """For the log and the health message."""


@dataclass(frozen=True, slots=True)
class ShippedDetector:
    """A candidate for the choice."""

    path: Path
    """Path of the card."""
    card: DetectorCard
    content: bytes
    """Content of the model file."""

    @property
    def area(self) -> int:
        """Number of pixels of the input."""
        return self.card.input.height * self.card.input.width

    @property
    def digest(self) -> str:
        """sha256 of the model file, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class DetectionCost:
    """What one detection costs."""

    seconds: float
    """CPU time of all threads together."""
    measured: bool = True
    """False if extrapolated from a smaller detector by the input size."""


@dataclass(frozen=True, slots=True)
class Timers:
    """The two clocks that runs are timed with."""

    wall: Callable[[], float] = time.monotonic
    """Elapsed time, seconds."""
    cpu: Callable[[], float] = time.process_time
    """CPU time of this process, all threads together, seconds."""


class CostCache(msgspec.Struct, frozen=True, kw_only=True):
    """The cache file. One of another boot, thread count or frame shape is ignored."""

    boot: str
    """Boot id of the kernel."""
    threads: int
    shape: tuple[int, int]
    """Height and width of the frame."""
    seconds: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """`DetectionCost.seconds` by the sha256 of the model file."""


def choose_detector(settings: Settings, folder: Path | None, timers: Timers = Timers()) -> DetectorChoice:
    """Choose the detector that the settings ask for; the cache is kept in ``folder``, or nowhere.

    Raises `BundleError` if a configured name is not shipped, or if no shipped detector can run.
    """
    if settings.detect.bundle != AUTO:
        return DetectorChoice(card_path(settings.detect.bundle), "set by detect.bundle")
    if isinstance(settings.capture, File):
        return DetectorChoice(DEFAULT_DETECTOR, "the default, as for every replayed file")
    detect, rate = settings.detect, _detections_per_s(settings)
    cache = _read_cache(folder, CostCache(boot=kernel_boot(), threads=detect.threads, shape=_frame_shape(settings)))
    costs = measure_costs(shipped_detectors(), cache, rate, detect, timers)
    measured = {detector.digest: cost.seconds for detector, cost in costs if cost.measured}
    _write_cache(folder, msgspec.structs.replace(cache, seconds=measured))
    if not costs:
        raise BundleError(f"{SHIPPED}: none of the shipped detectors can run on this machine")
    return largest_affordable([(detector.path, cost) for detector, cost in costs], rate, detect.max_core_fraction)


def shipped_detectors() -> list[ShippedDetector]:
    """The shipped detectors, smallest input first; one whose files cannot be read is logged and left out."""
    detectors = []
    for path in sorted(SHIPPED.glob("*.json")):
        try:
            card = read_card(path.read_bytes(), str(path))
            if isinstance(card, DetectorCard):
                detectors.append(ShippedDetector(path, card, path.with_suffix(".tflite").read_bytes()))
        except (BundleError, OSError) as error:
            log.error(line("detector_skipped", file=path, reason=error))
    return sorted(detectors, key=lambda detector: detector.area)


def measure_costs(
    detectors: Sequence[ShippedDetector], cache: CostCache, rate: float, settings: DetectSettings, timers: Timers
) -> list[tuple[ShippedDetector, DetectionCost]]:
    """Measure the detectors, smallest first, that the cache does not hold, within `BUDGET_S`.

    The last cost of the result may be extrapolated: that detector would cost too much at ``rate`` detections per
    second, or the time was up. Larger detectors are left out then.
    """
    deadline = timers.wall() + BUDGET_S
    costs: list[tuple[ShippedDetector, DetectionCost]] = []
    for left, detector in zip(range(len(detectors), 0, -1), detectors, strict=True):
        seconds = cache.seconds.get(detector.digest)
        if seconds is None:
            expected = costs[-1][1].seconds * detector.area / costs[-1][0].area if costs else 0.0
            too_expensive = expected * rate > SKIP_FACTOR * settings.max_core_fraction
            if too_expensive or (costs and timers.wall() + 2 * expected > deadline):
                return [*costs, (detector, DetectionCost(expected, measured=False))]
            try:
                until = timers.wall() + (deadline - timers.wall()) / left
                seconds = fastest_run_s(_detection(detector, cache), until, timers)
            except BundleError as error:
                log.error(line("detector_skipped", file=detector.path, reason=error))
                continue
        costs.append((detector, DetectionCost(seconds)))
    return costs


def fastest_run_s(run: Callable[[], object], deadline: float, timers: Timers) -> float:
    """CPU time of the fastest of up to `MAX_RUNS` runs, seconds, after one run to warm up.

    One run is always timed. Another starts only if it should end before ``deadline``, a time of the wall clock.
    """
    run()
    times: list[float] = []
    lasted = 0.0
    while len(times) < MAX_RUNS and (not times or timers.wall() + lasted <= deadline):
        wall, cpu = timers.wall(), timers.cpu()
        run()
        lasted = timers.wall() - wall
        times.append(timers.cpu() - cpu)
    return min(times)


def largest_affordable(costs: Sequence[tuple[Path, DetectionCost]], rate: float, limit: float) -> DetectorChoice:
    """Choose the largest detector that takes at most ``limit`` of a core at ``rate`` detections per second.

    ``costs`` holds at least one card with its cost, smallest input first. The smallest is chosen if none fits. A
    detector whose cost is only extrapolated is never chosen.
    """
    affordable = [index for index, (_, cost) in enumerate(costs) if cost.measured and cost.seconds * rate <= limit]
    index = max(affordable, default=0)
    path, cost = costs[index]
    reason = f"{cost.seconds * 1000:.1f} ms per detection, {cost.seconds * rate:.2g} of a core at {rate:g} per second"
    if not affordable:
        return DetectorChoice(path, f"{reason}, over the limit of {limit:g}, but no smaller detector is shipped")
    reason += f" (limit {limit:g})"
    if index + 1 < len(costs):
        larger, cost = costs[index + 1]
        about = "" if cost.measured else "about "
        reason += f"; {larger.stem} takes {about}{cost.seconds * rate:.2g}"
    return DetectorChoice(path, reason)


def _detections_per_s(settings: Settings) -> float:
    """The highest rate of detections: ``detect.max_fps``, or the camera's frame rate where it is known and lower."""
    capture, detect = settings.capture, settings.detect
    if isinstance(capture, File | Gstreamer):
        return detect.max_fps
    return min(capture.fps / detect.every, detect.max_fps)


def _frame_shape(settings: Settings) -> tuple[int, int]:
    """Height and width of the camera's frames where the settings give them, else the default."""
    capture = settings.capture
    return DEFAULT_FRAME_SHAPE if isinstance(capture, File | Gstreamer | Network) else (capture.height, capture.width)


def _detection(detector: ShippedDetector, cache: CostCache) -> Callable[[], object]:
    """A function that runs the detector on a blank frame; raises `BundleError` if the model is broken."""
    model = Interpreter(detector.content, cache.threads)
    ready, blank = Detector(Bundle(detector.card, model)), np.zeros(cache.shape, np.uint8)
    return lambda: ready.detect(blank)


def _read_cache(folder: Path | None, empty: CostCache) -> CostCache:
    """Read the cache if it is of the same boot, thread count and frame shape as ``empty``; else return ``empty``."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if folder is not None:
            kept = msgspec.json.decode((folder / CACHE_FILE).read_bytes(), type=CostCache)
            if msgspec.structs.replace(kept, seconds={}) == empty:
                return kept
    return empty


def _write_cache(folder: Path | None, cache: CostCache) -> None:
    """Replace the cache atomically. If that fails, the detectors are measured again at the next start."""
    if folder is None or not cache.seconds:
        return
    part = folder / (CACHE_FILE + ".part")
    with contextlib.suppress(OSError):
        part.write_bytes(msgspec.json.encode(cache))
        part.replace(folder / CACHE_FILE)
