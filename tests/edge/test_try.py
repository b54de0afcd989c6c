"""``facetally-edge try`` describes images and clips, one JSON object per image."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from contract.labels import EXPRESSIONS, UNKNOWN
from edge.build import pipeline
from edge.counting.totals import describe
from edge.delivery.printer import Printer
from edge.settings import read
from edge.values import MissingFrame
from edge.vision.bundle import SHIPPED
from tests.support.commands import ROOT, one_line


def rows(out):
    """The JSON objects printed."""
    return [json.loads(line) for line in out]


def test_try_prints_one_object_per_image(command, portrait):
    """The object has exactly the keys of the contract, and the smile is predicted as happiness."""
    status, out, _ = command("try", "--json", portrait)
    (row,) = rows(out)
    assert status == 0
    assert list(row) == ["image", "width", "height", "faces"]
    assert (row["image"], row["width"], row["height"]) == (str(portrait), 512, 512)
    (face,) = row["faces"]
    assert list(face) == ["box", "score", "expression", "probabilities"]
    left, top, width, height = face["box"]
    assert left < 224 < left + width
    assert top < 115 < top + height
    assert 0 < face["score"] <= 1
    assert face["expression"] == "happiness"
    assert tuple(face["probabilities"]) == EXPRESSIONS
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_try_keeps_the_order_of_its_input(command, portrait, tmp_path):
    """Images are in the order of the arguments; those of a folder are sorted by name."""
    for name in ("b.png", "a.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((20, 30), np.uint8))
    status, out, _ = command("try", "--json", "--detect-only", tmp_path / "b.png", portrait, tmp_path)
    assert status == 0
    assert [row["image"] for row in rows(out)] == [
        str(tmp_path / "b.png"), str(portrait), str(tmp_path / "a.png"), str(tmp_path / "b.png"),
    ]  # fmt: skip
    assert [(row["width"], row["height"], row["faces"]) for row in rows(out)[2:]] == [(30, 20, [])] * 2


def test_try_on_a_clip_numbers_its_frames(command, clip):
    """Every frame of a clip is an image, named ``PATH#index``."""
    _, out, _ = command("try", "--json", "--detect-only", clip)
    assert [row["image"] for row in rows(out)] == [f"{clip}#{index}" for index in range(50)]
    assert any(row["faces"] for row in rows(out))


def test_try_detect_only_leaves_the_expression_out(command, portrait):
    """With ``--detect-only`` a face has a box and a score only."""
    _, out, _ = command("try", "--json", "--detect-only", portrait)
    (face,) = rows(out)[0]["faces"]
    assert list(face) == ["box", "score"]


def test_try_min_score_lowers_and_raises(command, portrait):
    """``--min-score`` sets the detector's threshold, from 0 to 1."""
    found = {}
    for score in ("0", "0.4", "1"):
        _, out, _ = command("try", "--json", "--detect-only", "--min-score", score, portrait)
        scores = [face["score"] for face in rows(out)[0]["faces"]]
        assert all(each >= float(score) - 1e-3 for each in scores)
        found[score] = len(scores)
    assert found["0"] > found["0.4"] >= 1
    assert found["1"] == 0


def test_try_crops_takes_each_image_as_a_face(command, portrait, tmp_path):
    """With ``--crops`` an image is one face without a box, with all probabilities and a label, never ``unknown``."""
    cv2.imwrite(str(tmp_path / "a.png"), cv2.imread(str(portrait))[60:171, 170:281])
    cv2.imwrite(str(tmp_path / "b.png"), np.full((10, 12), 128, np.uint8))
    status, out, _ = command("try", "--json", "--crops", tmp_path)
    assert status == 0
    faces = [face for row in rows(out) for face in row["faces"]]
    assert len(faces) == len(rows(out)) == 2
    assert [face["box"] for face in faces] == [None, None]
    assert faces[0]["expression"] == "happiness"
    assert faces[1]["expression"] in EXPRESSIONS
    assert all(tuple(face["probabilities"]) == EXPRESSIONS for face in faces)


def test_face_too_small_for_a_prediction_is_unknown(command, portrait, tmp_path):
    """A face too small for a prediction is ``unknown``, but still has probabilities."""
    card = json.loads((SHIPPED / "expression.json").read_bytes()) | {"min_face_px": 400}
    (tmp_path / "strict.json").write_text(json.dumps(card))
    shutil.copy(SHIPPED / "expression.tflite", tmp_path / "strict.tflite")
    _, out, _ = command("try", "--json", "--classifier", tmp_path / "strict.json", portrait)
    (face,) = rows(out)[0]["faces"]
    assert face["expression"] == UNKNOWN
    assert tuple(face["probabilities"]) == EXPRESSIONS


def test_try_in_words(command, portrait, tmp_path):
    """Without ``--json`` every image is a line of text."""
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((20, 30), np.uint8))
    _, out, _ = command("try", portrait, tmp_path / "empty.png")
    assert "512x512  happiness " in out[0]
    assert out[1] == f"{tmp_path / 'empty.png'}  30x20  no face"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.png", None, "none.png: no such file"),
        ("bad.png", b"not an image", "bad.png: must be an image that OpenCV can read"),
        ("bad.mp4", b"not a video", "bad.mp4: "),
        ("none.mp4", None, "none.mp4: no such file"),
        ("folder", "folder", "folder: no images"),
    ],
)
def test_unreadable_file_in_try(command, portrait, tmp_path, name, content, message):
    """A file that cannot be read is reported with the reason; the others are still read, and the exit code is 2."""
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    status, out, errors = command("try", "--json", "--detect-only", portrait, tmp_path / name, portrait)
    assert (status, [row["image"] for row in rows(out)]) == (2, [str(portrait)] * 2)
    assert message in one_line(errors)


