"""Open the camera, measure its frames for some seconds, and run both models at the rate that the daemon needs."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from edge.camera.capture import Camera
from edge.camera.drivers import driver_for
from edge.camera.file_source import read_frames
from edge.camera.image_quality import blind_reason, thumbnail_of
from edge.camera_settings import Capture, File, Picamera2, V4l2
from edge.check.result import Finding
from edge.settings import Settings
from edge.values import Box, Detection, Frame, Pixels
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck

MEASURE_S = 2.0
"""How long the frames of a camera are watched, and the models run for it, seconds."""
FILE_MEASURE_S = 0.5
"""How long the models run for a file."""
FILE_FRAMES = 30
"""Number of frames of a file that are read."""
SLOW_CAMERA, SLOW_MODELS = 0.8, 0.9
"""A camera or the models are too slow below this fraction of the rate that is set, or needed."""
FACES = 3
"""Number of faces that are classified in each frame: as many as a busy scene has on average."""
BRIGHT = 245
"""Mean grey level above which nothing can be seen."""


@dataclass(frozen=True, slots=True)
class CameraSample:
    """What a camera gave in `MEASURE_S`."""

    pixels: Pixels
    """The last frame."""
    frames_per_s: float | None
    """None if there was only one frame."""


def sample(capture: Capture) -> CameraSample:
    """Open a camera or a file, and read frames. Raise CameraLost or ClipError if there are none."""
    if isinstance(capture, File):
        frames = itertools.islice(read_frames(capture), FILE_FRAMES)
        first = last = next(frames)
        taken = 1
        while (frame := next(frames, None)) is not None:
            last, taken = frame, taken + 1
        return CameraSample(last.pixels, _rate(first, last, taken))
    camera = Camera(driver_for(capture), capture.open_limit_s, capture.read_limit_s)
    with camera.opened() as newest:
        first = last = newest()
        taken, dropped = 1, camera.dropped
        while last.time - first.time < MEASURE_S:
            last, taken = newest(), taken + 1
        return CameraSample(last.pixels, _rate(first, last, taken + camera.dropped - dropped))


def describe(capture: Capture, found: CameraSample) -> Finding:
    """Compare what a camera gave with what it was asked for."""
    (height, width), rate, grey = found.pixels.shape, found.frames_per_s, float(found.pixels.mean())
    pace = "one frame" if rate is None else f"{rate:.1f} frames a second"
    parts = [f"{capture.name}: {width} x {height}, {pace}, mean grey level {grey:.0f}", *_complaints(capture, found)]
    figures = {"width": width, "height": height, "frames_per_s": rate and round(rate, 2), "grey": round(grey, 1)}
    return Finding("; ".join(parts), "warning" if len(parts) > 1 else "ok", figures)


def _complaints(capture: Capture, found: CameraSample) -> Iterator[str]:
    height, width = found.pixels.shape
    if found.pixels.mean() > BRIGHT:
        yield "the image is white: does the camera look into a light?"
    elif (reason := blind_reason(thumbnail_of(found.pixels))) is not None:
        yield f"the image is {reason}: is the camera covered, or the light off?"
    if not isinstance(capture, Picamera2 | V4l2):
        return
    if (width, height) != (capture.width, capture.height):
        yield f"{capture.width} x {capture.height} was asked for (capture.width, capture.height)"
    if found.frames_per_s is not None and found.frames_per_s < SLOW_CAMERA * capture.fps:
        yield f"{capture.fps} a second were asked for (capture.fps); many cameras are slower in little light"


def needed_rate(settings: Settings, camera_rate: float | None) -> float:
    """Detections a second while something moves: ``detect.max_fps``, or what the camera gives if that is less."""
    fps = camera_rate or settings.capture.fps
    return min(settings.detect.max_fps, fps / settings.detect.every)


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """How fast both models ran."""

    needed_per_s: float
    """Frames a second that were wanted."""
    reached_per_s: float
    seconds: float
    """Median time of a frame."""
    core_fraction: float
    """Fraction of a core that was used."""


def run_models(
    detector: Detector,
    check: FaceCheck | None,
    classifier: Classifier,
    pixels: Pixels,
    rate: float,
    seconds: float = MEASURE_S,
) -> ModelSpeed:
    """Run all models on a frame at a rate, frames a second, for some seconds."""
    height, width = pixels.shape
    side = min(width, height) / 4
    face = Detection(Box(width / 2 - side / 2, height / 2 - side / 2, side, side), 0.0)  # no score is too low to check
    faces = [face] * FACES

    def run() -> None:
        detector.detect(pixels)
        if check:
            check.check(pixels, faces)
        classifier.classify(pixels, faces)

    return _at_rate(run, rate, seconds)


def describe_speed(settings: Settings, speed: ModelSpeed) -> Finding:
    """Tell whether the models keep up. Files are replayed at any pace."""
    figures = {key: round(value, 4) for key, value in asdict(speed).items()}
    text = (
        f"{speed.reached_per_s:.1f} frames a second, {speed.needed_per_s:.1f} are needed;"
        f" {1000 * speed.seconds:.1f} ms for a detection and {FACES} faces, {speed.core_fraction:.2f} of a core"
    )
    if speed.reached_per_s >= SLOW_MODELS * speed.needed_per_s or isinstance(settings.capture, File):
        return Finding(text, figures=figures)
    advice = "set detect.bundle to a smaller detector, or lower detect.max_fps"
    return Finding(f"too slow: {text}; {advice}", "FAILED", figures)


def _at_rate(run: Callable[[], object], rate: float, seconds: float) -> ModelSpeed:
    run()  # memory is allocated in the first run
    begin, cpu, times = time.monotonic(), time.process_time(), list[float]()
    while (now := time.monotonic()) < begin + seconds:
        due = begin + len(times) / rate
        if due > now:
            time.sleep(min(due, begin + seconds) - now)
            continue
        run()
        times.append(time.monotonic() - now)
    elapsed = time.monotonic() - begin
    return ModelSpeed(rate, len(times) / elapsed, float(np.median(times)), (time.process_time() - cpu) / elapsed)


def _rate(first: Frame, last: Frame, count: int) -> float | None:
    """Frames a second between two frames, both counted."""
    return (count - 1) / (last.time - first.time) if count > 1 else None
