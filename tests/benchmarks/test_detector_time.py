"""The time of the face detectors beside YuNet."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.vision import bundle


@pytest.mark.skipif("FACETALLY_DATA" not in os.environ, reason="FACETALLY_DATA is not set")
def test_the_table_has_each_detector_and_yunet():
    data = Path(os.environ.get("FACETALLY_DATA", ""))
    command = [sys.executable, "-m", "benchmarks.speed.detector_time", str(data / "counting/clips/paul_faces.mp4")]
    command += ["--yunet", str(data / "peers/yunet_n_640_640.onnx"), "--passes", "1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[0].startswith("10 frames of 640x480, 1 passes")
    names = [line.split()[0] for line in printed[2:]]
    assert names == [*sorted(path.stem for path in bundle.SHIPPED.glob("face-*x*.json")), "YuNet"]
    assert printed[-1].split()[-3:] == ["1.00", "1.00", "1.00"]
