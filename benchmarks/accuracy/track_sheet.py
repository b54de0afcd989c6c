"""Draw the counted tracks of a clip on one sheet, for review by eye: one row of crops per track.

``python -m benchmarks.accuracy.track_sheet CLIP [--card NAME_OR_PATH] --out sheet.png``
"""

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.detections import of_card, of_clip
from edge.camera import file_source
from edge.camera_settings import File
from edge.counting.track import Tracker
from edge.settings import TrackSettings
from edge.values import Track
from edge.vision.bundle import DEFAULT_DETECTOR

CROP, COLUMNS, CAPTION = 96, 8, 14
MARGIN = 1.6
"""Side of a crop, in face sizes."""


def counted_tracks(path: Path, card: str) -> dict[int, list[Track]]:
    """Return the track at each of its frames, by number, for the tracks that are counted as visits."""
    source = of_card(card)
    clip = of_clip(path, source)
    tracker = Tracker(TrackSettings().for_detector(source.high_score))
    seen: dict[int, list[Track]] = defaultdict(list)
    visits = []
    for time, faces in clip.frames:
        tracks = tracker.update(faces, time, clip.shape)
        visits += tracks.visits
        for track in tracks.seen:
            seen[track.number].append(track)
    visits += tracker.finish().visits
    return {visit.number: seen[visit.number] for visit in visits}


def sheet(path: Path, tracks: dict[int, list[Track]]) -> NDArray[np.uint8]:
    """Return grey crops, (rows * (CROP + CAPTION), COLUMNS * CROP), each with its second and score below."""
    chosen = {
        number: [own[at] for at in np.linspace(0, len(own) - 1, COLUMNS).astype(int)] for number, own in tracks.items()
    }
    wanted = {track.last for own in chosen.values() for track in own}
    pixels = {
        frame.time: frame.pixels for frame in file_source.read_frames(File(path=str(path))) if frame.time in wanted
    }
    rows = [np.hstack([_tile(pixels[track.last], track) for track in own]) for own in chosen.values()]
    return np.vstack(rows) if rows else np.zeros((CROP, CROP), np.uint8)


def _tile(pixels: NDArray[np.uint8], track: Track) -> NDArray[np.uint8]:
    side = max(8, round(MARGIN * track.face.size))
    x, y = track.face.centre
    crop = cv2.getRectSubPix(pixels, (side, side), (x, y))
    tile = np.zeros((CROP + CAPTION, CROP), np.uint8)
    tile[:CROP] = cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_AREA)
    text = f"{track.number}: {track.last:.1f}s {track.face.score:.2f}"
    cv2.putText(tile, text, (1, CROP + CAPTION - 3), 0, 0.33, 255, 1, cv2.LINE_AA)
    return tile


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.track_sheet", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("clip", type=Path, help="video, animation or folder")
    parser.add_argument("--card", default=DEFAULT_DETECTOR.stem, help="name or card of a detector")
    parser.add_argument(
        "--out", type=Path, default=Path("out/tracks.png"), help="image to write (default: %(default)s)"
    )
    chosen = parser.parse_args()
    drawn = sheet(chosen.clip, counted_tracks(chosen.clip, chosen.card))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(chosen.out), drawn)
    print(chosen.out)


if __name__ == "__main__":
    main()
