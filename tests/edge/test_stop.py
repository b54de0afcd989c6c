"""The daemon stops in the middle of a file when it gets a signal."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from tests.support.waiting import LIMIT_S

ROOT = Path(__file__).parents[2]


def test_sigterm_ends_a_replay(tmp_path):
    """SIGTERM ends a long replay: the open window is printed, and the exit code is 0."""
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "00000.png"), np.full((480, 640), 90, np.uint8))
    for number in range(1, 30_000):
        (images / f"{number:05d}.png").hardlink_to(images / "00000.png")
    config = tmp_path / "edge.toml"
    config.write_text(
        f'site = "s"\ndevice = "d"\n[capture]\nsource = "file"\npath = "{images}"\n[admit]\nstaff_zones = []'
    )
    command = [sys.executable, "-m", "edge", "run", "--config", str(config), "--stdout"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        log = iter(daemon.stderr.readline, "")
        boot = next(line for line in log if "event=boot" in line)
        assert any("event=started" in line for line in log)
        time.sleep(0.5)
        daemon.send_signal(signal.SIGTERM)
        printed, rest = daemon.communicate(timeout=LIMIT_S)
    assert daemon.returncode == 0
    assert "event=stopped unsent=0" in rest
    assert 1 <= printed.count("\n") < 30_000 / 600  # windows of 600 images
    assert all(boot.split("id=")[1].strip() in line for line in printed.splitlines())