def test_broken_images_of_a_folder(command, portrait, tmp_path):
    """Each broken image of a folder is reported on a line of its own; the others are still read."""
    for name in ("a.png", "c.tif"):
        cv2.imwrite(str(tmp_path / name), cv2.imread(str(portrait)))
    for name in ("b.png", "d.jpg"):
        (tmp_path / name).write_bytes(portrait.read_bytes()[:40])
    status, out, errors = command("try", "--json", tmp_path)
    assert (status, [row["image"] for row in rows(out)]) == (2, [str(tmp_path / name) for name in ("a.png", "c.tif")])
    assert [len(row["faces"]) for row in rows(out)] == [1, 1]
    reason = "must be an image that OpenCV can read"
    reported = [line for line in errors if line.startswith("facetally-edge: ")]
    assert reported == [f"facetally-edge: {tmp_path / name}: {reason}" for name in ("b.png", "d.jpg")]


def test_crops_and_detect_only_exclude_each_other(command, portrait):
    """``--crops`` skips detection and ``--detect-only`` classification, so both together are an error."""
    status, _, errors = command("try", "--crops", "--detect-only", portrait)
    assert (status, len(errors)) == (2, 1)
    assert "must not be combined" in one_line(errors)


def test_closed_pipe_is_no_crash(portrait, tmp_path):
    """``facetally-edge try --json FOLDER | head -1`` ends without an error message."""
    for index in range(400):
        os.link(portrait, tmp_path / f"{index}.png")
    arguments = [sys.executable, "-m", "edge", "try", "--json", "--detect-only", tmp_path]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith('{"image"')
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert "Error" not in errors


def test_a_clip_ends_with_the_totals_of_its_tracks(command, config, clip):
    """After its frames a clip has one sentence: on standard output, or on standard error where that is for JSON. The
    staff zones are those of the configuration; ``run`` says the same of the same clip.
    """
    counted = "1 track: 1 counted, 0 too short, 0 with low scores, 0 dwell, 0 fixed, 0 outside opening hours,"
    _, out, _ = command("try", "--detect-only", clip)
    assert out[-1].startswith(f"{clip}  {counted} 0 held back for k; 0 of 1 visits unknown")
    config.write_text(config.read_text().replace("staff_zones = []", "staff_zones = [[[0.4, 0], [0.6, 0], [0.5, 1]]]"))
    status, out, errors = command("try", "--json", "--detect-only", "--config", config, clip)
    assert (status, len(rows(out))) == (0, 50)
    assert errors[-1].startswith(f"{clip}  1 track: 0 counted, 1 in staff zone 1, 0 too short")
    status, out, errors = command("run", "--config", config, "--clip", clip, "--stdout")
    assert (status, [sum(row["visits"].values()) for row in rows(out)]) == (0, [0, 0, 0])
    assert errors[-1].startswith("1 track: 0 counted, 1 in staff zone 1, 0 too short")


def test_the_demonstration_clip_explains_its_counts(tmp_path, command, config, monkeypatch):
    """Of the five visits of the demonstration's clip the sample's staff zone leaves one: ``run`` says that it is held
    back for k, ``try`` that it counts. A narrow strip at the edge leaves none, and health says so after the hour.
    """
    pytest.importorskip("matplotlib", reason="matplotlib provides a portrait of the clip")
    from demo.clip import compose

    clip = tmp_path / "people.mp4"
    compose(clip)
    rest = "0 too short, 0 with low scores, 0 dwell, 0 fixed, 0 outside opening hours"
    sample = re.search(r"^# (staff_zones = .*)$", (ROOT / "edge/samples/edge.toml").read_text(), re.M).group(1)
    config.write_text(config.read_text().replace("staff_zones = []", sample))
    arguments = ("--config", config, "--clip", clip, "--stdout", "--set", "privacy.k=5")
    assert command("run", *arguments)[2][-1].startswith(
        f"5 tracks: 0 counted, 4 in staff zone 1, {rest}, 1 held back for k; 0 of 1 visits unknown"
    )
    assert command("try", "--detect-only", "--config", config, clip)[1][-1].startswith(
        f"{clip}  5 tracks: 1 counted, 4 in staff zone 1, {rest}, 0 held back for k"
    )
    strip, sent = "admit.staff_zones=[[[0, 0], [0.05, 0], [0.05, 1], [0, 1]]]", []
    monkeypatch.setattr(Printer, "health", lambda printer, health: sent.append(health.tracks_ended))
    settings = read(config, (strip, f'capture={{source="file", path="{clip}"}}', "privacy.k=5"))
    with pipeline(settings, threading.Event(), lambda: None, io.StringIO()) as counting:
        counting.run()
        counting.report(counting.analyzer.health)
        counting.analyzer.add_missing(MissingFrame(counting.source.start + 3601.0, "no_camera"))
        counting.report(counting.analyzer.health)
    assert describe(counting.analyzer.totals, 1).startswith(f"5 tracks: 0 counted, 5 in staff zone 1, {rest}")
    assert sent[-1] == {"staff_zone_1": 5}
    assert set(sent[:-1]) == {None}  # a slow run reports on the way, too
