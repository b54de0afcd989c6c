"""A USB camera by OpenCV's own V4L2 code, on machines without one: the kernel's side of it is `video.c`."""

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
    """The environment in which `DEVICE` shows the demonstration's clip, over and over."""
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


def yuyv(picture):
    """BGR (h, w, 3) -> (h, w, 2): brightness beside one of the two colours, in turns."""
    planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV)
    packed = np.ascontiguousarray(planes[..., :2])
    packed[:, 1::2, 1] = planes[:, ::2, 2]
    return packed


@pytest.fixture
def plugged(shown, tmp_path):
    """The same, and a file: while it is there, the camera is not."""
    return shown | {"VIDEO_GONE": str(tmp_path / "gone")}, tmp_path / "gone"


def configured(folder):
    config = CONFIG.replace('"v4l2"', f'"v4l2"\ndevice = "{DEVICE}"')
    (folder / "edge.toml").write_text(f"{config}[spool]\nunsynced_hold_h = 0\n")
    return folder / "edge.toml"


def test_check_takes_a_picture(plugged, tmp_path):
    """And says so where there is none."""
    environment, gone = plugged
    command = [sys.executable, "-m", "edge", "check", "--config", configured(tmp_path)]
    for missing, says in ((False, "ok      camera: a frame of 640 x 480"), (True, f"is {DEVICE} there?")):
        if missing:
            gone.touch()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert says in done.stdout


def test_a_picture_to_draw_zones_in(plugged, tmp_path):
    """`systemd/zones/view.py` writes what the camera shows once it has settled, without zones in the configuration; and says
    where there is no camera, or no such folder."""
    environment, gone = plugged
    config = configured(tmp_path)
    config.write_text(config.read_text().replace("staff_zones = []\n", ""))
    command = [sys.executable, ROOT / "systemd/zones/view.py", config]
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
def test_visits_before_a_camera_that_is_pulled_out(plugged, tmp_path):
    """Five visits in half a minute, counted once each; then the camera is gone for a while and comes back; `SIGTERM`
    while it shows pictures is a clean end."""
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
            daemon.kill()  # or it would be waited for, and what is wrong not said
            raise
    assert daemon.returncode == 0, (tmp_path / "log").read_text()
    assert any("no_camera" in window["degraded"] for window in left)
    assert 'reason="the camera gives no more frames"' in (tmp_path / "log").read_text()


@pytest.mark.timeout(300)
def test_the_demonstration_by_a_live_camera(plugged, tmp_path):
    """`make run CAMERA=...`: the page knows of visits while the camera is watched; a signal ends it all."""
    environment, _ = plugged
    command = [sys.executable, "-m", "demo", "--out", tmp_path / "out", "--camera", DEVICE]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        try:
            page = next(line.split()[1] for line in demo.stdout if line.startswith("page: "))
            wait_until(lambda: visits(page), 90, "visits on the page")
        finally:
            demo.terminate()  # as Ctrl-C does, which a test started in the background would not hear
    assert demo.returncode == 0


def visits(page):
    time.sleep(1)  # who asks more often than twice a second is refused
    with urllib.request.urlopen(f"{page}api/v1/counts?bucket=site") as answer:
        return sum(row["visits"] for row in json.load(answer)["rows"])
