"""Preparing the classifier's data: all forms become one cache, broken rows are named, near-duplicates are excluded."""

import gzip
import hashlib
import os
import zipfile

import cv2
import msgspec
import numpy as np
import pytest

from base.errors import SettingsError
from tests.support.drawings import draw_faces, run
from training.data.label_targets import FERPLUS_LABELS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def fer_folder(folder, rows):
    """Write a small fer2013.csv.gz from (label, pixels, usage), with FER+ votes for happiness."""
    folder.mkdir()
    lines = ["emotion,pixels,Usage", *(f"{label},{text},{usage}" for label, text, usage in rows)]
    with gzip.open(folder / "fer2013.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    head = "Usage,Image name," + ",".join(FERPLUS_LABELS)
    votes = [f"{usage},x.png," + ",".join("10" if at == 1 else "0" for at in range(10)) for _, _, usage in rows]
    (folder / "fer2013new.csv").write_text("\n".join([head, *votes]) + "\n")


@pytest.fixture
def drawn():
    return draw_faces(40, 48, np.random.default_rng(8))[0]


def text(face):
    """The column ``pixels`` of a face."""
    return " ".join(map(str, face.ravel().tolist()))


def distinct_faces(count):
    """Blocks of noise (count, 48, 48), no two of which are near-duplicates."""
    rng = np.random.default_rng(4)
    return rng.integers(0, 256, (count, 12, 12), np.uint8).repeat(4, 1).repeat(4, 2)


def brightened(face):
    return np.clip(face.astype(int) + 6, 0, 255).astype(np.uint8)


def test_prepare_reads_a_compressed_table_and_excludes_near_duplicates(tmp_path):
    """A mirrored and brightened copy of a test face is excluded from training. The cache keeps pixels and votes."""
    faces = distinct_faces(6)
    rows = [(3, text(faces[0]), "PublicTest"), (3, text(brightened(faces[0, :, ::-1])), "Training")]
    rows += [(0, text(face), "Training") for face in faces[1:]]
    fer_folder(tmp_path / "fer2013", rows)
    run(["prepare", "--data", str(tmp_path)], tmp_path)
    from training import recipe
    from training.data.face_cache import Faces, read

    fer, _ = read(tmp_path / "cache.npz")
    assert fer.part[:2].tolist() == ["test", "repeat"]
    assert set(fer.part[2:].tolist()) <= {"train", "validation"}
    np.testing.assert_array_equal(fer.pixels[0], faces[0])
    assert fer.votes[:, 1].tolist() == [10] * 7
    assert "repeat" in (tmp_path / "prepared.html").read_text()
    excluding = recipe.read(tmp_path / "mood.toml")
    including = msgspec.structs.replace(excluding, near_duplicates="include")
    without, with_them, test = (
        len(Faces.load(tmp_path / "cache.npz", each, part).fer)
        for each, part in ((excluding, "train"), (including, "train"), (including, "test"))
    )
    assert (with_them, test) == (without + 1, 1)


def test_near_duplicates_of_the_validation_set_are_excluded(tmp_path):
    """Thresholds are chosen on the validation set; copies of its faces in the training set would set them too low."""
    from training.data.fer2013 import VALIDATION_OF_256, read

    faces = distinct_faces(80)
    digests = [hashlib.sha256(face.tobytes()).digest()[0] for face in faces]
    validation = faces[np.argmin(digests)]
    assert min(digests) < VALIDATION_OF_256
    copy = brightened(validation[:, ::-1])
    chosen = (validation, copy, faces[np.argmax(digests)])
    fer_folder(tmp_path / "fer2013", [(3, text(face), "Training") for face in chosen])
    part = read(tmp_path / "fer2013", "stop").part.tolist()
    assert part == [
        "validation",
        "validation" if hashlib.sha256(copy.tobytes()).digest()[0] < VALIDATION_OF_256 else "repeat",
        "train",
    ]


def test_an_empty_label_breaks_its_row_alone(tmp_path, drawn):
    """The labels of other rows are still read."""
    from training.data.fer2013 import read

    rows = [(label, text(face), "PublicTest") for label, face in zip([3, 0, "", 6, 5], drawn, strict=False)]
    fer_folder(tmp_path / "fer2013", rows)
    with pytest.raises(SettingsError, match="row 4: `emotion` must be from 0 to 6, is nan"):
        read(tmp_path / "fer2013", "stop")
    assert read(tmp_path / "fer2013", "skip").labels.tolist() == [3, 0, 6, 5]


def test_a_cache_of_an_earlier_version_is_refused(tmp_path):
    """Its parts had other names, and the validation set would seem empty."""
    from training.data import face_cache
    from training.data.fer2013 import FerFaces
    from training.data.photographs import SIDE, Photographs

    fer = FerFaces(
        np.zeros((1, 48, 48), np.uint8), np.zeros((1, 10), np.uint8), np.zeros(1, np.uint8), np.array(["held"])
    )
    nothing = np.zeros(0, str)
    photos = Photographs(np.zeros((0, SIDE, SIDE), np.uint8), nothing, nothing, np.zeros(0, np.float32))
    face_cache.write(tmp_path / "cache.npz", fer, photos)
    with pytest.raises(SettingsError, match=r"cache\.npz: has the unknown part held"):
        face_cache.read(tmp_path / "cache.npz")


def test_a_broken_image_in_scenes_zip_is_named_or_skipped(tmp_path):
    """Both tasks name half a JPEG and an image that is missing in the archive."""
    from training.data import detector_data, labelled_images, photographs

    good = cv2.imencode(".jpg", np.full((60, 60), 90, np.uint8))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.writestr("photos/a.jpg", good)
        archive.writestr("photos/b.jpg", good[:20])
    names = [f"photos/{name}.jpg" for name in "abc"]
    rows = "".join(f"{name},60,60,neutral,photo\n" for name in names)
    (tmp_path / "images.csv").write_text("image,width,height,expression,kind\n" + rows)
    points = ",".join(f"{name}_{axis}" for name in labelled_images.LANDMARKS for axis in "xy")
    (tmp_path / "faces.csv").write_text(f"image,x,y,w,h,{points},score,source\n")
    for read in (photographs.read, lambda data, broken: detector_data.prepare(data, data / "cache.npz", broken)):
        with pytest.raises(SettingsError, match=r"scenes.zip: photos/b.jpg: not an image"):
            read(tmp_path, "stop")
        read(tmp_path, "skip")
    assert [image.name for image in labelled_images.read(tmp_path / "cache.npz")] == names[:1]
    assert photographs.read(tmp_path, "skip").labels.tolist() == ["neutral"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((0, "1 2 3", "Training"), "row 3: `pixels` must have 2304 values, has 3"),
        ((9, None, "Training"), "row 3: `emotion` must be from 0 to 6, is 9"),
        ((0, None, "Trainin"), "row 3: `Usage` must be one of Training, PublicTest, PrivateTest, is 'Trainin'"),
        ((0, "x " * 2304, "Training"), "row 3: invalid literal"),
        ((0, "256 " * 2304, "Training"), "row 3: pixels must be from 0 to 255, are from 256 to 256"),
    ],
)
def test_a_broken_row_is_named_or_skipped(tmp_path, drawn, row, complaint):
    """The exit code is 2, and the message has file and row. With ``--broken skip`` the other rows are read."""
    good = (3, text(drawn[0]), "Training")
    fer_folder(tmp_path / "fer2013", [good, (row[0], row[1] or text(drawn[1]), row[2]), good])
    stopped = run(["prepare", "--data", str(tmp_path)], tmp_path, 2)
    assert "fer2013.csv.gz" in stopped.stderr
    assert complaint in stopped.stderr
    skipped = run(["prepare", "--data", str(tmp_path), "--broken", "skip"], tmp_path)
    assert complaint in skipped.stdout + skipped.stderr
    from training.data.face_cache import read

    assert len(read(tmp_path / "cache.npz")[0].part) == 2


