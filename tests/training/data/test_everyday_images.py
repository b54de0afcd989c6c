"""Everyday images: where the labels of each kind come from, and hard negatives in them."""

import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from edge.values import Detection

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")

IMAGES = "image,width,height,kind,part,licence,source,original_path,note\n"
FACES = "image,x,y,w,h,kind,view,occluded\n"
TEACHER_BOX, UNCERTAIN_BOX = [22.0, 24.0, 28.0, 30.0], [70.0, 70.0, 20.0, 20.0]


def teacher(pixels):
    """A teacher that finds the same two faces in each image, one of them with doubt."""
    boxes = np.array([TEACHER_BOX, UNCERTAIN_BOX], np.float32)
    return boxes, np.tile(np.arange(10, dtype=np.float32), (2, 1)), np.array([1, 0.4], np.float32)


@pytest.fixture
def folder(tmp_path):
    """Four images: without people, a crowd for training, a crowd for validation, and one that only a teacher labels."""
    rows = [
        ("a/0.webp", "no-people", "train"),
        ("b/0.webp", "people", "train"),
        ("b/1.webp", "people", "validation"),
        ("c/0.webp", "unknown", "train"),
    ]
    pixels = cv2.imencode(".webp", np.full((100, 120), 90, np.uint8))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "diverse.zip", "w") as archive:
        for name, _, _ in rows:
            archive.writestr(name, pixels)
    lines = [f"{name},120,100,{kind},{part},MIT,x,y,\n" for name, kind, part in rows]
    (tmp_path / "diverse_images.csv").write_text(IMAGES + "".join(lines))
    drawn = ["20,20,40,40,face,frontal,0", "80,10,20,20,face,profile,1", "5,60,20,20,head,back,0"]
    lines = [f"{name},{row}\n" for name in ("b/0.webp", "b/1.webp") for row in drawn]
    (tmp_path / "diverse_faces.csv").write_text(FACES + "".join(lines))
    return tmp_path


def test_each_kind_of_image_has_its_own_labels(folder):
    """Images without people have no boxes, whatever the teacher finds; crowds have the hand-drawn faces, without backs
    of heads; other images have the teacher's labels.
    """
    from training.data import everyday_images

    background, crowd, held_out, everyday = everyday_images.read(folder, "stop", teacher)
    images = (background, crowd, held_out, everyday)
    assert [image.kind for image in images] == ["background", "crowd", "crowd", "everyday"]
    assert len(background.boxes) == 0
    assert crowd.confidence.tolist() == [1, pytest.approx(everyday_images.OCCLUDED_PROFILE), 0]
    assert crowd.boxes[0].tolist() == TEACHER_BOX, "in the training set, boxes are as tight as the teacher's"
    assert held_out.boxes[0].tolist() == [20, 20, 40, 40], "in the validation set, boxes stay as people drew them"
    assert [image.held_out for image in images] == [False, False, True, False]
    assert everyday.confidence.tolist() == [1, pytest.approx(0.4)]


def test_without_a_teacher_only_images_with_labels_are_used(folder):
    """The faces in an image without labels would be learnt as negatives."""
    from training.data import everyday_images

    assert [image.kind for image in everyday_images.read(folder, "stop", None)] == ["background", "crowd", "crowd"]


def test_a_missing_archive_gives_no_images(tmp_path):
    """``scenes.zip`` alone is enough to train."""
    from training.data import everyday_images

    assert list(everyday_images.read(tmp_path, "stop", teacher)) == []


def test_detections_without_a_label_are_mined_once(folder, tmp_path):
    """A detection on a label, even an uncertain one, is no hard negative; two detections at one place are mined once.
    The cache keeps them.
    """
    from training.data import everyday_images, labelled_images
    from training.data.hard_negatives import MIN_SCORE, mine

    def detect(pixels):
        on_label, on_uncertain = Detection((24, 26, 26, 28), 0.9), Detection((71, 71, 18, 18), 0.9)
        at_one_place = Detection((5, 70, 20, 20), 0.5), Detection((6, 71, 20, 20), 0.6)
        return on_label, on_uncertain, *at_one_place, Detection((50, 60, 9, 9), MIN_SCORE / 2)

    images = [mine([detect], image) for image in everyday_images.read(folder, "stop", teacher)]
    assert [image.mined.tolist() for image in images[2:]] == [[], [[6, 71, 20, 20]]]
    labelled_images.write(tmp_path / "cache.npz", images)
    again = list(labelled_images.read(tmp_path / "cache.npz"))
    assert [image.mined.tolist() for image in again] == [image.mined.tolist() for image in images]
    assert [image.boxes.tolist() for image in again] == [image.boxes.tolist() for image in images]
    assert [image.held_out for image in again] == [False, False, True, False]


def test_published_lists_have_the_expected_columns():
    """The lists that come with the images have the columns and values that are read here."""
    data = os.environ.get("FACETALLY_DATA")
    if not data or not (Path(data) / "diverse_images.csv").exists():
        pytest.skip("needs the everyday images (FACETALLY_DATA)")
    images = pd.read_csv(Path(data) / "diverse_images.csv")
    faces = pd.read_csv(Path(data) / "diverse_faces.csv")
    assert set(images.kind) == {"no-people", "people", "unknown"}
    assert set(images.part) == {"train", "validation"}
    assert set(faces.kind) == {"face", "head"}
    assert set(faces.image) <= set(images.image)
