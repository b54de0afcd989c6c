"""The device's own speed -> the largest shipped detector that it can afford.

The shipped detectors are run on a blank frame, smallest input first, for `BUDGET_S` in all. What they cost is kept in a
file until the machine boots again. When a file is replayed nothing is measured: the same file has to give the same
counts everywhere.
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
from edge.settings import DetectSettings, File, Gstreamer, Settings
from edge.system.clock import kernel_boot
from edge.vision.bundle import DEFAULT_DETECTOR, SHIPPED, Bundle, card_path
from edge.vision.detect import Detector
from edge.vision.interpreter import Interpreter

log = logging.getLogger("edge.vision.choose_detector")
AUTO = "auto"
"""The value of ``detect.bundle`` that asks for the choice."""
BUDGET_S = 1.0
"""Longest time that all measurements together take at a start, seconds."""
RUNS = 20
"""Each detector runs at most so often after one run to warm up. The fastest run counts: on a busy machine others slow
the rest."""
HOPELESS = 1.5
"""A detector is not measured if, by the size of its input, it would cost this many times the limit."""
CACHE = "detector-costs.json"
SHAPE = (480, 640)
"""Height and width of the blank frame where the settings do not say the camera's."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The card of the detector to run, and why it is that one, in words."""

    card: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A shipped detector: the path of its card, the card, and the content of its model file."""

    path: Path
    card: DetectorCard
    content: bytes

    @property
    def area(self) -> int:
        """Pixels of its input."""
        return self.card.input.height * self.card.input.width

    @property
    def digest(self) -> str:
        """Sha256 of the model file, hex digits."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one detection costs: seconds of processor time, all threads together; ``measured``, or inferred from a
    smaller detector's cost by the size of the input.
    """

    seconds: float
    measured: bool = True


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds of real time, and of processor time that this process has used, all threads together."""

    wall: Callable[[], float] = time.monotonic
    cpu: Callable[[], float] = time.process_time


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The cache: what was measured since the kernel booted, with how many threads, on a frame of which shape. A file of
    another boot, thread count or shape counts for nothing.
    """

    boot: str
    threads: int
    shape: tuple[int, int]
    seconds: dict[str, Annotated[float, msgspec.Meta(gt=0)]] = {}
    """Sha256 of a model file -> `Cost.seconds`."""


def choose_detector(settings: Settings, folder: Path | None, clocks: Clocks = Clocks()) -> Choice:
    """Settings, the folder that the cache is kept in (None: nowhere) -> the detector to run. BundleError if a
    configured name is not shipped, or if no shipped detector can be run.
    """
    if settings.detect.bundle != AUTO:
        return Choice(card_path(settings.detect.bundle), "set by detect.bundle")
    if isinstance(settings.capture, File):
        return Choice(DEFAULT_DETECTOR, "the same for every file that is replayed")
    detect, shape = settings.detect, _shape(settings)
    known = _read(folder, Costs(boot=kernel_boot(), threads=detect.threads, shape=shape))
    rate = _rate(settings)
    costs = costs_of(shipped(), known, rate, detect, clocks)
    _write(
        folder, msgspec.structs.replace(known, seconds={c.digest: cost.seconds for c, cost in costs if cost.measured})
    )
    if not costs:
        raise BundleError(f"{SHIPPED}: none of the shipped detectors runs here")
    return choose([(candidate.path, cost) for candidate, cost in costs], rate, detect.max_core_fraction)


def shipped() -> list[Candidate]:
    """The shipped detectors, smallest input first. One whose files cannot be read is left out, and logged."""
    found = []
    for path in sorted(SHIPPED.glob("*.json")):
        try:
            card = read_card(path.read_bytes(), str(path))
            if isinstance(card, DetectorCard):
                found.append(Candidate(path, card, path.with_suffix(".tflite").read_bytes()))
        except (BundleError, OSError) as error:
            log.error(line("detector_skipped", file=path, reason=error))
    return sorted(found, key=lambda each: each.area)


def costs_of(
    candidates: Sequence[Candidate], known: Costs, rate: float, settings: DetectSettings, clocks: Clocks
) -> list[tuple[Candidate, Cost]]:
    """Candidates, smallest first, costs that are known -> what each costs, as far as that can be found in `BUDGET_S`.
    The last may be inferred: it would cost too much at ``rate`` detections a second, or the time was over.
    """
    deadline = clocks.wall() + BUDGET_S
    found: list[tuple[Candidate, Cost]] = []
    for left, candidate in zip(range(len(candidates), 0, -1), candidates, strict=True):
        seconds = known.seconds.get(candidate.digest)
        if seconds is None:
            expected = found[-1][1].seconds * candidate.area / found[-1][0].area if found else 0.0
            hopeless = expected * rate > HOPELESS * settings.max_core_fraction
            if hopeless or (found and clocks.wall() + 2 * expected > deadline):
                return [*found, (candidate, Cost(expected, measured=False))]
            try:
                until = clocks.wall() + (deadline - clocks.wall()) / left
                seconds = fastest(_detection(candidate, known), until, clocks)
            except BundleError as error:
                log.error(line("detector_skipped", file=candidate.path, reason=error))
                continue
        found.append((candidate, Cost(seconds)))
    return found


def fastest(run: Callable[[], object], deadline: float, clocks: Clocks) -> float:
    """Processor time of the fastest of up to `RUNS` runs, seconds, after one run to warm up. At least one run counts;
    others begin only if they end before ``deadline``, a second of the wall clock.
    """
    run()
    times: list[float] = []
    lasted = 0.0
    while len(times) < RUNS and (not times or clocks.wall() + lasted <= deadline):
        wall, cpu = clocks.wall(), clocks.cpu()
        run()
        lasted = clocks.wall() - wall
        times.append(clocks.cpu() - cpu)
    return min(times)


def choose(costs: Sequence[tuple[Path, Cost]], rate: float, limit: float) -> Choice:
    """Cards and costs, smallest input first and at least one -> the largest that takes at most ``limit`` of a core at
    ``rate`` detections a second; the smallest if none does. What was not measured is not chosen.
    """
    fits = [number for number, (_, cost) in enumerate(costs) if cost.measured and cost.seconds * rate <= limit]
    number = max(fits, default=0)
    path, cost = costs[number]
    reason = f"{cost.seconds * 1000:.1f} ms a detection, {cost.seconds * rate:.2g} of a core at {rate:g} a second"
    reason += f" (limit {limit:g})" if fits else f", over the limit of {limit:g}, but no smaller one is shipped"
    if fits and number + 1 < len(costs):
        larger, cost = costs[number + 1]
        about = "" if cost.measured else "about "
        reason += f"; {larger.stem} takes {about}{cost.seconds * rate:.2g}"
    return Choice(path, reason)


def _rate(settings: Settings) -> float:
    """Detections a second at most: the camera's frames, as far as the settings say how many, and ``detect.max_fps``."""
    capture, detect = settings.capture, settings.detect
    if isinstance(capture, File | Gstreamer):
        return detect.max_fps
    return min(capture.fps / detect.every, detect.max_fps)


