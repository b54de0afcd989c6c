"""Compare the visits that the device's tracker counts with the truth, as the tables of docs/accuracy.md.

``python -m benchmarks.accuracy.counting DATA [--card NAME_OR_PATH] [--yunet] [--write]``

DATA holds ``counting/``, ``clips/`` and ``peers/``. On real tracks the device's tracker stands beside SORT, ByteTrack
and OC-SORT, as measured by `benchmarks.accuracy.peer_trackers`. On clips it runs with several detectors on every
frame, with and without the face check, and as on a device (`benchmarks.accuracy.device_count`), beside the people
counted by hand. Each clip is also counted at half its frame rate, on the even and on the odd frames: the counts depend
on which frames are seen, and these differences show by how much.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks.accuracy import chokepoint_walks
from benchmarks.accuracy.detections import Clip, DetectorSource, of_card, of_clip, of_yunet, shipped_check
from benchmarks.accuracy.device_count import count_frames
from benchmarks.accuracy.tracks import STEPS, Recording, TrackerOutput, TrackScore, recordings, score, true_visits
from edge.build import detector_bundle
from edge.camera import file_source
from edge.camera_settings import File
from edge.counting.track import Tracker
from edge.settings import TrackSettings
from edge.values import Detection
from edge.vision.bundle import DEFAULT_DETECTOR, STILL_IMAGE_DETECTOR

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "benchmarks" / "reference" / "trackers.csv"
PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- counting: begin -->", "<!-- counting: end -->"
TRACKS = TrackSettings(high_score=0.75, min_visit_s=0.3)
"""Settings for the recordings: ``high_score`` suits their detector, ``min_visit_s`` is that of the truth."""
YUNET_SIDE, YUNET_THRESHOLD = 640, 0.8
FRAMES = ((1, 0), (2, 0), (2, 1))
"""Frames of a clip that are used, as step and first index: all, the even ones, the odd ones."""


@dataclass(frozen=True, slots=True)
class ClipCount:
    """Visits counted in a clip, beside the people counted by hand."""

    clip: str
    people_min: int
    people_max: int
    """People counted by hand; a range where the count is debatable."""
    visits: tuple[int, ...]
    """For each entry of `FRAMES`."""

    @property
    def distances(self) -> tuple[int, ...]:
        """Distance of the visits from the range, for each entry of `FRAMES`."""
        return tuple(max(self.people_min - visits, 0, visits - self.people_max) for visits in self.visits)


@dataclass(frozen=True, slots=True)
class TrackRow:
    """Score of one tracker on one recording at one frame rate."""

    recording: str
    step: int
    """Every ``step``-th frame is used."""
    false_boxes: bool
    """Whether the boxes include the annotated false detections."""
    tracker: str
    score: TrackScore


def run_tracker(recording: Recording, settings: TrackSettings = TRACKS) -> TrackerOutput:
    """Run the device's tracker on a recording."""
    tracker, numbers, counted = Tracker(settings), [], set()
    for index, boxes in enumerate(recording.frames):
        faces = [Detection(box.box, box.score) for box in boxes]
        tracks = tracker.update(faces, index / recording.fps, recording.shape)
        own = {id(track.face): track.number for track in tracks.seen}
        numbers.append(tuple(own.get(id(face)) for face in faces))
        counted.update(visit.number for visit in tracks.visits)
    counted.update(visit.number for visit in tracker.finish().visits)
    return TrackerOutput(tuple(numbers), frozenset(counted))


def score_recordings(folder: Path, settings: TrackSettings = TRACKS) -> list[TrackRow]:
    """Score the device's tracker on all recordings of a folder, at all rates, without and with false boxes."""
    rows = []
    for full in recordings(folder):
        truth = true_visits(full)
        for false_boxes, recording in ((False, full.without_false()), (True, full)):
            for step in STEPS:
                sampled = recording.every(step)
                got = score(sampled, run_tracker(sampled, settings), truth)
                rows.append(TrackRow(full.name, step, false_boxes, "ours", got))
    return rows


def score_walks(archive: Path) -> list[TrackRow]:
    """Score the device's tracker on real walks with detector noise, at all rates."""
    full = chokepoint_walks.recording(archive)
    people = len({box.person for boxes in full.frames for box in boxes})
    return [
        TrackRow("walks", step, False, "ours", score(sampled, run_tracker(sampled, TrackSettings()), people))
        for step in STEPS
        for sampled in (full.every(step),)
    ]


def read_peer_scores(path: Path = REFERENCE) -> list[TrackRow]:
    """Read the scores that `benchmarks.accuracy.peer_trackers` has measured."""
    with path.open(newline="") as file:
        return [
            TrackRow(
                row["recording"],
                int(row["step"]),
                row["false_boxes"] == "yes",
                row["tracker"],
                TrackScore(int(row["truth"]), int(row["visits"]), int(row["switches"]), int(row["mixed"])),
            )
            for row in csv.DictReader(file)
        ]


def mean_error(rows: Iterable[TrackRow]) -> float:
    """Return the mean absolute relative error of the visits."""
    errors = [abs(row.score.error) for row in rows]
    return sum(errors) / len(errors)


def count_visits(clip: Clip, high_score: float) -> int:
    """Count the visits of a clip with the device's tracker."""
    tracker, visits = Tracker(TrackSettings().for_detector(high_score)), 0
    for time, faces in clip.frames:
        visits += len(tracker.update(faces, time, clip.shape).visits)
    return visits + len(tracker.finish().visits)


