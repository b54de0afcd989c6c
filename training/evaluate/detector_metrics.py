"""A detector and pictures it was not trained on -> how well it finds faces: small, masked, turned, and none on shelves.

What is measured is any function from grey pixels (h, w) to faces: the device's detector, a float model behind the same
code, or another's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.values import Detection
from training.augment.occlusion import cover
from training.data.labelled_images import Floats, Scene, chooses_threshold, turned
from training.evaluate import scores

Find = Callable[[NDArray[np.uint8]], Sequence[Detection]]
LOWEST = 0.02
"""Curves are drawn of faces found with at least this score."""
SMALLEST = 20.0
"""Labels whose longer side is shorter, pixels of the stored picture, do not count unless it is said otherwise."""
FALSE_ON_SHELVES = 0.01
"""False faces a picture at a threshold, at most, on the shelves where it is chosen and their mirror images."""
SEED = 0
"""The masks of the masked pictures are always the same."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with its labels, and what a detector found in it."""

    scene: Scene
    found: Sequence[Detection]

    def scored(self, smallest: float = SMALLEST, only_turned: bool = False) -> scores.Picture:
        """The labels of this size or more count; of all or of those that are turned."""
        counts = self.scene.sure & (self.scene.boxes[:, 2:].max(1, initial=0) >= smallest)
        return scores.Picture(self.found, self.scene.boxes, counts & turned(self.scene) if only_turned else counts)


def look(find: Find, scenes: Sequence[Scene]) -> list[Shown]:
    """What a detector finds in each scene."""
    return [Shown(scene, find(scene.pixels)) for scene in scenes]


def stills(scenes: Sequence[Scene]) -> list[Scene]:
    """The hand-labelled still pictures."""
    return [scene for scene in scenes if scene.kind == "labelled-still"]


def photos(scenes: Sequence[Scene]) -> list[Scene]:
    """Photographs and street scenes, labelled by the teacher."""
    return [scene for scene in scenes if scene.kind in ("photo", "street")]


def masked(scenes: Sequence[Scene]) -> list[Scene]:
    """Stills and photographs with a mask drawn over every face whose landmarks are known; the others do not count."""
    rng = np.random.default_rng(SEED)
    made = []
    for scene in (*stills(scenes), *photos(scenes)):
        pixels, known = scene.pixels.copy(), np.isfinite(scene.landmarks).all(1)
        if known.any():
            cover(rng, pixels, scene.boxes[known], scene.landmarks[known], 1.0, 0.0)
            made.append(replace(scene, pixels=pixels, likely=scene.likely * known))
    return made


def profiles(scenes: Sequence[Scene]) -> list[Scene]:
    """Stills and photographs in which somebody looks aside."""
    return [scene for scene in (*stills(scenes), *photos(scenes)) if (turned(scene) & scene.sure).any()]


def shelves(scenes: Sequence[Scene], choose: bool) -> list[Scene]:
    """Shop shelves without people: those that thresholds are chosen on, or those that false faces are counted on."""
    return _empty(scenes, "negative", choose)


def background(scenes: Sequence[Scene], choose: bool) -> list[Scene]:
    """Everyday scenes without people, split likewise."""
    return _empty(scenes, "background", choose)


def _empty(scenes: Sequence[Scene], kind: str, choose: bool) -> list[Scene]:
    return [scene for scene in scenes if scene.kind == kind and chooses_threshold(scene.name) == choose]


def mirrored(scene: Scene) -> Scene:
    """A scene without faces, left and right exchanged."""
    return replace(scene, pixels=np.ascontiguousarray(scene.pixels[:, ::-1]))


def scores(shown: Sequence[Shown]) -> Floats:
    """The scores of all faces found, best first."""
    return np.sort(np.array([face.score for each in shown for face in each.found], np.float32))[::-1]


def threshold(find: Find, held: Sequence[Scene]) -> float:
    """A detector that tells all it finds -> the lowest threshold at which both shelves and everyday scenes without
    people have few enough false faces.
    """
    return max(_threshold_on(find, empty(held, choose=True)) for empty in (shelves, background))


def _threshold_on(find: Find, empty: Sequence[Scene]) -> float:
    choosing = look(find, [*empty, *map(mirrored, empty)])
    return lowest_threshold(scores(choosing), int(FALSE_ON_SHELVES * len(choosing)))


def lowest_threshold(false: Floats, most: int) -> float:
    """Scores of false faces -> the lowest threshold, in hundredths and at least 0.3, that at most so many reach."""
    hundredths = next((at for at in range(30, 100) if (false >= at / 100).sum() <= most), 99)
    return hundredths / 100


def figures(find: Find, scenes: Sequence[Scene], threshold: float) -> dict[str, float]:
    """A detector that tells all it finds down to a low score, held-back scenes -> its figures at all thresholds and at
    the one given.
    """
    curves = dict(_curves(find, scenes))
    on_background = background(scenes, choose=False)
    return {
        **{f"{name}.ap": curve.average_precision() for name, curve in curves.items()},
        "stills.recall_at_0.1_false": curves["stills"].recall_at(0.1),
        "stills.recall_at_0.3_false": curves["stills"].recall_at(0.3),
        "stills.recall": curves["stills"].recall_over(threshold),
        "photos.recall": curves["photos"].recall_over(threshold),
        "shelves.false_per_picture": _false_rate(find, shelves(scenes, choose=False), threshold),
        **({"background.false_per_picture": _false_rate(find, on_background, threshold)} if on_background else {}),
    }


def _false_rate(find: Find, empty: Sequence[Scene], threshold: float) -> float:
    return int((scores(look(find, empty)) >= threshold).sum()) / max(len(empty), 1)


def _curves(find: Find, scenes: Sequence[Scene]) -> Iterator[tuple[str, scores.Curve]]:
    on_stills = look(find, stills(scenes))
    yield "stills", scores.curve([each.scored() for each in on_stills])
    for smallest in (12, 40):
        yield f"stills_{smallest}px", scores.curve([each.scored(smallest) for each in on_stills])
    yield "masked", scores.curve([each.scored() for each in look(find, masked(scenes))])
    yield "turned", scores.curve([each.scored(only_turned=True) for each in look(find, profiles(scenes))])
    if crowds := [scene for scene in scenes if scene.kind == "crowd"]:
        yield "crowds", scores.curve([each.scored(16) for each in look(find, crowds)])
    yield "photos", scores.curve([each.scored(0) for each in look(find, photos(scenes))])


def curves(find: Find, scenes: Sequence[Scene]) -> dict[str, scores.Curve]:
    """The curves of a report, by the name of the set."""
    return {name: curve for name, curve in _curves(find, scenes) if "px" not in name}
