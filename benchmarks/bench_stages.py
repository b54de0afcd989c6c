"""Time of each stage on a clip, beside the bare networks in the same run: what is spent around them.

``python -m benchmarks.bench_stages [--clip PATH]``: milliseconds a frame on one thread, median and 95th percentile;
the last
column is the stage's time over that of its network alone, the lower bound.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edge import assemble
from edge.admit import Gate
from edge.classify import Classifier
from edge.crop import cut
from edge.detect import Detector, letterbox
from edge.health import resident_mb
from edge.settings import AdmitSettings, TrackSettings
from edge.track import Tracker
from edge.tryout import pictures

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def measure(clip: str) -> dict[str, list[float]]:
    """A clip -> milliseconds of each frame, by stage; ``network`` entries are the interpreter alone on the same
    input."""
    faces, expressions = assemble.detector_bundle(), assemble.classifier_bundle()
    detector, classifier = Detector(faces), Classifier(expressions)
    tracker, gate = Tracker(TrackSettings()), Gate(AdmitSettings(staff_zones=()))
    size = (faces.card.input.height, faces.card.input.width)
    crop_size = (expressions.card.input.height, expressions.card.input.width)
    times: dict[str, list[float]] = defaultdict(list)

    def note(name: str, begin: float) -> None:
        times[name].append((time.perf_counter() - begin) * 1000)

    for index, (_, pixels) in enumerate(pictures(clip)):
        fitted = letterbox(pixels, size)[0][None, :, :, None]
        begin = time.perf_counter()
        faces.model.run(fitted)
        note("detect network", begin)
        begin = time.perf_counter()
        found = detector.detect(pixels)
        note("detect", begin)
        begin = time.perf_counter()
        tracks = tracker.update(found, index / 10, (pixels.shape[0], pixels.shape[1]))
        admitted = gate.admit(tracks.seen, (pixels.shape[0], pixels.shape[1]), index / 10, NOON).admitted
        note("track and admit", begin)
        if not admitted:
            continue
        crops = np.stack([cut(pixels, each.face, expressions.card.crop, crop_size) for each in admitted])[..., None]
        begin = time.perf_counter()
        expressions.model.run(crops)
        note("classify network", begin)
        begin = time.perf_counter()
        classifier.classify(pixels, [each.face for each in admitted])
        note("classify", begin)
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_stages", description=__doc__)
    parser.add_argument("--clip", help="video, animation or folder (default: the demonstration's clip)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = chosen.clip
        if clip is None:
            from demo.clip import compose  # noqa: PLC0415 (needs the demonstration's packages)

            clip = str(Path(folder) / "walk-by.mp4")
            compose(Path(clip))
        times = measure(clip)
    print(f"{'stage':20}{'frames':>7}{'p50 ms':>9}{'p95 ms':>9}{'of its network':>16}")
    for name, values in times.items():
        p50, p95 = np.percentile(values, [50, 95])
        ratio = f"{p50 / np.median(times[name + ' network']):16.2f}" if name + " network" in times else ""
        print(f"{name:20}{len(values):7}{p50:9.3f}{p95:9.3f}{ratio}")
    print(f"resident memory: {resident_mb():.0f} MB")


if __name__ == "__main__":
    main()
