"""A scripted scene through the daemon's own pipeline -> what was counted, beside the truth.

Real are tracker, gate, tally and the loop that wires them; in place of camera, networks, disk and broker stand the
script and lists.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from random import Random

import numpy as np

from benchmarks.simulation.people import SHAPE, Person, Scene, Shot, shots
from contract.labels import UNKNOWN
from contract.message import Models, Privacy
from edge.camera.capture import Source
from edge.camera.image_quality import Condition
from edge.counting.admit import AdmissionGate
from edge.counting.tally import Tally
from edge.counting.track import Tracker, TrackUpdate
from edge.delivery.publish import Identity
from edge.delivery.restamp import Settler
from edge.pipeline import Pipeline, window_converter
from edge.settings import AdmitSettings, TrackSettings
from edge.system.clock import ReplayClock
from edge.values import Expression, Face, Frame, Pixels, Track

LABELS = ("anger", "happiness", "neutral", "sadness", "surprise")
BEGIN = datetime(2026, 3, 28, 9, tzinfo=timezone.utc)
WINDOW_S = 60.0
GOOD, SURE = 0.9, 1.5
"""The share of looks that are good, and by how much the logit of the expression shown is raised over the others', which
are normal: one look in three is wrong."""


@dataclass(slots=True)
class Score:
    """Visits by expression, in truth and as counted; how many in each window; identity switches. Of those counted, how
    many were of people and things that are never to be counted (``wrong``), or of false faces; and the looks at such
    people, in all and after they had been in view for longer than the dwell limit.
    """

    truth: Counter[str]
    counted: Counter[str] = field(default_factory=Counter)
    windows: list[int] = field(default_factory=list)
    switches: int = 0
    wrong: int = 0
    false: int = 0
    staff_looks: int = 0
    late_looks: int = 0

    @property
    def error(self) -> float:
        """How far the count is from the truth, as a share of it; of nobody, what was counted."""
        return (self.counted.total() - self.truth.total()) / max(1, self.truth.total())


@dataclass(slots=True)
class _Stage:
    """The script in place of camera and both networks; it knows whose face is whose, and scores."""

    shots: Iterator[Shot]
    limit_s: float
    fps: float
    chance: Random
    score: Score
    who: dict[Face, Person | None] = field(default_factory=dict)
    in_view_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def frames(self) -> Iterator[Frame]:
        pixels = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
        before: tuple[Person, ...] = ()
        for shot in self.shots:
            self.who = dict(shot.faces)
            for person in shot.there:
                self.in_view_s[person.name] += 1 / self.fps if person in before else 0.0
            before = shot.there
            yield Frame(pixels, shot.time)

    def detect(self, pixels: Pixels) -> tuple[Face, ...]:
        return tuple(self.who)

    def classify(self, pixels: Pixels, faces: Sequence[Face]) -> tuple[Expression, ...]:
        return tuple(self._look(self.who[face]) for face in faces)

    def _look(self, person: Person | None) -> Expression:
        """Unsure as a network is; sometimes too blurred."""
        if person and not person.visits:
            self.score.staff_looks += 1
            self.score.late_looks += self.in_view_s[person.name] > self.limit_s
        shown = person.shows if person else None
        weights = [math.exp(self.chance.gauss(SURE if label == shown else 0.0, 1.0)) for label in LABELS]
        good = shown is not None and self.chance.random() < GOOD
        return Expression(tuple(weight / sum(weights) for weight in weights), good)


@dataclass(slots=True)
class _Watched:
    """The real tracker, watched for identity switches: a visitor found under another number than the last time (the
    mismatches of CLEAR MOT, Bernardin and Stiefelhagen 2008). Who is whose is known from the script.
    """

    tracker: Tracker
    stage: _Stage
    numbers: dict[str, int] = field(default_factory=dict)
    owners: dict[int, Counter[Person | None]] = field(default_factory=lambda: defaultdict(Counter))

    def update(self, faces: Sequence[Face], time: float, shape: tuple[int, int]) -> TrackUpdate:
        tracks = self.tracker.update(faces, time, shape)
        for track in tracks.seen:
            person = self.stage.who[track.face]
            self.owners[track.number][person] += 1
            if person and person.visits:
                self.stage.score.switches += self.numbers.get(person.name, track.number) != track.number
                self.numbers[person.name] = track.number
        return tracks

    def finish(self) -> TrackUpdate:
        return self.tracker.finish()


@dataclass
class _Tally(Tally):
    """The real tally, watched for whose visits it counts: who had most of a track's sightings."""

    score: Score = field(kw_only=True)
    owners: dict[int, Counter[Person | None]] = field(kw_only=True)

    def count(self, visits: Sequence[Track], gone: Sequence[int]) -> None:
        before = sum(self._visits.values())
        for track in visits:
            Tally.count(self, [track], ())
            if sum(self._visits.values()) > before:
                before += 1
                ((person, _),) = self.owners[track.number].most_common(1)
                self.score.false += person is None
                self.score.wrong += person is not None and not person.visits
        Tally.count(self, (), gone)
        for number in gone:
            del self.owners[number]


@dataclass(slots=True)
class _Kept:
    """In place of spool and publisher."""

    score: Score

    def add(self, counts: object) -> None:
        visits: dict[str, int] = counts.visits
        self.score.counted += Counter(visits)
        self.score.windows.append(sum(visits.values()))

    def first_early(self) -> None:
        return None

    def pump(self, spool: object) -> None:
        """Nothing is sent."""


def run(scene: Scene, fps: float, seed: int, admit: AdmitSettings | None = None) -> Score:
    """A scene at ``fps``, filmed with the noise of ``seed``, counted with the settings as shipped, or with others for
    ``admit``.
    """
    admit = admit or AdmitSettings(staff_zones=())
    score = Score(Counter())
    for person in scene.people:
        score.truth[person.shows or UNKNOWN] += person.visits
    stage = _Stage(shots(scene, fps, seed), admit.dwell_limit_s, fps, Random(seed + 1), score)
    clock, kept = ReplayClock(BEGIN), _Kept(score)
    models = Models(detector="script@000000000000", expression="script@000000000000")
    to_counts = window_converter(Identity("bench", "script", "0" * 16), clock, Privacy(k=1), models)
    watched = _Watched(Tracker(TrackSettings()), stage)
    Pipeline(
        Source(stage.frames(), clock, 0.0, lambda: 0, lambda: None),
        stage,  # type: ignore[arg-type]
        watched,  # type: ignore[arg-type]
        AdmissionGate(admit),
        stage,  # type: ignore[arg-type]
        _Tally(LABELS, WINDOW_S, 0.0, WINDOW_S, score=score, owners=watched.owners),
        kept,  # type: ignore[arg-type]
        kept,  # type: ignore[arg-type]
        Settler(to_counts, clock, "kernel", 0.0, lambda: 0.0),
        lambda watch: None,
        lambda: None,
        condition=Condition(live=False),
    ).run()
    return score
