"""Run the two models on images and clips, and describe each image as one JSON object; nothing is counted or sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.labels import UNKNOWN
from edge.camera.file_source import IMAGE_SUFFIXES, read_frames, read_image
from edge.camera_settings import File
from edge.errors import ClipError
from edge.values import Detection, Expression, Pixels
from edge.vision.classify import Classifier
from edge.vision.detect import Detector


@dataclass(frozen=True, slots=True)
class ImageAnalyzer:
    """Runs the models on single images, without tracking."""

    detector: Detector | None
    """None if every image is one cropped face."""
    classifier: Classifier | None
    """None to detect faces only."""

    def rows(self, file: str) -> Iterator[dict[str, Any]]:
        """One row per image of a file: ``image``, ``width``, ``height``, ``faces``.

        The file is an image, a folder of images, an animation or a video. A frame of a clip is named ``PATH#index``.
        Raises ClipError if the file cannot be read or is cut off.
        """
        for name, pixels in read_images(file):
            height, width = pixels.shape
            yield {"image": name, "width": width, "height": height, "faces": self._faces(pixels)}

    def _faces(self, pixels: Pixels) -> list[dict[str, Any]]:
        if self.detector is None:
            assert self.classifier is not None
            (expression,) = self.classifier.classify_crops([pixels])
            return [self._face(None, expression)]
        detections = self.detector.detect(pixels)
        if self.classifier is None:
            return [self._face(detection, None) for detection in detections]
        expressions = self.classifier.classify(pixels, detections)
        return [self._face(*each) for each in zip(detections, expressions, strict=True)]

    def _face(self, detection: Detection | None, expression: Expression | None) -> dict[str, Any]:
        """One face as JSON. A crop, which has no detection, is never ``unknown``."""
        row: dict[str, Any] = {
            "box": [round(value, 1) for value in detection.box] if detection else None,
            "score": round(detection.score, 4) if detection else None,
        }
        if expression is not None:
            assert self.classifier is not None
            labels = self.classifier.card.labels
            probabilities = dict(zip(labels, expression.probabilities, strict=True))
            best = max(zip(expression.probabilities, labels, strict=True))[1]
            row["expression"] = best if expression.good or detection is None else UNKNOWN
            row["probabilities"] = {label: round(probability, 4) for label, probability in probabilities.items()}
        return row


def image_paths(paths: Sequence[str]) -> Iterator[str]:
    """Replace every folder by the images in it, sorted by name. A folder without images stays as it is."""
    for path in paths:
        inside = Path(path).iterdir() if Path(path).is_dir() else ()
        names = sorted(str(each) for each in inside if each.suffix.lower() in IMAGE_SUFFIXES)
        yield from names or [path]


def is_clip(file: str) -> bool:
    """Whether a file is read as a clip, not as one image."""
    path = Path(file)
    return not (path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def read_images(file: str) -> Iterator[tuple[str, Pixels]]:
    """Read an image, or all frames of a clip: name and grey pixels (height, width). Raises ClipError on bad files."""
    if not is_clip(file):
        pixels = read_image(Path(file))
        if pixels is None:
            raise ClipError(f"{file}: must be an image that OpenCV can read")
        yield file, pixels
    else:
        for index, frame in enumerate(read_frames(File(path=file))):
            yield f"{file}#{index}", frame.pixels
