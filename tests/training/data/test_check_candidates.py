"""Detections that the face check is trained on: which are taken, how they are labelled, and their cache."""

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from base.errors import SettingsError
from edge.values import Detection

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")


def scene(name, kind, held_out=False, size=(120, 160)):
    """An image of noise without labels."""
    from training.data.labelled_images import LabelledImage, no_labels

    pixels = cv2.resize(np.random.default_rng(len(name)).integers(0, 256, (9, 12), np.uint8), size[::-1])
    return LabelledImage(name, kind, "", pixels, *no_labels(), held_out)


def heads(*rows):
    """Hand-drawn boxes, each with its view."""
    from training.data.check_labels import DrawnHeads

    return DrawnHeads(np.array([box for box, _ in rows], np.float32), np.array([view for _, view in rows]))


BOX = (20.0, 20.0, 40.0, 40.0)


@pytest.mark.parametrize(
    ("box", "view", "teacher", "label"),
    [
        (BOX, "frontal", None, (1.0, 1.0, False)),
        ((25, 25, 30, 30), "frontal", None, (1.0, 1.0, False)),  # from brow to chin
        ((22, 20, 40, 40), "profile", None, (1.0, 1.0, False)),
        ((22, 20, 40, 40), "back", None, (0.0, 2.0, True)),
        ((45, 20, 40, 40), "back", None, None),  # half beside it
        ((35, 35, 6, 6), "frontal", None, None),  # a part of the face
        ((100, 20, 20, 20), "frontal", None, (0.0, 1.0, False)),
        ((100, 20, 20, 20), "frontal", 0.2, (0.0, 1.0, False)),
        ((100, 20, 20, 20), "frontal", 0.3, None),  # perhaps a face that nobody drew
    ],
)
def test_hand_drawn_boxes_label_the_detections_on_them(box, view, teacher, label):
    """A back of a head is a look-alike of double weight, a profile is a face. What is neither on a box nor apart
    from all of them is left out.
    """
    from training.data.check_labels import Label, by_hand

    ask = None if teacher is None else (lambda: np.full(4, teacher, np.float32))
    given = by_hand(np.array(box, np.float32), heads((BOX, view)), ask)
    assert given == (Label(*label) if label else None)


@pytest.mark.parametrize(
    ("score", "teacher", "label"),
    [
        (0.9, [0.9, 0.9, 0.1, 0.1], (1.0, 1.0)),
        (0.3, [0.3, 0.0, 0.0, 0.0], (0.0, 0.6)),
        (0.5, [0.3, 0.0, 0.0, 0.0], None),
        (0.3, [0.4, 0.0, 0.0, 0.0], None),
        (0.3, [0.2, 0.2, 0.2, 0.2], None),
    ],
)
def test_the_teacher_labels_what_it_is_sure_of(score, teacher, label):
    """The mean over the views decides; a look-alike must also be one in each view and for the detector."""
    from training.data.check_labels import Label, by_teacher

    assert by_teacher(score, np.array(teacher, np.float32)) == (Label(*label) if label else None)


def test_detections_are_taken_by_the_kind_of_the_image():
    """Images without people give all detections as look-alikes. Images that nobody labelled need the teacher, are never
    measured on, and give a few detections with a fair score.
    """
    from training.data.check_candidates import collect

    def detect(pixels):
        return [Detection((10 * n, 50, 20, 20), score) for n, score in enumerate((0.05, 0.06, *[0.2] * 9))]

    images = [
        scene("empty", "background"),
        scene("goods", "negative", held_out=True),
        scene("photo", "photo"),
        scene("held photo", "photo", held_out=True),
        scene("crowd", "crowd"),
        scene("held crowd", "crowd", held_out=True),
    ]
    drawn = dict.fromkeys(("crowd", "held crowd"), heads(((0, 50, 20, 20), "frontal")))
    counts = {}
    for name, teacher in (("none", None), ("teacher", lambda pixels, face: np.full(4, 0.8, np.float32))):
        found = list(collect(images, [detect], drawn, teacher))
        counts[name] = {image.name: sum(each.image == image.name for each in found) for image in images}
    assert counts["none"] == {"empty": 11, "goods": 11, "photo": 0, "held photo": 0, "crowd": 9, "held crowd": 10}
    assert counts["teacher"] == counts["none"] | {"photo": 6, "crowd": 0}, "the teacher sees faces that nobody drew"
    assert {each.label.target for each in found if each.image == "photo"} == {1.0}
    assert [each.held_out for each in found if each.image == "goods"] == [True] * 11


def test_a_cache_keeps_detections_as_the_device_sees_them(tmp_path):
    """The network's crop, cut out of a cached crop, is close to that cut out of the image."""
    from contract.card import Crop
    from edge.vision.crop import crop_face
    from training.data import check_candidates

    boxes = [Detection((40, 30, 30, 44), 0.7), Detection((90, 60, 50, 50), 0.2)]
    image = scene("image", "crowd", size=(200, 240))
    drawn = {"image": heads((boxes[0].box, "frontal"))}
    train = list(check_candidates.collect([image], [lambda _: boxes], drawn))
    held = [replace(each, held_out=True) for each in train[:1]]
    check_candidates.write(tmp_path / "cache.npz", [*train, *held], [0.56])
    part = check_candidates.read(tmp_path / "cache.npz", held_out=False)
    assert part.target.tolist() == [1, 0]
    assert part.score.tolist() == pytest.approx([0.7, 0.2])
    assert part.size.tolist() == [44, 50]
    assert part.threshold.tolist() == pytest.approx([0.56, 0.56])
    rule = Crop(margin=0.55, align="none")
    for row, face in enumerate(boxes):
        direct = crop_face(image.pixels, face, rule, (64, 64)).astype(int)
        again = crop_face(part.crop(row), part.in_crop(row), rule, (64, 64)).astype(int)
        assert np.abs(direct - again).mean() < 3
    assert len(check_candidates.read(tmp_path / "cache.npz", held_out=True)) == 1


def test_data_without_faces_or_of_another_task_are_named(tmp_path):
    """Without a look-alike there is nothing to learn; the cache of a detector is not that of a face check."""
    from training.data import check_candidates

    drawn = {"image": heads(((40, 30, 30, 44), "frontal"))}
    only_face = check_candidates.collect(
        [scene("image", "crowd")], [lambda _: [Detection((40, 30, 30, 44), 0.7)]], drawn
    )
    with pytest.raises(SettingsError, match="must hold a detection of a look-alike, hold none"):
        check_candidates.write(tmp_path / "cache.npz", only_face, [0.5])
    np.savez(tmp_path / "other.npz", images=np.zeros(1))
    with pytest.raises(SettingsError, match=r"other\.npz: must be the cache of a face check"):
        check_candidates.read(tmp_path / "other.npz", held_out=True)


def test_hand_drawn_boxes_are_read_from_both_lists(tmp_path):
    """Boxes of people in scenes.zip are frontal; the everyday images name the view."""
    from training.data.check_labels import read_drawn_heads

    (tmp_path / "faces.csv").write_text("image,x,y,w,h,source\na,1,2,3,4,human\na,5,6,7,8,yunet\n")
    rows = "image,x,y,w,h,kind,view,occluded\nb,1,2,3,4,head,back,0\nb,5,6,7,8,face,profile,0\n"
    (tmp_path / "diverse_faces.csv").write_text(rows)
    read = read_drawn_heads(tmp_path)
    assert {name: each.views.tolist() for name, each in read.items()} == {"a": ["frontal"], "b": ["back", "profile"]}
    assert read["b"].boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
