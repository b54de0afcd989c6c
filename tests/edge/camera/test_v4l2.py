"""The V4L2 driver with OpenCV's own code, on machines without a camera: `video.c` plays the kernel's part."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.machines.nspawn import wait_until
from tests.support.commands import CONFIG

ROOT = Path(__file__).parents[3]
DEVICE = "/dev/video63"
pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The environment in which `DEVICE` repeats the demonstration's clip."""
    pytest.importorskip("skimage.data", reason="scikit-image brings the portrait")
    from demo.clip import FPS, compose

    folder = tmp_path_factory.mktemp("video")
    compose(folder / "walk-by.mp4")
    film = cv2.VideoCapture(str(folder / "walk-by.mp4"))
    with (folder / "raw").open("wb") as raw:
        while (read := film.read())[0]:
            raw.write(yuyv(read[1]).tobytes())
    source, library = ROOT / "tests/support/video.c", folder / "video.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    values = {"VIDEO": DEVICE, "VIDEO_RAW": folder / "raw", "VIDEO_FPS": FPS, "LD_PRELOAD": library}
    return os.environ | {key: str(value) for key, value in values.items()}


def yuyv(image):
    """Convert BGR (h, w, 3) to YUYV (h, w, 2): luma, and U and V in turns."""
    planes = cv2.cvtColor(image, cv2.COLOR_BGR2YUV)
    packed = np.ascontiguousarray(planes[..., :2])
    packed[:, 1::2, 1] = planes[:, ::2, 2]
    return packed


@pytest.fixture
def plugged(shown, tmp_path):
    """The same environment, and the path of a file; while that exists, the camera is unplugged."""
    return shown | {"VIDEO_GONE": str(tmp_path / "gone")}, tmp_path / "gone"


def configured(folder):
    config = CONFIG.replace('"v4l2"', f'"v4l2"\ndevice = "{DEVICE}"')
    (folder / "edge.toml").write_text(f"{config}[spool]\nunsynced_hold_h = 0\n")
    return folder / "edge.toml"


def test_check_reads_a_frame(plugged, tmp_path):
    """`check` reports the size of a frame, or that there is no camera."""
    environment, gone = plugged
    command = [sys.executable, "-m", "edge", "check", "--config", configured(tmp_path)]
    for missing, message in ((False, "640 x 480"), (True, f"is {DEVICE} there?")):
        if missing:
            gone.touch()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert message in done.stdout


def test_cameras_are_listed_by_their_stable_name(plugged, tmp_path):
    """Modes, what works and the lines to copy; the listed name opens the camera, and the log has its real mode."""
    environment, gone = plugged
    name = tmp_path / "usb-Test_Camera_1234-video-index0"
    name.symlink_to(DEVICE)
    code = (
        "import logging, sys; from pathlib import Path; from edge.commands import cameras\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        f"found = list(cameras.cameras(Path({str(tmp_path)!r})))\n"
        "print(cameras.as_text(found)); print(cameras.as_json(found))"
    )

    def listed():
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=ROOT, env=environment | {"VIDEO": str(name)}, capture_output=True, text=True, check=True
        )

    done = listed()
    *text, found = done.stdout.splitlines()
    assert text == [
        "Test Camera",
        "  ok      a frame of 640 x 480",
        "  H264: 640x480 at 10 fps, 1280x720 at 10 fps",
        "  YUYV: 640x480 at 10 fps, 1280x720 at 10 fps",
        "  [capture]",
        '  source = "v4l2"',
        f'  device = "{name}"',
        '  format = "YUYV"',
        "  width = 640",
        "  height = 480",
        "  fps = 10",
    ]
    (camera,) = json.loads(found)
    assert (camera["works"], camera["capture"]["device"]) == (True, str(name))
    assert f"event=camera_mode device={name} format=YUYV width=640 height=480 fps=10.0" in done.stderr
    gone.touch()
    assert listed().stdout.splitlines() == ["no camera found: neither by V4L2 nor by picamera2", "[]"]


