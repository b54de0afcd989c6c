"""Read frames from a video, an animation or a folder of images, with the file's own time stamps."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from base.logs import line
from edge.camera_settings import File
from edge.errors import ClipError
from edge.values import Frame, Pixels

log = logging.getLogger("edge.camera.file_source")
IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp"}
"""File names with other endings are ignored in a folder of images."""
MIN_FRAME_FRACTION = 0.97
"""A file that gives a smaller fraction of the frames that its header promises is cut off. Headers err a little."""
DEFAULT_FPS = 25.0
"""Frame rate of a video whose header gives none."""


def read_frames(settings: File) -> Iterator[Frame]:
    """Read all frames in order; time stamps are seconds and always increase.

    Raises `ClipError` at once if nothing can be opened, and after the last frame if the file is cut off.
    """
    if "://" in settings.path:
        raise ClipError(f'{settings.path}: is the address of a camera, not a file; use --camera or source = "rtsp"')
    path = Path(settings.path)
    if path.is_dir():
        return _folder_frames(path, settings.fps)
    if not path.is_file():
        raise ClipError(f"{path}: no such file or folder")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ClipError(f"{path}: no video or animation that FFmpeg can open")
    return _video_frames(capture, path)


def read_image(path: Path) -> Pixels | None:
    """Read an image file as grey pixels (h, w) uint8; None if it cannot be read."""
    try:
        content = np.fromfile(path, np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if content.size else None
    except (OSError, cv2.error):  # OpenCV raises where a header promises more pixels than it accepts
        return None
    return None if image is None else np.asarray(image, np.uint8)


def to_grey(image: NDArray[Any]) -> Pixels:
    """Convert an OpenCV image, (h, w), (h, w, 1) or (h, w, 3) BGR uint8, to grey (h, w)."""
    if image.ndim == 3 and image.shape[2] == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    return np.asarray(image.reshape(image.shape[:2]), np.uint8)


def _video_frames(capture: cv2.VideoCapture, path: Path) -> Iterator[Frame]:
    """Read the frames of an open file; raises `ClipError` at the end if it is cut off or holds none."""
    promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    rate = capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS
    last, count = -1.0 / rate, 0
    try:
        while True:
            ok, image = capture.read()
            if not ok:
                break
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            last = stamp if stamp > last else last + 1 / rate
            count += 1
            yield Frame(to_grey(image), last)
    finally:
        capture.release()
    if count < MIN_FRAME_FRACTION * promised - 1 or not count:
        raise ClipError(f"{path}: cut off: {count} of {promised} frames could be read")


def _folder_frames(folder: Path, fps: float) -> Iterator[Frame]:
    """Check that a folder holds images, and read them in the order of their names."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ClipError(f"{folder}: no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return _image_frames(folder, paths, fps)


def _image_frames(folder: Path, paths: list[Path], fps: float) -> Iterator[Frame]:
    """Read images as frames; one that cannot be read is logged and skipped, and its time passes."""
    count = 0
    for index, path in enumerate(paths):
        image = read_image(path)
        if image is None:
            log.warning(line("image_skipped", file=path, reason="not an image that OpenCV can read"))
        else:
            count += 1
            yield Frame(image, index / fps)
    if not count:
        raise ClipError(f"{folder}: none of {len(paths)} images can be read")
