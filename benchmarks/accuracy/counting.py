"""Visits counted by the device's tracker beside the truth, in one table for docs/accuracy.md.

``python -m benchmarks.accuracy.counting DATA [--card NAME_OR_PATH] [--yunet] [--write]``: DATA holds ``counting/``,
``clips/`` and ``peers/``. Real tracks stand beside SORT, ByteTrack and OC-SORT as measured by
`benchmarks.accuracy.peer_trackers`; clips beside the people counted by hand, with any detector.
"""

import argparse
import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy import chokepoint_walks
from benchmarks.accuracy.detections import Clip, Source, of_card, of_clip, of_yunet
from benchmarks.accuracy.tracks import STEPS, Followed, Recording, TrackScore, recordings, score, true_visits
from edge.counting.track import Tracker
from edge.settings import TrackSettings
from edge.values import Face
from edge.vision.bundle import DETECTOR, FOR_STILLS

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "benchmarks" / "reference" / "trackers.csv"
PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- counting: begin -->", "<!-- counting: end -->"
TRACKS = TrackSettings(high_score=0.75, min_visit_s=0.3)
"""High score of the detector that made the recordings, and the shortest visit of the truth there."""
YUNET_SIDE, YUNET_THRESHOLD = 640, 0.8


@dataclass(frozen=True, slots=True)
class ClipCount:
    """Visits of a clip."""

    clip: str
    people_min: int
    people_max: int
    """People counted by hand; a range where one could argue."""
    visits: int

    @property
    def distance(self) -> int:
        """How far the visits are from the range."""
        return max(self.people_min - self.visits, 0, self.visits - self.people_max)


@dataclass(frozen=True, slots=True)
class TrackRow:
    """A tracker on one recording."""

    recording: str
    step: int
    """Every n-th frame."""
    false_boxes: bool
    """Whether the annotated false detections are among the boxes."""
    tracker: str
    score: TrackScore


def follow(recording: Recording, settings: TrackSettings = TRACKS) -> Followed:
    """A recording through the device's tracker."""
    tracker, numbers, counted = Tracker(settings), [], set()
    for index, boxes in enumerate(recording.frames):
        faces = [Face(box.box, box.score) for box in boxes]
        tracks = tracker.update(faces, index / recording.fps, recording.shape)
        own = {id(track.face): track.number for track in tracks.seen}
        numbers.append(tuple(own.get(id(face)) for face in faces))
        counted.update(visit.number for visit in tracks.visits)
    counted.update(visit.number for visit in tracker.finish().visits)
    return Followed(tuple(numbers), frozenset(counted))


def on_tracks(folder: Path, settings: TrackSettings = TRACKS) -> list[TrackRow]:
    """The device's tracker on all recordings of a folder, at all rates, without and with false boxes."""
    rows = []
    for whole in recordings(folder):
        truth = true_visits(whole)
        for false_boxes, recording in ((False, whole.without_false()), (True, whole)):
            for step in STEPS:
                thinned = recording.every(step)
                got = score(thinned, follow(thinned, settings), truth)
                rows.append(TrackRow(whole.name, step, false_boxes, "ours", got))
    return rows


def on_walks(archive: Path) -> list[TrackRow]:
    """The device's tracker on real trajectories with the noise of a detector."""
    whole = chokepoint_walks.recording(archive)
    people = len({box.person for boxes in whole.frames for box in boxes})
    return [
        TrackRow("walks", step, False, "ours", score(thinned, follow(thinned, TrackSettings()), people))
        for step in STEPS
        for thinned in (whole.every(step),)
    ]


def of_peers(path: Path = REFERENCE) -> list[TrackRow]:
    """What `benchmarks.accuracy.peer_trackers` measured."""
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
    """Mean absolute error of the visits, as a ratio of the truth."""
    errors = [abs(row.score.error) for row in rows]
    return sum(errors) / len(errors)


def count(clip: Clip, high_score: float) -> int:
    """Faces of a clip through the device's tracker -> visits."""
    tracker, visits = Tracker(TrackSettings().for_detector(high_score)), 0
    for time, faces in clip.frames:
        visits += len(tracker.update(faces, time, clip.shape).visits)
    return visits + len(tracker.finish().visits)


def truths(data: Path) -> list[tuple[Path, int, int]]:
    """All clips that are there, with the range of people counted by hand."""
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


def on_clips(data: Path, source: Source) -> list[ClipCount]:
    """All clips with one detector."""
    return [
        ClipCount(path.name, low, high, count(of_clip(path, source), source.high_score))
        for path, low, high in truths(data)
    ]


def track_table(rows: Sequence[TrackRow]) -> list[str]:
    """Visits, identity switches and mixed tracks of each recording and tracker, as lines of Markdown."""
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
    """Visits of each clip by detector, as lines of Markdown; the last row is the summed distance from the range."""
    lines = [f"| clip | people | {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(columns)}"]
    for rows in zip(*columns.values(), strict=True):
        one = rows[0]
        people = f"{one.people_min}" if one.people_min == one.people_max else f"{one.people_min} to {one.people_max}"
        lines.append(f"| {one.clip} | {people} | {' | '.join(str(row.visits) for row in rows)} |")
    sums = " | ".join(str(sum(row.distance for row in rows)) for rows in columns.values())
    return [*lines, f"| summed distance | | {sums} |"]


def report(data: Path, sources: Sequence[Source]) -> str:
    """All tables."""
    rows = on_tracks(data / "counting" / "tracks") + of_peers()
    rows += on_walks(data / "counting" / "chokepoint_boxes.tar.gz")
    columns = {source.name.rsplit("-", 1)[0]: on_clips(data, source) for source in sources}
    lines = ["Visits, in brackets identity switches and counted tracks that hold more than one person:", ""]
    return "\n".join([*lines, *track_table(rows), "", *clip_table(columns)])


def put(text: str, page: Path = PAGE) -> None:
    """Replace what stands between the markers of a page."""
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


def main() -> None:
    """Measure and print, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.counting", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with counting/, clips/ and peers/")
    parser.add_argument(
        "--card", nargs="+", default=[DETECTOR.stem, FOR_STILLS.stem], help="names or cards of detectors"
    )
    parser.add_argument("--yunet", action="store_true", help="YuNet as well (OpenCV 5)")
    parser.add_argument("--write", action="store_true", help="into docs/accuracy.md")
    chosen = parser.parse_args()
    sources = [of_card(name) for name in chosen.card]
    if chosen.yunet:
        model = chosen.data / "peers" / "yunet_n_640_640.onnx"
        sources += [of_yunet(model, YUNET_SIDE, YUNET_THRESHOLD)]
    text = report(chosen.data, sources)
    print(text)
    if chosen.write:
        put(text)


if __name__ == "__main__":
    main()
