"""What the windows of the live daemon must say of a camera that is lost now and then.

All limits follow from the frames that the camera stand-in really gave, so that a slow machine does not count as a fault
of the daemon.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from benchmarks.faults.plant import LIVE_SPEED, LIVE_WINDOW_S
from benchmarks.faults.script import LOOP_S, WALKS

MARGIN_S = 2.5
"""So long before a walk the camera must have been there, and so long after, for its visit to be certain."""
GAP_S = 0.4
"""Two frames further apart may split a visit in two: `track.gap_s` of the live daemon is 0.5."""
VOUCH_S, GRACE_S = 1.0, 1.0
"""A frame covers the second before it. The daemon dates a frame a moment after the camera has noted it."""
NOTICE_S = 3.0
"""The daemon gives up a camera that gives no frame for 2 s. A shorter window need not know."""
EDGE_S = 0.1
"""A refusal so close to the end of a window may belong to its neighbour."""


@dataclass(frozen=True, slots=True)
class Frames:
    """When the camera gave the daemon a frame, and when it gave none (wall clock, seconds, ascending)."""

    taken: tuple[float, ...]
    refused: tuple[float, ...] = ()

    def covered_s(self, start: float, end: float) -> float:
        """Maximum coverage of a span by these frames, seconds."""
        covered, until = 0.0, start
        for at in self.taken:
            covered += max(0.0, min(at, end) - max(at - VOUCH_S, until))
            until = max(until, min(at, end))
        return covered

    def refused_within(self, start: float, end: float) -> int:
        """Number of refusals that the daemon must have noticed in a span. A camera that a daemon has given up may still
        refuse when the next one gives frames already; that does not count."""
        near = [at for at in self.refused if start + EDGE_S < at < end - EDGE_S]
        return sum(not any(at - VOUCH_S < taken <= at for taken in self.taken) for at in near)

    def gaps(self, begin: float, end: float) -> list[tuple[float, float]]:
        """Spans between ``begin`` and ``end`` without a frame that are longer than `GAP_S`."""
        times = [begin, *(at for at in self.taken if begin < at < end), end]
        return [(a, b) for a, b in pairwise(times) if b - a > GAP_S]


def frames(log: Path) -> Frames:
    """Read the log of the camera stand-in."""
    answers: dict[str, list[float]] = {"taken": [], "refused": []}
    for text in log.read_text().splitlines():
        at, answer = text.split()
        answers[answer].append(float(at))
    return Frames(tuple(answers["taken"]), tuple(answers["refused"]))


@dataclass(slots=True)
class Live:
    """Windows of the live daemon, what is wrong with them, and visits: counted, and at least and at most by the
    script.
    """

    windows: int = 0
    visits: int = 0
    least: int = 0
    most: int = 0
    wrong: list[str] = field(default_factory=list)


def judge(rows: Iterable[Mapping[str, str]], seen: Frames, waiting: Collection[int], monotonic_s: float) -> Live:
    """Judge the rows of one boot.

    ``waiting``: ``seq`` of windows in the spool; ``monotonic_s``: wall clock less monotonic clock, seconds.
    No window is lost, late or stored twice. A window says ``no_camera`` if the camera refused a frame in it, and covers
    no more than its frames. A walk in front of a camera that gave frames throughout is one visit; each gap between the
    frames may lose it or split it once more.
    """
    live, kept = Live(), sorted(rows, key=lambda row: int(row["seq"]))
    live.windows = len(kept)
    live.wrong += _missing([int(row["seq"]) for row in kept], waiting)
    if len({row["boot"] for row in kept}) > 1:
        live.wrong.append("live: more than one start")
    spans = [(seconds(row["start"]), seconds(row["end"])) for row in kept]
    for (before, row), (a, b) in zip(pairwise(kept), pairwise(spans), strict=True):
        if int(row["seq"]) == int(before["seq"]) + 1 and abs(b[0] - a[1]) > 0.1:
            live.wrong.append(f"live {row['seq']}: starts {b[0] - a[1]:.2f} s after the end of the window before")
    for row, span in zip(kept, spans, strict=True):
        live.wrong += [f"live {row['seq']}: {text}" for text in _misjudged(row, *span, seen)]
        names = list(row)
        live.visits += sum(int(row[label]) for label in names[names.index("model_expression") + 1 :])
    if spans:
        live.least, live.most = _visits(spans[0][0], spans[-1][1], seen, monotonic_s)
        if not live.least <= live.visits <= live.most:
            live.wrong.append(f"live: {live.visits} visits, the script says {live.least} to {live.most}")
        if not waiting and seen.taken and seen.taken[-1] - spans[-1][1] > LIVE_WINDOW_S:
            live.wrong.append(f"live: lost: windows of the last {seen.taken[-1] - spans[-1][1]:.1f} s")
    return live


def missing(stored: Collection[int], waiting: Collection[int] = ()) -> list[int]:
    """``seq`` of windows that are not stored: gaps, and what waits in the spool."""
    return sorted({*range(max(stored, default=-1)), *waiting} - set(stored))


def _missing(stored: Sequence[int], waiting: Collection[int]) -> list[str]:
    """Windows that are stored twice, that are late, and that are lost."""
    gone = missing(stored, waiting)
    late, lost = [seq for seq in gone if seq in waiting], [seq for seq in gone if seq not in waiting]
    twice = sorted({seq for seq in stored if stored.count(seq) > 1})
    kinds = (("stored twice", twice), ("late, still in the spool", late), ("lost", lost))
    return [f"live: {kind}: {', '.join(map(str, numbers))}" for kind, numbers in kinds if numbers]


def _misjudged(row: Mapping[str, str], start: float, end: float, seen: Frames) -> Iterator[str]:
    """What a window says wrongly of its camera."""
    refused = seen.refused_within(start, end)
    covered = seen.covered_s(start, end)
    opened = bool(seen.taken) and start > seen.taken[0]  # it may take the daemon longer to open the camera
    unseen = opened and end - start > NOTICE_S and not covered
    if (refused or unseen) and "no_camera" not in row["degraded"]:
        yield f"{refused} frames refused, {covered:.1f} s covered, and does not say no_camera"
    if float(row["coverage"]) * (end - start) > covered + GRACE_S:
        yield f"says coverage {row['coverage']}; its frames cover {covered:.1f} of {end - start:.1f} s"


def _visits(begin: float, end: float, seen: Frames, monotonic_s: float) -> tuple[int, int]:
    """Minimum and maximum number of visits from begin to end (wall clock)."""
    least = most = 0
    gaps, period = seen.gaps(begin, end), LOOP_S / LIVE_SPEED
    loop = int((begin - monotonic_s) // period) - 1
    while (zero := monotonic_s + loop * period) < end:
        for walk in WALKS:
            first, last = zero + walk.start / LIVE_SPEED, zero + (walk.start + walk.lasts) / LIVE_SPEED
            whole = begin <= first - MARGIN_S and last + MARGIN_S <= end
            torn = sum(a < last + MARGIN_S and first - MARGIN_S < b for a, b in gaps)
            least += whole and not torn
            most += 1 + torn if begin < last and first < end else 0
        loop += 1
    return least, most


def camera_back_s(log: Path, given: float) -> float | None:
    """Seconds from the moment that the camera was given back until the daemon counted with it again."""
    for text in log.read_text().splitlines():
        if "event=camera_back" in text and (found := re.match(r"time=(\S+)", text)):
            at = seconds(found[1])
            if at >= given:
                return at - given
    return None


def seconds(rfc3339: str) -> float:
    """A time as in messages and log lines -> seconds since 1970."""
    return datetime.fromisoformat(rfc3339.replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()
