"""Preparing: FER2013, folders and tables become one cache; what is broken is named, what repeats is left out."""

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
    """A small fer2013.csv, gzipped, with FER+ votes."""
    import gzip

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
    return " ".join(map(str, face.ravel().tolist()))


def test_prepare_reads_a_compressed_table_and_leaves_repeats_out(tmp_path, drawn):
    """A mirrored and brightened copy of a test face is not trained on; what is kept comes back as it was."""
    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (6, 12, 12), np.uint8).repeat(4, 1).repeat(4, 2)  # faces apart from each other
    copy = np.clip(noise[0, :, ::-1].astype(int) + 6, 0, 255).astype(np.uint8)
    rows = [(3, text(noise[0]), "PublicTest"), (3, text(copy), "Training")]
    rows += [(0, text(face), "Training") for face in noise[1:]]
    fer_folder(tmp_path / "fer2013", rows)
    run(["prepare", "--data", str(tmp_path)], tmp_path)
    from training import recipe
    from training.data.face_cache import Faces, read

    fer, _ = read(tmp_path / "cache.npz")
    assert fer.part[:2].tolist() == ["test", "repeat"]
    assert set(fer.part[2:].tolist()) <= {"train", "validation"}
    np.testing.assert_array_equal(fer.pixels[0], noise[0])
    assert fer.votes[:, 1].tolist() == [10] * 7
    assert "repeat" in (tmp_path / "prepared.html").read_text()
    made = recipe.read(tmp_path / "mood.toml")
    told = msgspec.structs.replace(made, near_duplicates="include")
    left, taken, test = (
        len(Faces.load(tmp_path / "cache.npz", each, part).fer)
        for each, part in ((made, "train"), (told, "train"), (told, "test"))
    )
    assert (taken, test) == (left + 1, 1)


def test_what_looks_like_a_face_of_the_tuning_part_is_not_trained_on(tmp_path):
    """Thresholds are chosen on ``tune``: a copy of its faces in ``train`` would make them too bold."""
    from training.data.fer2013 import VALIDATION_OF_256, read

    rng = np.random.default_rng(4)
    noise = rng.integers(0, 256, (80, 12, 12), np.uint8).repeat(4, 1).repeat(4, 2)
    first = [hashlib.sha256(face.tobytes()).digest()[0] for face in noise]
    tuned = noise[np.argmin(first)]
    assert min(first) < VALIDATION_OF_256
    copy = np.clip(tuned[:, ::-1].astype(int) + 6, 0, 255).astype(np.uint8)
    fer_folder(tmp_path / "fer2013", [(3, text(face), "Training") for face in (tuned, copy, noise[np.argmax(first)])])
    part = read(tmp_path / "fer2013", "stop").part.tolist()
    assert part == [
        "validation",
        "validation" if hashlib.sha256(copy.tobytes()).digest()[0] < VALIDATION_OF_256 else "repeat",
        "train",
    ]


def test_one_row_without_a_label_is_the_only_one_that_is_bad(tmp_path, drawn):
    """An empty cell makes no other row unreadable."""
    from training.data.fer2013 import read

    labels = [3, 0, "", 6, 5]
    fer_folder(
        tmp_path / "fer2013", [(label, text(face), "PublicTest") for label, face in zip(labels, drawn, strict=False)]
    )
    with pytest.raises(SettingsError, match="row 4: emotion nan"):
        read(tmp_path / "fer2013", "stop")
    assert read(tmp_path / "fer2013", "skip").own.tolist() == [3, 0, 6, 5]


def test_a_broken_picture_of_the_scenes_is_named_and_skipped_if_asked(tmp_path):
    """By both tasks: half a JPEG, and a picture of the list that is not in the archive."""
    from training.data import labelled_images, photographs

    good = cv2.imencode(".jpg", np.full((60, 60), 90, np.uint8))[1].tobytes()
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.writestr("photos/a.jpg", good)
        archive.writestr("photos/b.jpg", good[:20])
    names = [f"photos/{name}.jpg" for name in "abc"]
    (tmp_path / "images.csv").write_text(
        "image,width,height,expression,kind\n" + "".join(f"{name},60,60,neutral,photo\n" for name in names)
    )
    (tmp_path / "faces.csv").write_text(
        "image,x,y,w,h,"
        + ",".join(f"{name}_{axis}" for name in labelled_images.LANDMARKS for axis in "xy")
        + ",score,source\n"
    )
    for read in (photographs.read, lambda data, broken: labelled_images.prepare(data, data / "cache.npz", broken)):
        with pytest.raises(SettingsError, match=r"scenes.zip: photos/b.jpg: not an image"):
            read(tmp_path, "stop")
        read(tmp_path, "skip")
    assert [scene.name for scene in labelled_images.read(tmp_path / "cache.npz")] == names[:1]
    assert photographs.read(tmp_path, "skip").labels.tolist() == ["neutral"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((0, "1 2 3", "Training"), "row 3: 3 pixels, not 2304"),
        ((9, None, "Training"), "row 3: emotion 9, not 0..6"),
        ((0, None, "Trainin"), "row 3: Usage 'Trainin', not one of Training"),
        ((0, "x " * 2304, "Training"), "row 3: invalid literal"),
        ((0, "256 " * 2304, "Training"), "row 3: a pixel of 256 or 256, not 0..255"),
    ],
)
def test_a_broken_row_is_named_and_skipped_if_asked(tmp_path, drawn, row, complaint):
    """Exit code 2 with file and row; with --broken skip the others are read."""
    good = (3, text(drawn[0]), "Training")
    fer_folder(tmp_path / "fer2013", [good, (row[0], row[1] or text(drawn[1]), row[2]), good])
    stopped = run(["prepare", "--data", str(tmp_path)], tmp_path, 2)
    assert "fer2013.csv.gz" in stopped.stderr
    assert complaint in stopped.stderr
    skipped = run(["prepare", "--data", str(tmp_path), "--broken", "skip"], tmp_path)
    assert complaint in skipped.stdout + skipped.stderr
    from training.data.face_cache import read

    assert len(read(tmp_path / "cache.npz")[0].part) == 2


def test_prepare_reads_folders_of_classes_and_a_table_of_pictures(tmp_path, drawn):
    """train/LABEL/x.png are faces already cut; labels.csv names pictures in which our detector finds the face."""
    import cv2

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


def test_nothing_to_train_on_is_said(tmp_path):
    """An empty folder: exit code 2, and what was looked for."""
    assert "looked for fer2013/, scenes.zip" in run(["prepare", "--data", str(tmp_path)], tmp_path, 2).stderr
