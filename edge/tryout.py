"""Pictures and clips -> what the two models see in them, one row a picture; nothing is counted or sent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.labels import UNKNOWN
from edge.classify import Classifier
from edge.detect import Detector
from edge.errors import ClipError
from edge.replay import PICTURES, clip, read_picture
from edge.settings import File
from edge.words import Expression, Face, Pixels


@dataclass(frozen=True, slots=True)
class Tryout:
    """The models to try: a detector unless pictures are faces already, a classifier unless only faces are asked for."""

    detector: Detector | None
    classifier: Classifier | None

    def rows(self, paths: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Paths of pictures, folders, animations and videos -> one row a picture, in order (see design, commands).

        A frame of a video is named ``PATH#index``. ClipError if a path is none of these.
        """
        for path in paths:
            for name, pixels in pictures(path):
                height, width = pixels.shape
                yield {"image": name, "width": width, "height": height, "faces": self._faces(pixels)}

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


def pictures(path: str) -> Iterator[tuple[str, Pixels]]:
    """A path -> names and grey pixels of the picture, of a folder's pictures, or of all frames of a clip."""
    there = Path(path)
    if there.is_dir():
        names = sorted(name for name in there.iterdir() if name.suffix.lower() in PICTURES)
        if not names:
            raise ClipError(f"{path}: no pictures ({', '.join(sorted(PICTURES))})")
        for inner in names:
            yield from pictures(str(inner))
    elif there.suffix.lower() in PICTURES:
        pixels = read_picture(there)
        if pixels is None:
            raise ClipError(
                f"{path}: not a picture that OpenCV can read" if there.exists() else f"{path}: no such file"
            )
        yield path, pixels
    else:
        for index, frame in enumerate(clip(File(path=path))):
            yield f"{path}#{index}", frame.pixels
