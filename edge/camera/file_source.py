"""A video, an animation or a folder of pictures -> frames with their own time stamps."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from base.logs import line
from edge.errors import ClipError
from edge.settings import File
from edge.values import Frame, Pixels

log = logging.getLogger("edge.camera.file_source")
IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp"}
SHORTEST = 0.97
"""A file that gives less than this share of the frames its header promises is cut off; headers err a little."""


def read_frames(settings: File) -> Iterator[Frame]:
    """All frames of a video, an animation or a folder of pictures, in order, with their own time stamps, seconds."""
    path = Path(settings.path)
    if path.is_dir():
        return _folder(path, settings.fps)
    if not path.is_file():
        raise ClipError(f"{path}: no such file or folder")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ClipError(f"{path}: no video or animation that FFmpeg can open")
    return _video(capture, path)


def _video(capture: cv2.VideoCapture, path: Path) -> Iterator[Frame]:
    """Frames of an open file; ClipError at the end if it is cut off or holds none."""
    promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    last, read = -1.0 / rate, 0
    try:
        while True:
            ok, picture = capture.read()
            if not ok:
                break
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            last = stamp if stamp > last else last + 1 / rate
            read += 1
            yield Frame(grey(picture), last)
    finally:
        capture.release()
    if read < SHORTEST * promised - 1 or not read:
        raise ClipError(f"{path}: cut off: {read} of {promised} frames")


def _folder(path: Path, fps: float) -> Iterator[Frame]:
    """Pictures of a folder by name; one that does not open is said and passed over, none at all is a ClipError."""
    names = sorted(name for name in path.iterdir() if name.suffix.lower() in IMAGE_SUFFIXES)
    if not names:
        raise ClipError(f"{path}: no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return _pictures(path, names, fps)


def _pictures(path: Path, names: list[Path], fps: float) -> Iterator[Frame]:
    read = 0
    for index, name in enumerate(names):
        picture = read_image(name)
        if picture is None:
            log.warning(line("picture_skipped", file=name, reason="not a picture that OpenCV can read"))
        else:
            read += 1
            yield Frame(picture, index / fps)
    if not read:
        raise ClipError(f"{path}: none of {len(names)} pictures opens")


def read_image(path: Path) -> Pixels | None:
    """A picture file -> grey pixels (h, w), or None if it is none."""
    try:
        content = np.fromfile(path, np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if content.size else None
    except (OSError, cv2.error):  # OpenCV's where a header promises more pixels than it takes
        return None
    return None if picture is None else np.asarray(picture, np.uint8)


def grey(picture: Any) -> Pixels:
    """A picture as OpenCV gives it, (h, w), (h, w, 1) or (h, w, 3) BGR uint8 -> grey (h, w)."""
    if picture.ndim == 3 and picture.shape[2] == 3:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    return np.asarray(picture.reshape(picture.shape[:2]), np.uint8)
