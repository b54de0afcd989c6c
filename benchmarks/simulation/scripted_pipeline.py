"""Run a scripted scene through the daemon's pipeline, and score the counts against the truth.

Tracker, admission, tally and the loop that connects them are the real ones. Camera, both networks, spool and publisher
are replaced.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from random import Random

import numpy as np

from benchmarks.simulation.people import SHAPE, Person, Scene, SimulatedFrame, simulate
from contract.labels import UNKNOWN
from edge.analyzer import FrameAnalyzer
from edge.camera.image_quality import ImageQuality
from edge.counting.admit import AdmissionGate
from edge.counting.tally import CountedVisit, Tally
from edge.counting.track import Tracker, TrackUpdate
from edge.settings import AdmitSettings, TrackSettings
from edge.stages import Observer
from edge.system.clock import ReplayClock
from edge.values import Detection, Expression, Frame, Pixels, Window

LABELS = ("anger", "happiness", "neutral", "sadness", "surprise")
BEGIN = datetime(2026, 3, 28, 9, tzinfo=timezone.utc)
WINDOW_S = 60.0
GOOD = 0.9
"""Fraction of the observations that are good."""
LOGIT_OFFSET = 1.5
"""Added to the logit of the expression shown; the logits are standard normal, so one observation in three is wrong."""


@dataclass(slots=True)
class Score:
    """Counts of a scene beside the truth."""

    truth: Counter[str]
    """True visits by expression."""
    counted: Counter[str] = field(default_factory=Counter)
    """Counted visits by expression."""
    windows: list[int] = field(default_factory=list)
    """Visits counted in each window."""
    switches: int = 0
    """Identity switches (mismatches of CLEAR MOT, Bernardin and Stiefelhagen 2008)."""
    wrong: int = 0
    """Counted visits of people and objects that must not be counted."""
    false: int = 0
    """Counted visits that were mostly false detections."""
    staff_classified: int = 0
    """Faces classified of people and objects that must not be counted."""
    late_classified: int = 0
    """Of these, the ones after the person had been in view for longer than the dwell limit."""

    @property
    def error(self) -> float:
        """Relative error of the count; the count itself if nobody is to be counted."""
        return (self.counted.total() - self.truth.total()) / max(1, self.truth.total())


@dataclass(slots=True)
class _SimulatedVision:
    """Replaces camera, detector and classifier; knows whose face each detection is."""

    frames_of_scene: Iterator[SimulatedFrame]
    dwell_limit_s: float
    fps: float
    rng: Random
    score: Score
    owner: dict[Detection, Person | None] = field(default_factory=dict)
    """Person of each detection in the current frame."""
    in_view_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def frames(self) -> Iterator[Frame]:
        pixels = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
        before: tuple[Person, ...] = ()
        for frame in self.frames_of_scene:
            self.owner = dict(frame.faces)
            for person in frame.visible:
                self.in_view_s[person.name] += 1 / self.fps if person in before else 0.0
            before = frame.visible
            yield Frame(pixels, frame.time)

    def detect(self, pixels: Pixels) -> tuple[Detection, ...]:
        return tuple(self.owner)

    def classify(self, pixels: Pixels, faces: Sequence[Detection]) -> tuple[Expression, ...]:
        return tuple(self._expression(self.owner[face]) for face in faces)

    def _expression(self, person: Person | None) -> Expression:
        """Return random probabilities that favour the person's expression; some observations are not good."""
        if person and not person.visits:
            self.score.staff_classified += 1
            self.score.late_classified += self.in_view_s[person.name] > self.dwell_limit_s
        shown = person.expression if person else None
        weights = [math.exp(self.rng.gauss(LOGIT_OFFSET if label == shown else 0.0, 1.0)) for label in LABELS]
        good = shown is not None and self.rng.random() < GOOD
        return Expression(tuple(weight / sum(weights) for weight in weights), good)


@dataclass(slots=True)
class _Scorer(Observer):
    """Scores tracks, visits and windows by the people whose faces the detections are."""

    vision: _SimulatedVision
    score: Score
    numbers: dict[str, int] = field(default_factory=dict)
    """Latest track number of each visitor."""
    owners: dict[int, Counter[Person | None]] = field(default_factory=lambda: defaultdict(Counter))
    """Detections of each track, by person."""

    def on_tracks(self, frame: Frame, update: TrackUpdate) -> None:
        for track in update.seen:
            person = self.vision.owner[track.face]
            self.owners[track.number][person] += 1
            if person and person.visits:
                self.score.switches += self.numbers.get(person.name, track.number) != track.number
                self.numbers[person.name] = track.number

    def on_visits(self, visits: Sequence[CountedVisit], gone: Sequence[int]) -> None:
        for visit in visits:
            ((person, _),) = self.owners[visit.track.number].most_common(1)
            self.score.false += person is None
            self.score.wrong += person is not None and not person.visits
        for number in gone:
            del self.owners[number]

    def on_windows(self, windows: Sequence[Window]) -> None:
        for window in windows:
            self.score.counted += Counter(window.visits)
            self.score.windows.append(sum(window.visits.values()))


def run_scene(scene: Scene, fps: float, seed: int, admit: AdmitSettings | None = None) -> Score:
    """Count a scene with the default settings (``admit`` replaces those of admission), and score the counts."""
    admit = admit or AdmitSettings(staff_zones=())
    score = Score(Counter())
    for person in scene.people:
        score.truth[person.expression or UNKNOWN] += person.visits
    vision = _SimulatedVision(simulate(scene, fps, seed), admit.dwell_limit_s, fps, Random(seed + 1), score)
    analyzer = FrameAnalyzer(
        detector=vision,
        tracker=Tracker(TrackSettings()),
        gate=AdmissionGate(admit),
        classifier=vision,
        tally=Tally(LABELS, WINDOW_S, 0.0, WINDOW_S),
        utc=ReplayClock(BEGIN).utc,
        quality=ImageQuality(live=False),
        observer=_Scorer(vision, score),
    )
    for frame in vision.frames():
        analyzer.add_frame(frame)
    analyzer.finish(math.inf)
    return score
