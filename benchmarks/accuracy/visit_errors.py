"""Count split, missed and false visits on real tracks, because in a total they cancel.

``python -m benchmarks.accuracy.visit_errors DATA [--write]``

Besides the real boxes it uses boxes with occlusions made from them: people are hidden once, for a random time. Rules of
the tracker are developed on these figures.
"""

import argparse
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy import chokepoint_walks
from benchmarks.accuracy.counting import TRACKS, replace_between_markers, run_tracker
from benchmarks.accuracy.tracks import GAP_S, MIN_BOXES, MIN_VISIT_S, STEPS, Recording, TrackerOutput, recordings
from edge.settings import TrackSettings

BEGIN, END = "<!-- visit errors: begin -->", "<!-- visit errors: end -->"
HIDDEN_S, HIDDEN_FRACTION = (0.5, 1.9), 0.5
"""Least and greatest time for which people in the recordings are hidden, seconds, and the fraction of people."""
WALK_HIDDEN_S, WALK_HIDDEN_FRACTION = (0.3, 1.4), 1.0
"""The same for the walks."""
SHOWN_S = 0.7
"""Least time for which a person is in view before being hidden, and again afterwards, seconds."""


@dataclass(frozen=True, slots=True)
class VisitErrors:
    """True visits, and how the counted tracks differ from them.

    A counted track belongs to the true visit of most of its boxes. A true visit with n tracks is split n - 1 times.
    """

    true: int
    split: int
    missed: int
    """True visits without a counted track."""
    false: int
    """Counted tracks that belong to no true visit."""

    def __add__(self, other: "VisitErrors") -> "VisitErrors":
        """Return the sums over both."""
        return VisitErrors(
            self.true + other.true, self.split + other.split, self.missed + other.missed, self.false + other.false
        )


def visit_errors(full: Recording, step: int, output: TrackerOutput) -> VisitErrors:
    """Compare tracks on every ``step``-th frame of a recording with its true visits at the full rate."""
    visit_of, true = _true_visits(full)
    owners: dict[int, Counter[tuple[int, int] | None]] = defaultdict(Counter)
    for index, numbers in enumerate(output.numbers):
        for box, number in zip(full.frames[index * step], numbers, strict=True):
            if number is not None:
                owners[number][visit_of[index * step, box.person] if box.is_face else None] += 1
    tracks = Counter(owners[number].most_common(1)[0][0] for number in output.counted)
    counted = [tracks[visit] for visit in true]
    return VisitErrors(len(true), sum(max(0, n - 1) for n in counted), counted.count(0), tracks.total() - sum(counted))


def hide_people(recording: Recording, seconds: tuple[float, float], fraction: float, seed: int = 1) -> Recording:
    """Return a recording in which a fraction of the people is hidden once, for a random time in seconds.

    People who are in view for too short a time are not hidden, see `SHOWN_S`.
    """
    rng, frames_of, hidden = random.Random(seed), defaultdict(list), {}  # noqa: S311 - not for secrets
    for index, boxes in enumerate(recording.frames):
        for box in boxes:
            frames_of[box.person].append(index)
    shown = round(SHOWN_S * recording.fps)
    for person, frames in frames_of.items():
        chosen, lasts = rng.random() < fraction, rng.uniform(*seconds) * recording.fps
        if not chosen or len(frames) < 2 * shown + lasts:
            continue
        begin = frames[rng.randrange(shown, len(frames) - shown)]
        if sum(frame > begin + lasts for frame in frames) >= shown:
            hidden[person] = range(begin + 1, round(begin + lasts))
    kept = tuple(
        tuple(box for box in boxes if index not in hidden.get(box.person, ()))
        for index, boxes in enumerate(recording.frames)
    )
    return Recording(recording.name, recording.fps, recording.shape, kept)


def measure(data: Path) -> dict[str, list[VisitErrors]]:
    """Return the errors by kind of boxes, at each rate of `STEPS`."""
    full = recordings(data / "counting" / "tracks")
    clean = [each.without_false() for each in full]
    walks = [chokepoint_walks.recording(data / "counting" / "chokepoint_boxes.tar.gz")]
    hidden = [hide_people(each, HIDDEN_S, HIDDEN_FRACTION) for each in clean]
    hidden_walks = [hide_people(each, WALK_HIDDEN_S, WALK_HIDDEN_FRACTION) for each in walks]
    return {
        "recordings, correct boxes": _at_each_rate(clean, TRACKS),
        "recordings, with false boxes": _at_each_rate(full, TRACKS),
        "recordings, correct boxes, people hidden once": _at_each_rate(hidden, TRACKS),
        "walks": _at_each_rate(walks, TrackSettings()),
        "walks, people hidden once": _at_each_rate(hidden_walks, TrackSettings()),
    }


def error_table(rows: dict[str, list[VisitErrors]]) -> list[str]:
    """Return visits that are split, missed and false, as lines of a Markdown table."""
    lines = ["| boxes | visits | full rate: split, missed, false | 1/3 | 1/6 |", "|---|---:|---:|---:|---:|"]
    for boxes, errors in rows.items():
        cells = " | ".join(f"{each.split}, {each.missed}, {each.false}" for each in errors)
        lines.append(f"| {boxes} | {errors[0].true} | {cells} |")
    return lines


def _at_each_rate(full: list[Recording], settings: TrackSettings) -> list[VisitErrors]:
    return [
        sum(
            (visit_errors(each, step, run_tracker(each.every(step), settings)) for each in full),
            VisitErrors(0, 0, 0, 0),
        )
        for step in STEPS
    ]


def _true_visits(recording: Recording) -> tuple[dict[tuple[int, int], tuple[int, int]], set[tuple[int, int]]]:
    """Return the visit (person, index) of each box, by frame and person, and the visits that are long enough."""
    visit_of, times = {}, defaultdict(list)
    latest: dict[int, tuple[int, int]] = {}
    for frame, boxes in enumerate(recording.frames):
        for box in boxes:
            if not box.is_face:
                continue
            visit, time = latest.get(box.person, (box.person, 0)), frame / recording.fps
            if times[visit] and time - times[visit][-1] > GAP_S:
                visit = (box.person, visit[1] + 1)
            latest[box.person] = visit_of[frame, box.person] = visit
            times[visit].append(time)
    long = {visit for visit, at in times.items() if len(at) >= MIN_BOXES and at[-1] - at[0] >= MIN_VISIT_S}
    return visit_of, long


def main() -> None:
    """Measure and print the table, and write it to docs/accuracy.md with ``--write``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.visit_errors", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("data", type=Path, help="folder with counting/")
    parser.add_argument("--write", action="store_true", help="write the table to docs/accuracy.md")
    arguments = parser.parse_args()
    text = "\n".join(error_table(measure(arguments.data)))
    print(text)
    if arguments.write:
        replace_between_markers(text, begin=BEGIN, end=END)


if __name__ == "__main__":
    main()
