"""A teacher's several looks at a picture, joined; the real detector on a real face where its file is at hand."""

import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from base.errors import SettingsError
from training.data import detector_data, labelled_images
from training.data.pseudo_labels import Teacher, _joined

DATA = os.environ.get("FACETALLY_DATA")


def rows(*faces):
    """(left, top, side, score) -> rows of a look, landmarks in the box's middle."""
    made = [[x, y, side, side, *([x + side / 2, y + side / 2] * 5), score] for x, y, side, score in faces]
    return np.array(made, np.float32).reshape(-1, 15)


def test_a_face_seen_in_every_look_has_their_mean():
    """The place is nearer to the look that was surer; another face, seen once in three, has a third of its score."""
    boxes, landmarks, scores = _joined([rows((10, 10, 40, 0.9), (100, 10, 30, 0.6)), rows((12, 10, 40, 0.3)), rows()])
    assert scores.tolist() == pytest.approx([0.4, 0.2])
    assert boxes[0].tolist() == pytest.approx([10.2, 10, 40, 40])
    assert landmarks[1].tolist() == pytest.approx([115, 25] * 5)


def test_two_boxes_of_one_look_are_counted_once():
    """What non-maximum suppression left of one face in one look makes it no surer."""
    _, _, scores = _joined([rows((10, 10, 40, 0.8), (11, 11, 40, 0.7)), rows()])
    assert scores.tolist() == pytest.approx([0.4])


def test_nothing_seen_is_no_face():
    """Empty looks, empty arrays of the right shapes."""
    boxes, landmarks, scores = _joined([rows(), rows()])
    assert (boxes.shape, landmarks.shape, scores.shape) == ((0, 4), (0, 10), (0,))


def test_boxes_people_drew_become_the_teachers():
    """The teacher's box of the same face, once; a head that it did not find keeps its middle and gets three quarters of
    its sides; a box that is far smaller is another's.
    """
    human = np.array([[10, 10, 40, 60], [40, 10, 40, 60], [200, 100, 40, 60], [300, 0, 100, 100]], np.float32)
    teacher = np.array([[16, 20, 28, 44], [340, 40, 20, 20]], np.float32)
    made = labelled_images.tighten_boxes(human, teacher)
    assert made.tolist() == [[16, 20, 28, 44], [45, 17.5, 30, 45], [205, 107.5, 30, 45], [312.5, 12.5, 75, 75]]
    assert labelled_images.tighten_boxes(human, teacher[:0])[0].tolist() == [15, 17.5, 30, 45]
    assert human[0].tolist() == [10, 10, 40, 60]


def test_a_file_that_is_no_detector_is_named(tmp_path):
    """The key of the recipe and the file are in the message."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(SettingsError, match=r"model\.teacher: .*broken\.onnx"):
        Teacher(broken)


@pytest.mark.skipif(not DATA, reason="FACETALLY_DATA is not set: the teacher's file is there")
def test_the_teacher_finds_a_face_and_its_mirror_image(portrait):
    """Eyes, nose and mouth too; in the mirror the right eye is the one that was left."""
    teacher = Teacher(next(Path(DATA).glob("peers/yunet*.onnx")))
    picture = cv2.imread(str(portrait))
    boxes, landmarks, confidence = teacher.faces(picture)
    there, points, again = teacher.faces(np.ascontiguousarray(picture[:, ::-1]))
    assert (confidence == 1).sum() == 1 == (again == 1).sum()
    x, y, w, h = boxes[0]
    assert x < 224 < x + w
    assert y < 115 < y + h
    assert there[0].tolist() == pytest.approx([512 - x - w, y, w, h], abs=1)
    (right, _), (left, _) = landmarks[0].reshape(5, 2)[:2]
    assert right + w / 4 < left  # not exchanged, nor both in the middle
    mirrored = landmarks[0].reshape(5, 2)[[1, 0, 2, 4, 3]]
    mirrored[:, 0] = 512 - mirrored[:, 0]
    assert np.abs(points[0].reshape(5, 2) - mirrored).max() < 1


@pytest.mark.skipif(not DATA, reason="FACETALLY_DATA is not set: the teacher's file is there")
def test_what_is_trained_on_is_looked_at_again(portrait, tmp_path):
    """A street scene gets the teacher's faces for those listed, the head people drew on a still gets the teacher's
    box and landmarks, a shelf has none, and what is held back stays as it was listed.
    """
    picture = cv2.imencode(".jpg", cv2.imread(str(portrait)))[1].tobytes()
    held = next(
        f"street/{at}.jpg" for at in range(100) if labelled_images.is_validation(f"street/{at}.jpg", frozenset())
    )
    seen = next(
        f"street/{at}.jpg" for at in range(100) if not labelled_images.is_validation(f"street/{at}.jpg", frozenset())
    )
    drawn = min(labelled_images.validation_list())
    kinds = {held: "street", seen: "street", "labelled/x.jpg": "labelled-still", "shelves/x.jpg": "negative"}
    kinds[drawn] = "labelled-still"
    points = [f"{name}_{axis}" for name in labelled_images.LANDMARKS for axis in "xy"]
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        for name in kinds:
            archive.writestr(name, picture)
    pd.DataFrame({"image": list(kinds), "kind": list(kinds.values()), "expression": ""}).to_csv(tmp_path / "images.csv")
    listed = [(held, 400, 400, 50, 50, 0.9, "yunet"), (seen, 400, 400, 50, 50, 0.9, "yunet")]
    listed.append(("labelled/x.jpg", 160, 30, 130, 180, 1.0, "human"))
    listed.append((drawn, 160, 30, 130, 180, 1.0, "human"))
    table = pd.DataFrame(listed, columns=["image", "x", "y", "w", "h", "score", "source"])
    table[points] = table.x.to_numpy()[:, None] + np.arange(10.0)
    table.loc[table.source == "human", points] = np.nan
    table.to_csv(tmp_path / "faces.csv")

    teacher = Teacher(next(Path(DATA).glob("peers/yunet*.onnx")))
    detector_data.prepare(tmp_path, tmp_path / "cache.npz", "stop", teacher.faces)
    of = {scene.name: scene for scene in labelled_images.read(tmp_path / "cache.npz")}
    assert of[held].boxes.tolist() == [[400, 400, 50, 50]]
    assert of[seen].sure.sum() == 1
    middle = (of[seen].boxes[:, :2] + of[seen].boxes[:, 2:] / 2)[of[seen].sure][0]
    assert middle.tolist() == pytest.approx([224, 115], abs=25)
    still = of["labelled/x.jpg"]
    assert of[drawn].boxes[of[drawn].sure].tolist() == [[160, 30, 130, 180]]
    assert still.boxes[still.sure].tolist() == of[seen].boxes[of[seen].sure].tolist()
    assert np.isfinite(still.landmarks[still.sure]).all()
    assert not len(of["shelves/x.jpg"].boxes)
