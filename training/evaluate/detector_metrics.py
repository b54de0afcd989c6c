"""A detector and pictures it was not trained on -> how well it finds faces: small, masked, turned, and none on shelves.

What is measured is any function from grey pixels (h, w) to faces: the device's detector, a float model behind the same
code, or another's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.values import Face
from training.augment.occlusion import cover
from training.data.labelled_images import Floats, Scene, chooses_threshold, turned
from training.evaluate import precision_recall

Detect = Callable[[NDArray[np.uint8]], Sequence[Face]]
MIN_SCORE = 0.02
"""Curves are drawn of faces found with at least this score."""
MIN_SIDE = 20.0
"""Labels whose longer side is shorter, pixels of the stored picture, do not count unless it is said otherwise."""
MAX_FALSE_PER_NEGATIVE = 0.01
"""False faces a picture at a threshold, at most, on the shelves where it is chosen and their mirror images."""
SEED = 0
"""The masks of the masked pictures are always the same."""


@dataclass(frozen=True, slots=True)
class SceneDetections:
    """A picture with its labels, and what a detector found in it."""

    scene: Scene
    found: Sequence[Face]

    def scored(self, smallest: float = MIN_SIDE, only_turned: bool = False) -> precision_recall.ImageDetections:
        """The labels of this size or more count; of all or of those that are turned."""
        counts = self.scene.sure & (self.scene.boxes[:, 2:].max(1, initial=0) >= smallest)
        return precision_recall.ImageDetections(self.found, self.scene.boxes, counts & turned(self.scene) if only_turned else counts)


def detect_all(find: Detect, scenes: Sequence[Scene]) -> list[SceneDetections]:
    """What a detector finds in each scene."""
    return [SceneDetections(scene, find(scene.pixels)) for scene in scenes]


def hand_labelled(scenes: Sequence[Scene]) -> list[Scene]:
    """The hand-labelled still pictures."""
    return [scene for scene in scenes if scene.kind == "labelled-still"]


def photographs(scenes: Sequence[Scene]) -> list[Scene]:
    """Photographs and street scenes, labelled by the teacher."""
    return [scene for scene in scenes if scene.kind in ("photo", "street")]


def with_masks(scenes: Sequence[Scene]) -> list[Scene]:
    """Stills and photographs with a mask drawn over every face whose landmarks are known; the others do not count."""
    rng = np.random.default_rng(SEED)
    made = []
    for scene in (*hand_labelled(scenes), *photographs(scenes)):
        pixels, known = scene.pixels.copy(), np.isfinite(scene.landmarks).all(1)
        if known.any():
            cover(rng, pixels, scene.boxes[known], scene.landmarks[known], 1.0, 0.0)
            made.append(replace(scene, pixels=pixels, likely=scene.likely * known))
    return made


def with_turned_faces(scenes: Sequence[Scene]) -> list[Scene]:
    """Stills and photographs in which somebody looks aside."""
    return [scene for scene in (*hand_labelled(scenes), *photographs(scenes)) if (turned(scene) & scene.sure).any()]


def shop_negatives(scenes: Sequence[Scene], choose: bool) -> list[Scene]:
    """Shop shelves without people: those that thresholds are chosen on, or those that false faces are counted on."""
    return _empty(scenes, "negative", choose)


def everyday_negatives(scenes: Sequence[Scene], choose: bool) -> list[Scene]:
    """Everyday scenes without people, split likewise."""
    return _empty(scenes, "background", choose)


def _empty(scenes: Sequence[Scene], kind: str, choose: bool) -> list[Scene]:
    return [scene for scene in scenes if scene.kind == kind and chooses_threshold(scene.name) == choose]


def mirrored(scene: Scene) -> Scene:
    """A scene without faces, left and right exchanged."""
    return replace(scene, pixels=np.ascontiguousarray(scene.pixels[:, ::-1]))


def all_scores(shown: Sequence[SceneDetections]) -> Floats:
    """The scores of all faces found, best first."""
    return np.sort(np.array([face.score for each in shown for face in each.found], np.float32))[::-1]


def choose_threshold(find: Detect, held: Sequence[Scene]) -> float:
    """A detector that tells all it finds -> the lowest threshold at which both shelves and everyday scenes without
    people have few enough false faces.
    """
    return max(_threshold_on(find, empty(held, choose=True)) for empty in (shop_negatives, everyday_negatives))


def _threshold_on(find: Detect, empty: Sequence[Scene]) -> float:
    choosing = detect_all(find, [*empty, *map(mirrored, empty)])
    return lowest_threshold(all_scores(choosing), int(MAX_FALSE_PER_NEGATIVE * len(choosing)))


def lowest_threshold(false: Floats, most: int) -> float:
    """Scores of false faces -> the lowest threshold, in hundredths and at least 0.3, that at most so many reach."""
    hundredths = next((at for at in range(30, 100) if (false >= at / 100).sum() <= most), 99)
    return hundredths / 100


def figures(find: Detect, scenes: Sequence[Scene], choose_threshold: float) -> dict[str, float]:
    """A detector that tells all it finds down to a low score, held-back scenes -> its figures at all thresholds and at
    the one given.
    """
    curves = dict(_curves(find, scenes))
    on_background = everyday_negatives(scenes, choose=False)
    return {
        **{f"{name}.ap": curve.average_precision() for name, curve in curves.items()},
        "stills.recall_at_0.1_false": curves["stills"].recall_at(0.1),
        "stills.recall_at_0.3_false": curves["stills"].recall_at(0.3),
        "stills.recall": curves["stills"].recall_over(choose_threshold),
        "photos.recall": curves["photos"].recall_over(choose_threshold),
        "shelves.false_per_picture": _false_rate(find, shop_negatives(scenes, choose=False), choose_threshold),
        **({"background.false_per_picture": _false_rate(find, on_background, choose_threshold)} if on_background else {}),
    }


def _false_rate(find: Detect, empty: Sequence[Scene], choose_threshold: float) -> float:
    return int((all_scores(detect_all(find, empty)) >= choose_threshold).sum()) / max(len(empty), 1)


def _curves(find: Detect, scenes: Sequence[Scene]) -> Iterator[tuple[str, precision_recall.Curve]]:
    on_stills = detect_all(find, hand_labelled(scenes))
    yield "stills", precision_recall.curve([each.scored() for each in on_stills])
    for smallest in (12, 40):
        yield f"stills_{smallest}px", precision_recall.curve([each.scored(smallest) for each in on_stills])
    yield "masked", precision_recall.curve([each.scored() for each in detect_all(find, with_masks(scenes))])
    yield "turned", precision_recall.curve([each.scored(only_turned=True) for each in detect_all(find, with_turned_faces(scenes))])
    if crowds := [scene for scene in scenes if scene.kind == "crowd"]:
        yield "crowds", precision_recall.curve([each.scored(16) for each in detect_all(find, crowds)])
    yield "photos", precision_recall.curve([each.scored(0) for each in detect_all(find, photographs(scenes))])


def curves(find: Detect, scenes: Sequence[Scene]) -> dict[str, precision_recall.Curve]:
    """The curves of a report, by the name of the set."""
    return {name: curve for name, curve in _curves(find, scenes) if "px" not in name}