def test_a_mode_other_than_requested_is_a_warning(plugged, tmp_path):
    """The camera has only YUYV at ten frames a second; the log says so beside what was asked."""
    environment, _ = plugged
    changes = ["--set", 'capture.format="MJPG"', "--set", "capture.width=1280", "--set", "capture.height=720"]
    command = [sys.executable, "-m", "edge", "check", "--config", configured(tmp_path), *changes]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    (text,) = (line for line in done.stderr.splitlines() if "camera_mode" in line)
    assert "level=warning" in text
    assert text.endswith('format=YUYV width=640 height=480 fps=10.0 asked="MJPG 1280x720 at 15 fps"')


def test_image_to_draw_zones_in_is_written(plugged, tmp_path):
    """`facetally-view` writes an image, with no zones configured yet; a missing camera or folder is reported."""
    environment, gone = plugged
    config = configured(tmp_path)
    config.write_text(config.read_text().replace("staff_zones = []\n", ""))
    command = [sys.executable, "-m", "edge.aiming.view", config]
    environment = environment | {"PYTHONPATH": str(ROOT)}

    def view(name):
        return subprocess.run([*command, tmp_path / name], env=environment, capture_output=True, text=True, check=False)

    done = view("view.png")
    assert (done.returncode, "640 x 480" in done.stdout) == (0, True), done.stderr
    assert cv2.imread(str(tmp_path / "view.png"), cv2.IMREAD_UNCHANGED).shape == (480, 640)
    done = view("nowhere/view.png")
    assert (done.returncode, "nowhere/view.png: cannot be written" in done.stderr) == (2, True)
    gone.touch()
    done = view("view.png")
    assert (done.returncode, f"is {DEVICE} there?" in done.stderr) == (2, True)


@pytest.mark.timeout(300)
def test_visits_are_counted_and_an_unplugged_camera_comes_back(plugged, tmp_path):
    """Five visits are counted once each, the camera is unplugged and comes back, and `SIGTERM` ends the daemon."""
    environment, gone = plugged
    command = [sys.executable, "-m", "edge", "run", "--config", configured(tmp_path), "--stdout"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as daemon,
    ):
        try:
            visits = {}
            for window in map(json.loads, daemon.stdout):
                for label, count in window["visits"].items():
                    visits[label] = visits.get(label, 0) + count
                if sum(visits.values()) >= 5:
                    break
            assert {label: count for label, count in visits.items() if count} == {"happiness": 3, "neutral": 2}
            gone.touch()
            wait_until(lambda: "event=camera_lost" in (tmp_path / "log").read_text(), 60, "lost")
            gone.unlink()
            wait_until(lambda: "event=camera_back" in (tmp_path / "log").read_text(), 60, "back")
            daemon.send_signal(signal.SIGTERM)
            left = [json.loads(line) for line in daemon.stdout]
        except BaseException:
            daemon.kill()  # otherwise the test would wait for it instead of reporting the error
            raise
    assert daemon.returncode == 0, (tmp_path / "log").read_text()
    assert any("no_camera" in window["degraded"] for window in left)
    assert 'reason="the camera gives no more frames"' in (tmp_path / "log").read_text()


@pytest.mark.timeout(300)
def test_demonstration_with_a_live_camera(plugged, tmp_path):
    """`make run CAMERA=...` shows visits on the page while the camera runs; a signal ends all processes."""
    environment, _ = plugged
    command = [sys.executable, "-m", "demo", "--out", tmp_path / "out", "--camera", DEVICE]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        try:
            page = next(line.split()[1] for line in demo.stdout if line.startswith("page: "))
            wait_until(lambda: visits(page), 300, "visits on the page")
        finally:
            demo.terminate()  # like Ctrl-C, which a test started in the background does not receive
    assert demo.returncode == 0


def visits(page):
    time.sleep(1)  # more than two requests per second are refused
    with urllib.request.urlopen(f"{page}api/v1/counts?bucket=site") as answer:
        return sum(row["visits"] for row in json.load(answer)["rows"])
