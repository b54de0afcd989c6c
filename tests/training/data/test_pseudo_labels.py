"""A teacher's detections in several views are merged; hand-drawn boxes are fitted to the teacher's."""

import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from base.errors import SettingsError
from training.data import detector_data, hand_labels, labelled_images
from training.data.pseudo_labels import Teacher, _merge

DATA = os.environ.get("FACETALLY_DATA")
needs_teacher = pytest.mark.skipif(not DATA, reason="needs the teacher's file (FACETALLY_DATA)")


def rows(*faces):
    """Rows of a view from (left, top, side, score), with all landmarks in the centre of the box."""
    values = [[x, y, side, side, *([x + side / 2, y + side / 2] * 5), score] for x, y, side, score in faces]
    return np.array(values, np.float32).reshape(-1, 15)


def test_a_face_found_in_every_view_gets_the_mean():
    """Its box is nearer to that of the view with the higher score. A face found in one of three views has a third of
    its score.
    """
    boxes, landmarks, scores = _merge([rows((10, 10, 40, 0.9), (100, 10, 30, 0.6)), rows((12, 10, 40, 0.3)), rows()])
    assert scores.tolist() == pytest.approx([0.4, 0.2])
    assert boxes[0].tolist() == pytest.approx([10.2, 10, 40, 40])
    assert landmarks[1].tolist() == pytest.approx([115, 25] * 5)


def test_two_boxes_of_one_view_are_counted_once():
    """Two detections of one face in one view do not raise its score."""
    _, _, scores = _merge([rows((10, 10, 40, 0.8), (11, 11, 40, 0.7)), rows()])
    assert scores.tolist() == pytest.approx([0.4])


def test_views_without_detections_give_no_faces():
    """The arrays are empty and have the right shapes."""
    boxes, landmarks, scores = _merge([rows(), rows()])
    assert (boxes.shape, landmarks.shape, scores.shape) == ((0, 4), (0, 10), (0,))


def test_hand_drawn_boxes_become_the_teachers():
    """The teacher's box of the same face is used once. A head that the teacher missed keeps its centre and gets three
    quarters of its sides. A far smaller box is another face.
    """
    human = np.array([[10, 10, 40, 60], [40, 10, 40, 60], [200, 100, 40, 60], [300, 0, 100, 100]], np.float32)
    teacher = np.array([[16, 20, 28, 44], [340, 40, 20, 20]], np.float32)
    boxes = hand_labels.tighten_boxes(human, teacher)
    assert boxes.tolist() == [[16, 20, 28, 44], [45, 17.5, 30, 45], [205, 107.5, 30, 45], [312.5, 12.5, 75, 75]]
    assert hand_labels.tighten_boxes(human, teacher[:0])[0].tolist() == [15, 17.5, 30, 45]
    assert human[0].tolist() == [10, 10, 40, 60]


def test_a_file_that_is_no_detector_is_named(tmp_path):
    """The message has the key of the recipe and the file."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(SettingsError, match=r"model\.teacher: .*broken\.onnx must be a YuNet detector"):
        Teacher(broken)


@needs_teacher
def test_the_teacher_finds_a_face_and_its_mirror_image(portrait):
    """Box and landmarks are mirrored, and the right and left landmarks exchanged."""
    teacher = Teacher(next(Path(DATA).glob("peers/yunet*.onnx")))
    image = cv2.imread(str(portrait))
    boxes, landmarks, confidence = teacher.faces(image)
    mirrored_boxes, mirrored_landmarks, again = teacher.faces(np.ascontiguousarray(image[:, ::-1]))
    assert (confidence == 1).sum() == 1 == (again == 1).sum()
    x, y, w, h = boxes[0]
    assert x < 224 < x + w
    assert y < 115 < y + h
    assert mirrored_boxes[0].tolist() == pytest.approx([512 - x - w, y, w, h], abs=1)
    (right, _), (left, _) = landmarks[0].reshape(5, 2)[:2]
    assert right + w / 4 < left  # neither exchanged nor both in the middle
    expected = landmarks[0].reshape(5, 2)[[1, 0, 2, 4, 3]]
    expected[:, 0] = 512 - expected[:, 0]
    assert np.abs(mirrored_landmarks[0].reshape(5, 2) - expected).max() < 1


def write_scenes(folder, image, kinds, faces):
    """Write scenes.zip with the same ``image`` under each name in ``kinds``, and the lists."""
    with zipfile.ZipFile(folder / "scenes.zip", "w") as archive:
        for name in kinds:
            archive.writestr(name, image)
    pd.DataFrame({"image": list(kinds), "kind": list(kinds.values()), "expression": ""}).to_csv(folder / "images.csv")
    points = [f"{name}_{axis}" for name in labelled_images.LANDMARKS for axis in "xy"]
    table = pd.DataFrame(faces, columns=["image", "x", "y", "w", "h", "score", "source"])
    table[points] = table.x.to_numpy()[:, None] + np.arange(10.0)
    table.loc[table.source == "human", points] = np.nan
    table.to_csv(folder / "faces.csv")


@needs_teacher
def test_training_images_are_labelled_anew(portrait, tmp_path):
    """A street image gets the teacher's faces in place of the listed ones. The hand-drawn head gets the teacher's box
    and landmarks. A negative gets none, and held-out images keep their listed labels.
    """
    image = cv2.imencode(".jpg", cv2.imread(str(portrait)))[1].tobytes()
    names = [f"street/{number}.jpg" for number in range(100)]
    held_out = next(name for name in names if labelled_images.is_validation(name, frozenset()))
    street = next(name for name in names if not labelled_images.is_validation(name, frozenset()))
    held_out_hand = min(labelled_images.validation_list())
    kinds = {held_out: "street", street: "street", "shelves/x.jpg": "negative"}
    kinds |= {"labelled/x.jpg": "labelled-still", held_out_hand: "labelled-still"}
    faces = [(name, 400, 400, 50, 50, 0.9, "yunet") for name in (held_out, street)]
    faces += [(name, 160, 30, 130, 180, 1.0, "human") for name in ("labelled/x.jpg", held_out_hand)]
    write_scenes(tmp_path, image, kinds, faces)

    teacher = Teacher(next(Path(DATA).glob("peers/yunet*.onnx")))
    detector_data.prepare(tmp_path, tmp_path / "cache.npz", "stop", teacher.faces)
    images = {each.name: each for each in labelled_images.read(tmp_path / "cache.npz")}
    assert images[held_out].boxes.tolist() == [[400, 400, 50, 50]]
    boxes = images[street].boxes[images[street].certain]
    assert (boxes[0, :2] + boxes[0, 2:] / 2).tolist() == pytest.approx([224, 115], abs=25)
    assert len(boxes) == 1
    hand = images["labelled/x.jpg"]
    assert images[held_out_hand].boxes[images[held_out_hand].certain].tolist() == [[160, 30, 130, 180]]
    assert hand.boxes[hand.certain].tolist() == boxes.tolist()
    assert np.isfinite(hand.landmarks[hand.certain]).all()
    assert not len(images["shelves/x.jpg"].boxes)
