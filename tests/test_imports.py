"""Each part loads what it needs, and nothing heavier: looked up in ``sys.modules`` of a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACT = "import contract.card, contract.labels, contract.logs, contract.message, contract.settings, contract.topics"
HELP = """
from edge.__main__ import main
try:
    main(["--help"])
except SystemExit:
    pass
"""
NEVER = ("tensorflow", "keras", "matplotlib", "pandas", "scipy", "sklearn")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (CONTRACT, (*NEVER, "numpy", "cv2", "paho", "sqlite3", "edge", "collector")),
        (HELP, (*NEVER, "numpy", "cv2", "paho", "ai_edge_litert")),
        ("import edge.assemble", (*NEVER, "picamera2", "dash", "collector", "training", "convert")),
        ("import edge.publish", (*NEVER, "numpy", "cv2", "edge.detect", "edge.capture", "edge.words")),
        ("import edge.track, edge.admit, edge.tally", (*NEVER, "cv2", "paho", "ai_edge_litert")),
        ("import collector.receive", (*NEVER, "cv2", "dash", "edge", "training", "convert")),
        ("import collector.serve", ("cv2", "tensorflow", "keras", "edge", "training", "convert")),
    ],
    ids=[
        "contract",
        "edge --help",
        "edge.assemble",
        "edge.publish",
        "pure stages",
        "collector.receive",
        "collector.serve",
    ],
)
def test_heavy_modules_are_not_loaded(code, absent):
    """A device needs no pandas, a receiver no OpenCV, ``--help`` no second."""
    program = f"{code}\nimport sys\nprint(*(name for name in {absent!r} if name in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.split() == []
