"""What the live daemon's windows must say of a camera that was lost now and then."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from benchmarks.faults.rig import LIVE_SPEED
from benchmarks.faults.scripted_walks import LOOP_S, WALKS

MARGIN_S = 2.5
"""So long before a walk the camera must have been there, and so long after, for its visit to be certain."""
GRACE_S = 4.5
"""A lost camera is noticed within the two seconds that the daemon waits for a frame, and a frame vouches for one before
it; the rest is a busy machine."""


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


def judge(rows: Iterable[Mapping[str, str]], lost: Sequence[Sequence[float]], monotonic_s: float) -> Live:
    """Rows of one boot, spans without a camera (wall clock), and wall clock less monotonic -> a verdict.

    No gap in ``seq`` or in time; a window says ``no_camera`` and covers less if the camera was away in it; every walk
    that the camera saw whole is one visit, one that it saw in part is at most two.
    """
    live, kept = Live(), sorted(rows, key=lambda row: int(row["seq"]))
    live.windows = len(kept)
    if [int(row["seq"]) for row in kept] != list(range(len(kept))):
        live.wrong.append("live: a gap or a repeat in seq")
    if len({row["boot"] for row in kept}) > 1:
        live.wrong.append("live: more than one start")
    spans = [(seconds(row["start"]), seconds(row["end"])) for row in kept]
    live.wrong += [f"live: a gap of {b[0] - a[1]:.2f} s" for a, b in pairwise(spans) if abs(b[0] - a[1]) > 0.1]
    for row, (start, end) in zip(kept, spans, strict=True):
        away = sum(max(0.0, min(end, off_end) - max(start, off)) for off, off_end in lost)
        if away > GRACE_S and "no_camera" not in row["degraded"]:
            live.wrong.append(f"live {row['seq']}: {away:.1f} s without a camera, and does not say so")
        if float(row["coverage"]) * (end - start) > end - start - away + GRACE_S:
            live.wrong.append(f"live {row['seq']}: covers {row['coverage']} with the camera away for {away:.1f} s")
        names = list(row)
        live.visits += sum(int(row[label]) for label in names[names.index("model_expression") + 1 :])
    if spans:
        live.least, live.most = _visits(spans[0][0], spans[-1][1], lost, monotonic_s)
        if not live.least <= live.visits <= live.most:
            live.wrong.append(f"live: {live.visits} visits, the script says {live.least} to {live.most}")
    return live


def _visits(begin: float, end: float, lost: Sequence[Sequence[float]], monotonic_s: float) -> tuple[int, int]:
    """How many visits at least and at most, from begin to end (wall clock)."""
    least = most = 0
    period = LOOP_S / LIVE_SPEED
    loop = int((begin - monotonic_s) // period) - 1
    while (zero := monotonic_s + loop * period) < end:
        for walk in WALKS:
            first, last = zero + walk.start / LIVE_SPEED, zero + (walk.start + walk.lasts) / LIVE_SPEED
            whole = begin <= first - MARGIN_S and last + MARGIN_S <= end
            torn = any(off < last + MARGIN_S and first - MARGIN_S < off_end for off, off_end in lost)
            least += whole and not torn
            most += (2 if torn else 1) if begin < last and first < end else 0
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
