"""SORT, ByteTrack and OC-SORT of the package ``trackers`` on the same recordings -> benchmarks/reference/trackers.csv.

The package needs another build of OpenCV than the device's, so it runs in an environment of its own:

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

from benchmarks.accuracy.tracks import STEPS, Followed, Recording, hits, recordings, score, true_visits

REFERENCE = Path(__file__).parent.parent / "reference" / "trackers.csv"
MIN_HITS_S = 0.3
"""A track counts once its boxes cover so many seconds."""
FIELDS = ("recording", "step", "false_boxes", "tracker", "truth", "visits", "switches", "mixed", "version")


def trackers() -> dict[str, type]:
    """Name -> class; exits with what to install where the package is missing."""
    try:
        from trackers import ByteTrackTracker, OCSORTTracker, SORTTracker  # noqa: PLC0415 (an environment of its own)
    except ImportError:
        sys.exit(f"package 'trackers' is not installed here; see:\n{__doc__}")
    return {"SORT": SORTTracker, "ByteTrack": ByteTrackTracker, "OC-SORT": OCSORTTracker}


def follow(recording: Recording, tracker: Any) -> Followed:
    """A recording through a tracker of the package, at its defaults."""
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
        told = tracker.update(detections)
        frame: list[int | None] = [None] * len(boxes)
        if len(told):
            for index, number in zip(told.data["index"].tolist(), told.tracker_id.tolist(), strict=True):
                frame[index] = number if number >= 0 else None
        numbers.append(tuple(frame))
    needed = MIN_HITS_S * recording.fps
    return Followed(tuple(numbers), frozenset(number for number, many in hits(numbers).items() if many >= needed))


def rows(folder: Path) -> list[dict[str, Any]]:
    """The figures of all recordings, rates and trackers."""
    version, found = metadata.version("trackers"), []
    for whole in recordings(folder):
        truth = true_visits(whole)
        for false_boxes, recording in (("no", whole.without_false()), ("yes", whole)):
            for step in STEPS:
                thinned = recording.every(step)
                for name, kind in trackers().items():
                    got = score(thinned, follow(thinned, kind(frame_rate=thinned.fps)), truth)
                    values = (whole.name, step, false_boxes, name, truth, got.visits, got.switches, got.mixed, version)
                    found.append(dict(zip(FIELDS, values, strict=True)))
    return found


def main() -> None:
    """Measure and write the reference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.peer_trackers", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with the recordings, *.txt")
    parser.add_argument("--out", type=Path, default=REFERENCE)
    chosen = parser.parse_args()
    trackers()
    warnings.simplefilter("ignore")
    with chosen.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(chosen.folder))
    print(chosen.out)


if __name__ == "__main__":
    main()
