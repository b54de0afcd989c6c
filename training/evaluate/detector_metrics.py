"""Metrics of a face detector on held-out images: small, masked and turned faces, and false detections.

A detector here is any function from grey pixels (h, w) to faces: the device's detector, a float model behind the same
code, or another project's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.values import Detection
from training.augment.occlusion import occlude_faces
from training.data.labelled_images import Floats, LabelledImage, is_for_threshold, is_turned
from training.evaluate import precision_recall

Detect = Callable[[NDArray[np.uint8]], Sequence[Detection]]
MIN_SCORE = 0.02
"""Lowest score of the detections that curves are made of."""
MIN_SIDE = 20.0
"""Longer side of a label, pixels of the cached image, from which it counts unless said otherwise."""
MAX_FALSE_PER_NEGATIVE = 0.01
"""False detections an image that a threshold may leave on the negatives it is chosen on and their mirror images."""
SEED = 0
"""Seed of the masks that are drawn over faces."""


@dataclass(frozen=True, slots=True)
class SceneDetections:
    """A labelled image and the detections in it."""

    scene: LabelledImage
    detections: Sequence[Detection]

    def with_labels(self, min_side: float = MIN_SIDE, only_turned: bool = False) -> precision_recall.ImageDetections:
        """The detections with the labels that must be detected: of this size or more, all or only turned faces."""
        scene = self.scene
        required = scene.certain & (scene.boxes[:, 2:].max(1, initial=0) >= min_side)
        if only_turned:
            required = required & is_turned(scene)
        return precision_recall.ImageDetections(self.detections, scene.boxes, required)


def detect_all(detect: Detect, scenes: Sequence[LabelledImage]) -> list[SceneDetections]:
    """Run a detector on each image."""
    return [SceneDetections(scene, detect(scene.pixels)) for scene in scenes]


def hand_labelled(scenes: Sequence[LabelledImage]) -> list[LabelledImage]:
    """The photographs with hand-drawn boxes."""
    return [scene for scene in scenes if scene.kind == "labelled-still"]


def photographs(scenes: Sequence[LabelledImage]) -> list[LabelledImage]:
    """The photographs and street scenes that the teacher labelled."""
    return [scene for scene in scenes if scene.kind in ("photo", "street")]


def with_masks(scenes: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Hand-labelled images and photographs with a mask over each face with landmarks; other faces do not count."""
    rng = np.random.default_rng(SEED)
    drawn_over = []
    for scene in (*hand_labelled(scenes), *photographs(scenes)):
        pixels, known = scene.pixels.copy(), np.isfinite(scene.landmarks).all(1)
        if known.any():
            occlude_faces(rng, pixels, scene.boxes[known], scene.landmarks[known], 1.0, 0.0)
            drawn_over.append(replace(scene, pixels=pixels, confidence=scene.confidence * known))
    return drawn_over


