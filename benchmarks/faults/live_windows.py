"""Check the windows of the live daemon against the outages of its camera and the scripted walks."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from benchmarks.faults.rig import LIVE_SPEED
from benchmarks.faults.scripted_walks import LOOP_S, WALKS

MARGIN_S = 2.5
"""A visit is certain if the camera worked from this long before the walk until this long after it."""
GRACE_S = 4.5
"""Tolerance of the time without a camera. The daemon waits two seconds for a frame before it reports a lost camera, and
a frame covers some time before it. The rest allows for a busy machine.
"""


@dataclass(slots=True)
class LiveResult:
    """Windows and visits of the live daemon, the visits expected at least and at most, and what is wrong."""

    windows: int = 0
    visits: int = 0
    least: int = 0
    most: int = 0
    wrong: list[str] = field(default_factory=list)


def check(
    rows: Iterable[Mapping[str, str]], outages: Sequence[Sequence[float]], monotonic_offset_s: float
) -> LiveResult:
    """Check the rows of one boot; ``outages`` in wall-clock seconds, the offset is wall clock minus monotonic clock.

    ``seq`` and time have no gap. A window in which the camera was away says ``no_camera`` and has less coverage. Each
    walk that the camera saw whole is one visit; one that it saw in part is at most two.
    """
    result, ordered = LiveResult(), sorted(rows, key=lambda row: int(row["seq"]))
    result.windows = len(ordered)
    if [int(row["seq"]) for row in ordered] != list(range(len(ordered))):
        result.wrong.append("live: seq has a gap or a repeat")
    if len({row["boot"] for row in ordered}) > 1:
        result.wrong.append("live: more than one boot id")
    intervals = [(seconds(row["start"]), seconds(row["end"])) for row in ordered]
    gaps = [after[0] - before[1] for before, after in pairwise(intervals)]
    result.wrong += [f"live: a gap of {gap:.2f} s between two windows" for gap in gaps if abs(gap) > 0.1]
    for row, (start, end) in zip(ordered, intervals, strict=True):
        away_s = sum(max(0.0, min(end, off_end) - max(start, off)) for off, off_end in outages)
        result.wrong += _coverage_errors(row, end - start, away_s)
        names = list(row)
        result.visits += sum(int(row[label]) for label in names[names.index("model_expression") + 1 :])
    if intervals:
        result.least, result.most = _expected_visits(intervals[0][0], intervals[-1][1], outages, monotonic_offset_s)
        if not result.least <= result.visits <= result.most:
            result.wrong.append(f"live: {result.visits} visits, must be {result.least} to {result.most}")
    return result


def _coverage_errors(row: Mapping[str, str], window_s: float, away_s: float) -> list[str]:
    errors = []
    if away_s > GRACE_S and "no_camera" not in row["degraded"]:
        errors.append(f"live {row['seq']}: {away_s:.1f} s without a camera, but `degraded` does not say no_camera")
    if float(row["coverage"]) * window_s > window_s - away_s + GRACE_S:
        errors.append(f"live {row['seq']}: coverage {row['coverage']}, with {away_s:.1f} s without a camera")
    return errors


def _expected_visits(
    begin: float, end: float, outages: Sequence[Sequence[float]], monotonic_offset_s: float
) -> tuple[int, int]:
    """Return the least and greatest number of visits between two wall-clock times."""
    least = most = 0
    period = LOOP_S / LIVE_SPEED
    loop = int((begin - monotonic_offset_s) // period) - 1
    while (loop_start := monotonic_offset_s + loop * period) < end:
        for walk in WALKS:
            first = loop_start + walk.start / LIVE_SPEED
            last = loop_start + (walk.start + walk.duration) / LIVE_SPEED
            whole = begin <= first - MARGIN_S and last + MARGIN_S <= end
            interrupted = any(off < last + MARGIN_S and first - MARGIN_S < off_end for off, off_end in outages)
            least += whole and not interrupted
            most += (2 if interrupted else 1) if begin < last and first < end else 0
        loop += 1
    return least, most


def camera_back_s(log: Path, turned_on: float) -> float | None:
    """Return the seconds from the return of the camera until the daemon logged ``camera_back``; None if it did not."""
    for text in log.read_text().splitlines():
        if "event=camera_back" in text and (found := re.match(r"time=(\S+)", text)):
            at = seconds(found[1])
            if at >= turned_on:
                return at - turned_on
    return None


def seconds(rfc3339: str) -> float:
    """Convert a time of a message or log line to seconds since 1970."""
    return datetime.fromisoformat(rfc3339.replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()
