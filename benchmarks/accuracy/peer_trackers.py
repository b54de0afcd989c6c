"""Measure SORT, ByteTrack and OC-SORT of the package ``trackers`` on the recordings of real tracks.

Writes benchmarks/reference/trackers.csv. The package needs another build of OpenCV than the device, so it runs in an
environment of its own:

``python3 -m venv build/peers && build/peers/bin/pip install trackers``
``build/peers/bin/python -m benchmarks.accuracy.peer_trackers FOLDER``
"""

import argparse
import csv
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.tracks import STEPS, Recording, TrackerOutput, hits, recordings, score, true_visits

REFERENCE = Path(__file__).parent.parent / "reference" / "trackers.csv"
MIN_HITS_S = 0.3
"""A track counts as a visit once it has boxes for this many seconds."""
FIELDS = ("recording", "step", "false_boxes", "tracker", "truth", "visits", "switches", "mixed", "version")


def trackers() -> dict[str, type]:
    """Return the tracker classes by name; exit with instructions if the package is not installed."""
    try:
        from trackers import ByteTrackTracker, OCSORTTracker, SORTTracker  # noqa: PLC0415 (only in its own environment)
    except ImportError:
        sys.exit(f"package 'trackers' must be installed:\n{__doc__}")
    return {"SORT": SORTTracker, "ByteTrack": ByteTrackTracker, "OC-SORT": OCSORTTracker}


def run_tracker(recording: Recording, tracker: Any) -> TrackerOutput:
    """Run a tracker of the package, with its default settings, on a recording."""
    import supervision  # noqa: PLC0415

    numbers = []
    for boxes in recording.frames:
        left = np.array([box.box for box in boxes], float).reshape(-1, 4)
        detections = supervision.Detections(
            xyxy=np.concatenate([left[:, :2], left[:, :2] + left[:, 2:]], 1),
            confidence=np.array([box.score for box in boxes], float),
            class_id=np.zeros(len(boxes), int),
            data={"index": np.arange(len(boxes))},
        )
        tracked = tracker.update(detections)
        frame: list[int | None] = [None] * len(boxes)
        if len(tracked):
            for index, number in zip(tracked.data["index"].tolist(), tracked.tracker_id.tolist(), strict=True):
                frame[index] = number if number >= 0 else None
        numbers.append(tuple(frame))
    needed = MIN_HITS_S * recording.fps
    return TrackerOutput(
        tuple(numbers), frozenset(number for number, boxes in hits(numbers).items() if boxes >= needed)
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return one row for each recording, frame rate and tracker."""
    version, found = metadata.version("trackers"), []
    for full in recordings(folder):
        truth = true_visits(full)
        for false_boxes, recording in (("no", full.without_false()), ("yes", full)):
            for step in STEPS:
                sampled = recording.every(step)
                for name, kind in trackers().items():
                    got = score(sampled, run_tracker(sampled, kind(frame_rate=sampled.fps)), truth)
                    values = (full.name, step, false_boxes, name, truth, got.visits, got.switches, got.mixed, version)
                    found.append(dict(zip(FIELDS, values, strict=True)))
    return found


def main() -> None:
    """Measure, and write the reference file."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.peer_trackers", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="folder with the recordings, *.txt")
    parser.add_argument("--out", type=Path, default=REFERENCE, help="CSV file to write (default: %(default)s)")
    arguments = parser.parse_args()
    trackers()
    warnings.simplefilter("ignore")
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(arguments.folder))
    print(arguments.out)


if __name__ == "__main__":
    main()
