"""Pictures and clips -> what the two models see in them, one row a picture; nothing is counted or sent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.labels import UNKNOWN
from edge.camera.file_source import PICTURES, clip, read_picture
from edge.errors import ClipError
from edge.settings import File
from edge.values import Expression, Face, Pixels
from edge.vision.classify import Classifier
from edge.vision.detect import Detector


@dataclass(frozen=True, slots=True)
class Tryout:
    """The models to try: a detector unless pictures are faces already, a classifier unless only faces are asked for."""

    detector: Detector | None
    classifier: Classifier | None

    def rows(self, paths: Sequence[str], broken: Callable[[ClipError], None]) -> Iterator[dict[str, Any]]:
        """Paths of pictures, folders, animations and videos -> one row a picture, in order (see design, commands).

        A frame of a video is named ``PATH#index``. ``broken`` is told of each file that is no such thing or is cut off;
        the others are seen all the same.
        """
        for file in image_paths(paths):
            try:
                for name, pixels in read_images(file):
                    height, width = pixels.shape
                    yield {"image": name, "width": width, "height": height, "faces": self._faces(pixels)}
            except ClipError as error:
                broken(error)

    def _faces(self, pixels: Pixels) -> list[dict[str, Any]]:
        if self.detector is None:
            assert self.classifier is not None
            (look,) = self.classifier.classify_crops([pixels])
            return [self._face(None, look, unknown=False)]
        faces = self.detector.detect(pixels)
        if self.classifier is None:
            return [self._face(face, None) for face in faces]
        looks = self.classifier.classify(pixels, faces)
        return [self._face(face, look) for face, look in zip(faces, looks, strict=True)]

    def _face(self, face: Face | None, look: Expression | None, unknown: bool = True) -> dict[str, Any]:
        row: dict[str, Any] = {
            "box": [round(value, 1) for value in face.box] if face else None,
            "score": round(face.score, 4) if face else None,
        }
        if look is not None:
            assert self.classifier is not None
            labels = self.classifier.card.labels
            best = max(zip(look.probabilities, labels, strict=True))[1]
            row["expression"] = best if look.good or not unknown else UNKNOWN
            row["probabilities"] = {
                label: round(share, 4) for label, share in zip(labels, look.probabilities, strict=True)
            }
        return row


def image_paths(paths: Sequence[str]) -> Iterator[str]:
    """Paths, a folder's pictures by name in the place of the folder; one without any stays as it is."""
    for path in paths:
        inside = Path(path).iterdir() if Path(path).is_dir() else ()
        names = sorted(str(each) for each in inside if each.suffix.lower() in PICTURES)
        yield from names or [path]


def read_images(file: str) -> Iterator[tuple[str, Pixels]]:
    """A file -> name and grey pixels of the picture, or of all frames of a clip. ClipError if it is neither."""
    path = Path(file)
    if path.suffix.lower() in PICTURES and path.is_file():
        pixels = read_picture(path)
        if pixels is None:
            raise ClipError(f"{file}: not a picture that OpenCV can read")
        yield file, pixels
    else:
        for index, frame in enumerate(clip(File(path=file))):
            yield f"{file}#{index}", frame.pixels