def truths(data: Path) -> list[tuple[Path, int, int]]:
    """Return all clips that exist, with the least and greatest number of people counted by hand."""
    with (data / "counting" / "clips.csv").open(newline="") as file:
        found = [
            (data / "counting" / "clips" / row["clip"], int(row["people_min"]), int(row["people_max"]))
            for row in csv.DictReader(file)
        ]
    with (ROOT / "tests" / "golden" / "clip_truth.csv").open(newline="") as file:
        found += [
            (data / "clips" / row["clip"], int(row["visits"]), int(row["visits"])) for row in csv.DictReader(file)
        ]
    return [each for each in found if each[0].exists()]


def count_clips(data: Path, source: DetectorSource, *, check: bool = True) -> list[ClipCount]:
    """Count all clips with one detector; without ``check`` as if no detection had been checked."""
    counts = []
    for path, low, high in truths(data):
        clip = of_clip(path, source) if check else of_clip(path, source).without_check()
        visits = tuple(count_visits(clip.every(step, first), source.high_score) for step, first in FRAMES)
        counts.append(ClipCount(path.name, low, high, visits))
    return counts


def count_clips_on_device(data: Path, card: str, choices: Sequence[tuple[int, int]] = FRAMES) -> list[ClipCount]:
    """Count all clips as the device does with a detector, given by its name or the path of its card.

    ``choices`` are the choices of frames, as in `FRAMES`.
    """
    bundle, check, counts = detector_bundle(card), shipped_check(), []
    for path, low, high in truths(data):
        visits = tuple(
            count_frames(bundle, check, islice(file_source.read_frames(File(path=str(path))), first, None, step)).visits
            for step, first in choices
        )
        counts.append(ClipCount(path.name, low, high, visits))
    return counts


def track_table(rows: Sequence[TrackRow]) -> list[str]:
    """Return visits, identity switches and mixed tracks by recording and tracker, as lines of a Markdown table."""
    lines = [
        "| recording | visits | tracker | full rate | 1/3 | 1/6 | with false boxes: full | 1/3 | 1/6 | mean error |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    keys = dict.fromkeys((row.recording, row.tracker) for row in rows)
    for name, tracker in sorted(keys, key=lambda key: key[0]):
        own = [row for row in rows if (row.recording, row.tracker) == (name, tracker)]
        ordered = sorted(own, key=lambda row: (row.false_boxes, row.step))
        cells = [f"{row.score.visits} ({row.score.switches}, {row.score.mixed})" for row in ordered]
        cells += ["-"] * (2 * len(STEPS) - len(cells))
        lines.append(f"| {name} | {own[0].score.truth} | {tracker} | {' | '.join(cells)} | {mean_error(own):.1%} |")
    return lines


def clip_table(columns: dict[str, list[ClipCount]]) -> list[str]:
    """Return the visits of each clip by column, as lines of a Markdown table; the last row sums the distances.

    In brackets are the visits at half the frame rate: on the even and on the odd frames.
    """
    lines = [f"| clip | people | {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(columns)}"]
    for rows in zip(*columns.values(), strict=True):
        one = rows[0]
        people = f"{one.people_min}" if one.people_min == one.people_max else f"{one.people_min} to {one.people_max}"
        lines.append(f"| {one.clip} | {people} | {' | '.join(_cell(row.visits) for row in rows)} |")
    sums = (map(sum, zip(*(row.distances for row in rows), strict=True)) for rows in columns.values())
    return [*lines, f"| summed distance | | {' | '.join(map(_cell, map(tuple, sums)))} |"]


def _cell(values: Sequence[int]) -> str:
    """Format the value on all frames, and in brackets those at half the frame rate."""
    full, even, odd = values
    return f"{full} ({even}, {odd})"


def clip_columns(data: Path, cards: Sequence[str], peers: Sequence[DetectorSource] = ()) -> dict[str, list[ClipCount]]:
    """Count all clips with each detector, with and without face check, with peers, and as on a device."""
    columns = {}
    for source in map(of_card, cards):
        columns[f"{source.title} without check"] = count_clips(data, source, check=False)
        columns[source.title] = count_clips(data, source)
    columns |= {peer.title: count_clips(data, peer) for peer in peers}
    return columns | {f"{Path(card).stem} on a device": count_clips_on_device(data, card) for card in cards}


def report(data: Path, cards: Sequence[str], peers: Sequence[DetectorSource] = ()) -> str:
    """Measure everything, and return all tables."""
    rows = score_recordings(data / "counting" / "tracks") + read_peer_scores()
    rows += score_walks(data / "counting" / "chokepoint_boxes.tar.gz")
    lines = ["Visits, in brackets identity switches and counted tracks that hold more than one person:", ""]
    lines += [*track_table(rows), "", "Visits, in brackets those on the even and on the odd frames alone:", ""]
    return "\n".join([*lines, *clip_table(clip_columns(data, cards, peers))])


def replace_between_markers(text: str, page: Path = PAGE, *, begin: str = BEGIN, end: str = END) -> None:
    """Replace the text between two markers of a page."""
    before, rest = page.read_text().split(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def main() -> None:
    """Measure and print the tables, and write them to the page with ``--write``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.counting", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("data", type=Path, help="folder with counting/, clips/ and peers/")
    parser.add_argument(
        "--card",
        nargs="+",
        default=[DEFAULT_DETECTOR.stem, STILL_IMAGE_DETECTOR.stem],
        help="names or cards of detectors",
    )
    parser.add_argument("--yunet", action="store_true", help="measure YuNet as well (needs OpenCV 5)")
    parser.add_argument("--write", action="store_true", help="write the tables to docs/accuracy.md")
    arguments = parser.parse_args()
    model = arguments.data / "peers" / "yunet_n_640_640.onnx"
    peers = [of_yunet(model, YUNET_SIDE, YUNET_THRESHOLD)] if arguments.yunet else []
    text = report(arguments.data, arguments.card, peers)
    print(text)
    if arguments.write:
        replace_between_markers(text)


if __name__ == "__main__":
    main()