def test_prepare_reads_folders_of_classes_and_a_table_of_images(tmp_path, drawn):
    """Images in train/LABEL/ are cropped faces; in the images that labels.csv lists, the face is detected."""
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the portrait")
    for at, face in enumerate(drawn[:6]):
        folder = tmp_path / ("test" if at % 3 == 0 else "train") / ("happy" if at % 2 else "sad")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{at}.png"), face)
    cv2.imwrite(str(tmp_path / "portrait.jpg"), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "nobody.jpg"), np.full((200, 200), 128, np.uint8))
    (tmp_path / "labels.csv").write_text("image,label,part\nportrait.jpg,happy,test\nnobody.jpg,sad,test\n")
    run(["prepare", "--data", str(tmp_path)], tmp_path)
    from training.data.face_cache import read

    _, photos = read(tmp_path / "cache.npz")
    assert photos.labels.tolist()[:2] == ["happy", "sad"]
    assert photos.side[0] > 40
    assert photos.side[1] == 0
    assert sorted(photos.part.tolist())[:4] == ["test"] * 4
    assert len(photos.part) == 8


def test_an_empty_data_folder_is_an_error(tmp_path):
    """The exit code is 2, and the message lists what a data folder can hold."""
    assert "must hold fer2013/, scenes.zip" in run(["prepare", "--data", str(tmp_path)], tmp_path, 2).stderr