def with_turned_faces(scenes: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Hand-labelled images and photographs with a face that is turned aside."""
    both = (*hand_labelled(scenes), *photographs(scenes))
    return [scene for scene in both if (is_turned(scene) & scene.certain).any()]


def shop_negatives(scenes: Sequence[LabelledImage], choose: bool) -> list[LabelledImage]:
    """Images of shop shelves without people: the half that thresholds are chosen on, or the half that is measured."""
    return _negatives(scenes, "negative", choose)


def everyday_negatives(scenes: Sequence[LabelledImage], choose: bool) -> list[LabelledImage]:
    """Everyday images without people, split in the same way."""
    return _negatives(scenes, "background", choose)


def _negatives(scenes: Sequence[LabelledImage], kind: str, choose: bool) -> list[LabelledImage]:
    return [scene for scene in scenes if scene.kind == kind and is_for_threshold(scene.name) == choose]


def mirrored(scene: LabelledImage) -> LabelledImage:
    """The mirror image of a scene without faces."""
    return replace(scene, pixels=np.ascontiguousarray(scene.pixels[:, ::-1]))


def all_scores(images: Sequence[SceneDetections]) -> Floats:
    """Scores of all detections, highest first."""
    return np.sort(np.array([face.score for each in images for face in each.detections], np.float32))[::-1]


def choose_threshold(detect: Detect, held: Sequence[LabelledImage]) -> float:
    """The lowest threshold with few enough false detections on both kinds of negatives.

    ``detect`` must return all detections down to `MIN_SCORE`.
    """
    return max(
        _threshold_on(detect, negatives(held, choose=True)) for negatives in (shop_negatives, everyday_negatives)
    )


def _threshold_on(detect: Detect, negatives: Sequence[LabelledImage]) -> float:
    images = detect_all(detect, [*negatives, *map(mirrored, negatives)])
    return lowest_threshold(all_scores(images), int(MAX_FALSE_PER_NEGATIVE * len(images)))


def lowest_threshold(false_scores: Floats, most: int) -> float:
    """The lowest threshold, in hundredths and at least 0.3, that at most ``most`` false detections reach."""
    hundredths = next((each for each in range(30, 100) if (false_scores >= each / 100).sum() <= most), 99)
    return hundredths / 100


def figures(detect: Detect, scenes: Sequence[LabelledImage], min_score: float) -> dict[str, float]:
    """Metrics on held-out images, over all thresholds and at ``min_score``, by their names on a card.

    ``detect`` must return all detections down to `MIN_SCORE`.
    """
    curves = dict(_curves(detect, scenes))
    everyday = everyday_negatives(scenes, choose=False)
    return {
        **{f"{name}.ap": curve.average_precision() for name, curve in curves.items()},
        "stills.recall_at_0.1_false": curves["stills"].recall_at(0.1),
        "stills.recall_at_0.3_false": curves["stills"].recall_at(0.3),
        "stills.recall": curves["stills"].recall_over(min_score),
        "photos.recall": curves["photos"].recall_over(min_score),
        "shelves.false_per_picture": _false_rate(detect, shop_negatives(scenes, choose=False), min_score),
        **({"background.false_per_picture": _false_rate(detect, everyday, min_score)} if everyday else {}),
    }


def validation(detect: Detect, scenes: Sequence[LabelledImage]) -> dict[str, float]:
    """Metrics that are cheap enough for each epoch."""
    curve = precision_recall.curve([each.with_labels() for each in detect_all(detect, scenes)])
    return {"average_precision": curve.average_precision(), "recall_at_0.1_false": curve.recall_at(0.1)}


def _false_rate(detect: Detect, negatives: Sequence[LabelledImage], min_score: float) -> float:
    return int((all_scores(detect_all(detect, negatives)) >= min_score).sum()) / max(len(negatives), 1)


def _curves(detect: Detect, scenes: Sequence[LabelledImage]) -> Iterator[tuple[str, precision_recall.Curve]]:
    labelled = detect_all(detect, hand_labelled(scenes))
    yield "stills", precision_recall.curve([each.with_labels() for each in labelled])
    for min_side in (12, 40):
        yield f"stills_{min_side}px", precision_recall.curve([each.with_labels(min_side) for each in labelled])
    behind_masks = detect_all(detect, with_masks(scenes))
    yield "masked", precision_recall.curve([each.with_labels() for each in behind_masks])
    turned_faces = detect_all(detect, with_turned_faces(scenes))
    yield "turned", precision_recall.curve([each.with_labels(only_turned=True) for each in turned_faces])
    if crowds := [scene for scene in scenes if scene.kind == "crowd"]:
        yield "crowds", precision_recall.curve([each.with_labels(16) for each in detect_all(detect, crowds)])
    by_teacher = detect_all(detect, photographs(scenes))
    yield "photos", precision_recall.curve([each.with_labels(0) for each in by_teacher])


def curves(detect: Detect, scenes: Sequence[LabelledImage]) -> dict[str, precision_recall.Curve]:
    """Precision-recall curves of a report, by set of images."""
    return {name: curve for name, curve in _curves(detect, scenes) if "px" not in name}
