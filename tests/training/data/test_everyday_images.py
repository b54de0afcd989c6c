"""What everyday images are to the detector's training: labels, hard negatives, and a network that grows."""

import os
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest

from edge.values import Face

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")

IMAGES = "image,width,height,kind,part,licence,source,original_path,note\n"
FACES = "image,x,y,w,h,kind,view,occluded\n"
TEACHER_BOX, DOUBT_BOX = [22.0, 24.0, 28.0, 30.0], [70.0, 70.0, 20.0, 20.0]


def teacher(pixels):
    """A teacher that sees the same two faces in each image."""
    boxes = np.array([TEACHER_BOX, DOUBT_BOX], np.float32)
    return boxes, np.tile(np.arange(10, dtype=np.float32), (2, 1)), np.array([1, 0.4], np.float32)


@pytest.fixture
def folder(tmp_path):
    """Four images: without people, a crowd to train on and one for validation, and one that only a teacher labels."""
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


def test_each_kind_of_image_has_labels_of_its_own(folder):
    """Without people: no box, whatever the teacher sees. Crowds: people's faces, without backs of heads. Others: the
    teacher's.
    """
    from training.data import everyday_images

    background, crowd, held, everyday = everyday_images.read(folder, "stop", teacher)
    assert [scene.kind for scene in (background, crowd, held, everyday)] == ["background", "crowd", "crowd", "everyday"]
    assert len(background.boxes) == 0
    assert crowd.confidence.tolist() == [1, pytest.approx(everyday_images.OCCLUDED_PROFILE), 0]
    assert crowd.boxes[0].tolist() == TEACHER_BOX, "a face that is trained on is as tight as the teacher's"
    assert held.boxes[0].tolist() == [20, 20, 40, 40], "one that is measured on is as people drew it"
    assert [scene.held_out for scene in (background, crowd, held, everyday)] == [False, False, True, False]
    assert everyday.confidence.tolist() == [1, pytest.approx(0.4)]


def test_without_a_teacher_only_images_with_labels_are_used(folder):
    """An image that nobody labelled would teach that its faces are none."""
    from training.data import everyday_images

    assert [scene.kind for scene in everyday_images.read(folder, "stop", None)] == ["background", "crowd", "crowd"]


def test_an_archive_that_is_not_there_gives_no_images(tmp_path):
    """scenes.zip alone is enough to train."""
    from training.data import everyday_images

    assert list(everyday_images.read(tmp_path, "stop", teacher)) == []


def test_what_no_box_explains_is_mined_once(folder, tmp_path):
    """Detections on labels, even doubtful ones, are no hard negatives; two on one place are one; a cache keeps them."""
    from training.data import everyday_images, labelled_images
    from training.data.hard_negatives import MIN_SCORE, mine

    def find(pixels):
        on_label, on_doubt = Face((24, 26, 26, 28), 0.9), Face((71, 71, 18, 18), 0.9)
        return (
            on_label,
            on_doubt,
            Face((5, 70, 20, 20), 0.5),
            Face((6, 71, 20, 20), 0.6),
            Face((50, 60, 9, 9), MIN_SCORE / 2),
        )

    made = [mine([find], scene) for scene in everyday_images.read(folder, "stop", teacher)]
    assert [scene.mined.tolist() for scene in made[2:]] == [[], [[6, 71, 20, 20]]]
    labelled_images.write(tmp_path / "cache.npz", made)
    again = list(labelled_images.read(tmp_path / "cache.npz"))
    assert [scene.mined.tolist() for scene in again] == [scene.mined.tolist() for scene in made]
    assert [scene.boxes.tolist() for scene in again] == [scene.boxes.tolist() for scene in made]
    assert [scene.held_out for scene in again] == [False, False, True, False]