def _shape(settings: Settings) -> tuple[int, int]:
    """Height and width of the camera's frames, as far as the settings say them."""
    capture = settings.capture
    return SHAPE if isinstance(capture, File | Gstreamer) else (capture.height, capture.width)


def _detection(candidate: Candidate, known: Costs) -> Callable[[], object]:
    """A call that runs a detector on a blank frame; BundleError if the model is broken."""
    model = Interpreter(candidate.content, known.threads)
    detector, blank = Detector(Bundle(candidate.card, model)), np.zeros(known.shape, np.uint8)
    return lambda: detector.detect(blank)


def _read(folder: Path | None, empty: Costs) -> Costs:
    """The cache in a folder, if there is one for this boot, thread count and shape; else an empty one."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if folder is not None:
            kept = msgspec.json.decode((folder / CACHE).read_bytes(), type=Costs)
            if msgspec.structs.replace(kept, seconds={}) == empty:
                return kept
    return empty


def _write(folder: Path | None, costs: Costs) -> None:
    """Keep the cache, whole or not at all. Where that is not possible the detectors are measured at the next start."""
    if folder is None or not costs.seconds:
        return
    part = folder / (CACHE + ".part")
    with contextlib.suppress(OSError):
        part.write_bytes(msgspec.json.encode(costs))
        part.replace(folder / CACHE)
