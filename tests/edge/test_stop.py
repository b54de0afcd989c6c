"""Told to stop in the middle of a file, the daemon ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parents[2]


def test_a_file_is_left_when_told_to_stop(tmp_path):
    """SIGTERM ends a replay that would go on for long; the window that was open is printed, the exit is in order."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "00000.png"), np.full((480, 640), 90, np.uint8))
    for number in range(1, 30_000):
        (pictures / f"{number:05d}.png").hardlink_to(pictures / "00000.png")
    config = tmp_path / "edge.toml"
    config.write_text(
        f'site = "s"\ndevice = "d"\n[capture]\nsource = "file"\npath = "{pictures}"\n[admit]\nstaff_zones = []'
    )
    command = [sys.executable, "-m", "edge", "run", "--config", str(config), "--stdout"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        said = iter(daemon.stderr.readline, "")
        boot = next(line for line in said if "event=boot" in line)
        assert any("event=started" in line for line in said)
        time.sleep(0.5)
        daemon.send_signal(signal.SIGTERM)
        printed, rest = daemon.communicate(timeout=60)
    assert daemon.returncode == 0
    assert "event=stopped unsent=0" in rest
    assert 1 <= printed.count("\n") < 30_000 / 600  # windows of 600 pictures
    assert all(boot.split("id=")[1].strip() in line for line in printed.splitlines())