def test_a_larger_network_begins_with_the_answers_of_the_smaller():
    """Grown weights give the same numbers, so that nothing learnt is lost."""
    import keras

    from training.networks.architectures import LEVELS_BEFORE_2, face_detector
    from training.networks.grow import grow_detector

    keras.utils.set_random_seed(3)
    small, large = face_detector(detail=LEVELS_BEFORE_2), face_detector()
    rng = np.random.default_rng(0)
    for norm in (layer for layer in small.layers if isinstance(layer, keras.layers.BatchNormalization)):
        norm.set_weights([rng.uniform(0.5, 1.5, each.shape) for each in norm.get_weights()])
    grow_detector(small, large, LEVELS_BEFORE_2)
    pixels = rng.integers(0, 256, (1, 96, 128, 1)).astype(np.float32)
    before, after = (np.asarray(model(pixels)) for model in (small, large))
    assert np.abs(before - after).max() < 1e-4 * np.abs(before).max()
    assert large.count_params() > small.count_params()


def test_a_threshold_keeps_both_shelves_and_everyday_scenes_free():
    """The kind of image with more look-alikes decides."""
    from training.data.labelled_images import LabelledImage, no_labels
    from training.evaluate import detector_metrics

    names = [f"{at}" for at in range(400)]
    names = [name for name in names if detector_metrics.chooses_threshold(name)][:100]
    empty = [
        LabelledImage(name, kind, "", np.full((8, 8), shade, np.uint8), *no_labels(), True)
        for kind, shade in (("negative", 0), ("background", 255))
        for name in names
    ]

    def find(pixels):
        return [Face((0, 0, 4, 4), 0.8 if pixels[0, 0] else 0.5)]

    assert detector_metrics.choose_threshold(find, empty) == pytest.approx(0.81)


def test_the_list_of_columns_is_that_of_the_published_files(request):
    """The published lists have the columns that are read here."""
    import os
    from pathlib import Path

    data = os.environ.get("FACETALLY_DATA")
    if not data or not (Path(data) / "diverse_images.csv").exists():
        pytest.skip("needs the everyday images (FACETALLY_DATA)")
    images = pd.read_csv(Path(data) / "diverse_images.csv")
    faces = pd.read_csv(Path(data) / "diverse_faces.csv")
    assert set(images.kind) == {"no-people", "people", "unknown"}
    assert set(images.part) == {"train", "validation"}
    assert set(faces.kind) == {"face", "head"}
    assert set(faces.image) <= set(images.image)


def test_a_report_tells_what_a_detector_finds_and_what_it_takes_for_faces():
    """A detector that finds one of two faces, and something in one of four images without people."""
    from benchmarks.accuracy.everyday import Held, report
    from benchmarks.speed.detector import Peer
    from training.data.labelled_images import LabelledImage, no_labels

    box = np.array([[10, 10, 40, 40]], np.float32)
    points, sure = np.full((1, 10), np.nan, np.float32), np.ones(1, np.float32)

    def scene(kind, shade, labelled):
        found = (box, points, sure) if labelled else no_labels()
        return LabelledImage(str(shade), kind, "", np.full((64, 64), shade, np.uint8), *found, True)

    def find(pixels):
        score = {200: 0.9, 90: 0.6}.get(int(pixels[0, 0]))
        return (Face((12, 12, 36, 36), score),) if score else ()

    crowds = [scene("crowd", shade, True) for shade in (200, 10)]
    background = [scene("background", shade, False) for shade in (90, 20, 30, 40)]
    held = Held(crowds, crowds, background, background, [("group", np.full((448, 448), 200, np.uint8))])
    made = report(Peer("ours", find, find, 1.0, 0.5, None), held, 0.5)
    assert made["crowds recall"] == 0.5
    assert made["background false an image"] == 0.25
    assert made["threshold at 0.01 false"] == pytest.approx(0.6, abs=1e-6)
    assert made["  crowds recall there"] == 0.5
    assert made["5th percentile of faces"] == 0.0, "the face that is missed has the score 0"
    assert made["people recall at 64 px"] == 1.0
