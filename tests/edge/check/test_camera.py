"""Frames are taken from a camera for two seconds, and the real models run at the rate that is needed."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from contract.card import CheckCard
from edge.build import classifier_bundle, detector_bundle
from edge.camera_settings import File, Picamera2
from edge.check import camera
from edge.errors import CameraLost
from edge.settings import AdmitSettings, Settings
from edge.vision import bundle
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck

STAND_IN = Path(__file__).parents[3] / "benchmarks" / "faults" / "camera"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The camera of benchmarks.faults, with images of 320 x 240."""
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/0.png"), np.full((240, 320), 90, np.uint8))
    monkeypatch.setenv("FACETALLY_IMAGES", str(tmp_path / "images"))
    monkeypatch.setenv("FACETALLY_IMAGES_FPS", "10")
    monkeypatch.syspath_prepend(str(STAND_IN))
    yield tmp_path
    sys.modules.pop("picamera2", None)


def test_size_and_rate_are_read_back(stand_in):
    """The camera gives another size and about the rate that is set; both are reported, and the size is a warning."""
    capture = Picamera2(fps=20)
    found = camera.sample(capture)
    assert found.frames_per_s == pytest.approx(18, abs=4)
    report = camera.describe(capture, found)
    assert "picamera2 0: 320 x 240, " in report.text
    assert "640 x 480 was asked for" in report.text
    assert (report.state, report.figures["width"], report.figures["height"]) == ("warning", 320, 240)
    slow = camera.describe(Picamera2(fps=60, width=320, height=240), found)
    assert "60 a second were asked for" in slow.text
    dark = camera.describe(Picamera2(fps=20), camera.CameraSample(np.zeros((480, 640), np.uint8), 20.0))
    assert "is the camera covered" in dark.text


def test_a_camera_that_opens_and_gives_no_frame_is_lost(stand_in):
    """It opens at once, and the limit of the driver ends the wait."""
    (stand_in / "camera-silent").touch()
    with pytest.raises(CameraLost, match="no frame within 2 s"):
        camera.sample(Picamera2(fps=20))


def settings(capture, **detect):
    """Settings of a device."""
    from edge.settings import DetectSettings

    admit = AdmitSettings(staff_zones=())
    return Settings(site="s", device="d", capture=capture, admit=admit, detect=DetectSettings(**detect))


def test_models_that_are_too_slow_for_the_rate_fail():
    """The rate is what the camera gives, at most detect.max_fps. The models keep up with 2 a second, and not with
    100,000. A file is replayed at any pace."""
    device = settings(Picamera2(fps=15), every=2)
    assert camera.needed_rate(device, 30.0) == 10
    assert camera.needed_rate(device, 8.0) == 4
    assert camera.needed_rate(device, None) == 7.5
    detector, classifier = Detector(detector_bundle("face-640x480")), Classifier(classifier_bundle())
    check = FaceCheck(bundle.load(bundle.DEFAULT_CHECK, CheckCard))
    frame = np.full((480, 640), 90, np.uint8)
    kept_up = camera.run_models(detector, check, classifier, frame, 2.0, 1.0)
    assert (camera.describe_speed(device, kept_up).state, kept_up.needed_per_s) == ("ok", 2.0)
    speed = camera.run_models(detector, check, classifier, frame, 1e5, 0.3)
    assert speed.reached_per_s * speed.seconds == pytest.approx(1, abs=0.6)
    found = camera.describe_speed(device, speed)
    assert found.state == "FAILED"
    assert f"too slow: {speed.reached_per_s:.1f} frames a second, 100000.0 are needed" in found.text
    assert "set detect.bundle to a smaller detector, or lower detect.max_fps" in found.text
    assert camera.describe_speed(settings(File(path="clip.mp4")), speed).state == "ok"
