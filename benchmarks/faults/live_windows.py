"""Check the windows of the live daemon against the frames of its camera and the scripted walks."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from benchmarks.faults.camera_frames import CameraFrames
from benchmarks.faults.rig import LIVE_SPEED, LIVE_WINDOW_S
from benchmarks.faults.scripted_walks import LOOP_S, WALKS

MARGIN_S = 2.5
"""A visit is certain if the camera delivered frames from this long before the walk until this long after it."""
GRACE_S = 1.0
"""Tolerance of the coverage: the daemon dates a frame a moment after the camera has logged it."""
NOTICE_S = 3.0
"""The daemon gives up a camera that delivers no frame for 2 s. A shorter window need not report it."""


@dataclass(slots=True)
class LiveResult:
    """Windows and visits of the live daemon, the visits expected at least and at most, and what is wrong."""

    windows: int = 0
    visits: int = 0
    least: int = 0
    most: int = 0
    wrong: list[str] = field(default_factory=list)


def check(
    rows: Iterable[Mapping[str, str]], frames: CameraFrames, in_spool: Collection[int], monotonic_offset_s: float
) -> LiveResult:
    """Check the rows of one boot.

    ``in_spool`` has the ``seq`` of windows that are still in the spool; the offset is wall clock minus monotonic clock.
    No window is lost, late or stored twice. A window says ``no_camera`` if the camera refused a frame in it, and has no
    more coverage than its frames allow. A walk in front of a camera that delivered all frames is one visit; each gap
    between the frames may lose a visit or split it once more.
    """
    result, ordered = LiveResult(), sorted(rows, key=lambda row: int(row["seq"]))
    result.windows = len(ordered)
    result.wrong += _sequence_errors([int(row["seq"]) for row in ordered], in_spool)
    if len({row["boot"] for row in ordered}) > 1:
        result.wrong.append("live: more than one boot id")
    intervals = [(seconds(row["start"]), seconds(row["end"])) for row in ordered]
    for (before, row), (last, this) in zip(pairwise(ordered), pairwise(intervals), strict=True):
        if int(row["seq"]) == int(before["seq"]) + 1 and abs(this[0] - last[1]) > 0.1:
            result.wrong.append(f"live {row['seq']}: starts {this[0] - last[1]:.2f} s after the end of the one before")
    for row, interval in zip(ordered, intervals, strict=True):
        result.wrong += [f"live {row['seq']}: {text}" for text in _coverage_errors(row, *interval, frames)]
        names = list(row)
        result.visits += sum(int(row[label]) for label in names[names.index("model_expression") + 1 :])
    if intervals:
        begin, end = intervals[0][0], intervals[-1][1]
        result.least, result.most = _expected_visits(begin, end, frames, monotonic_offset_s)
        if not result.least <= result.visits <= result.most:
            result.wrong.append(f"live: {result.visits} visits, must be {result.least} to {result.most}")
        if not in_spool and frames.delivered and frames.delivered[-1] - end > LIVE_WINDOW_S:
            result.wrong.append(f"live: lost: windows of the last {frames.delivered[-1] - end:.1f} s")
    return result


def missing(stored: Collection[int], in_spool: Collection[int] = ()) -> list[int]:
    """Return the ``seq`` of windows that are not stored: gaps, and windows that are still in the spool."""
    return sorted({*range(max(stored, default=-1)), *in_spool} - set(stored))


def _sequence_errors(stored: Sequence[int], in_spool: Collection[int]) -> list[str]:
    not_stored = missing(stored, in_spool)
    kinds = {
        "stored twice": sorted({seq for seq in stored if stored.count(seq) > 1}),
        "late, still in the spool": [seq for seq in not_stored if seq in in_spool],
        "lost": [seq for seq in not_stored if seq not in in_spool],
    }
    return [f"live: {kind}: {', '.join(map(str, numbers))}" for kind, numbers in kinds.items() if numbers]


def _coverage_errors(row: Mapping[str, str], start: float, end: float, frames: CameraFrames) -> Iterator[str]:
    """Yield what a window wrongly reports about its camera."""
    refused, covered_s = frames.refused_within(start, end), frames.covered_s(start, end)
    opened = bool(frames.delivered) and start > frames.delivered[0]  # opening the camera may take longer than a window
    without_frames = opened and end - start > NOTICE_S and not covered_s
    if (refused or without_frames) and "no_camera" not in row["degraded"]:
        yield f"{refused} frames refused, {covered_s:.1f} s covered, but `degraded` does not say no_camera"
    if float(row["coverage"]) * (end - start) > covered_s + GRACE_S:
        yield f"coverage {row['coverage']}, but its frames cover {covered_s:.1f} of {end - start:.1f} s"


def _expected_visits(begin: float, end: float, frames: CameraFrames, monotonic_offset_s: float) -> tuple[int, int]:
    """Return the least and greatest number of visits between two wall-clock times."""
    least = most = 0
    gaps, period = frames.gaps(begin, end), LOOP_S / LIVE_SPEED
    loop = int((begin - monotonic_offset_s) // period) - 1
    while (loop_start := monotonic_offset_s + loop * period) < end:
        for walk in WALKS:
            first = loop_start + walk.start / LIVE_SPEED
            last = loop_start + (walk.start + walk.duration) / LIVE_SPEED
            whole = begin <= first - MARGIN_S and last + MARGIN_S <= end
            interruptions = sum(before < last + MARGIN_S and first - MARGIN_S < after for before, after in gaps)
            least += whole and not interruptions
            most += 1 + interruptions if begin < last and first < end else 0
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
