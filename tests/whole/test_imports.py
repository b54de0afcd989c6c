"""Each part imports only what it needs: checked in ``sys.modules`` of a new process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = "import contract.card, contract.labels, base.logs, contract.message, base.toml_settings, contract.topics"
HELP = """
from edge.__main__ import main
try:
    main(["--help"])
except SystemExit:
    pass
"""
ALL_COMMANDS = (
    "import edge.__main__, edge.pipeline, edge.audit.run, edge.commands.bench, edge.check, edge.commands.zones"
)
NEVER = ("tensorflow", "keras", "matplotlib", "pandas", "scipy", "sklearn")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (CONTRACT, (*NEVER, "numpy", "cv2", "paho", "sqlite3", "edge", "collector")),
        (HELP, (*NEVER, "numpy", "cv2", "paho", "ai_edge_litert")),
        ("import edge.build", (*NEVER, "tuf", "picamera2", "dash", "collector", "training", "convert", "edge.aiming")),
        (ALL_COMMANDS, (*NEVER, "edge.aiming")),
        (
            "import edge.delivery.publish",
            (*NEVER, "numpy", "cv2", "edge.vision.detect", "edge.camera.capture", "edge.values"),
        ),
        (
            "import edge.counting.track, edge.counting.admit, edge.counting.tally",
            (*NEVER, "cv2", "paho", "ai_edge_litert"),
        ),
        ("import collector.receive.receiver", (*NEVER, "cv2", "dash", "edge", "training", "convert")),
        ("import collector.web.serve", ("cv2", "tensorflow", "keras", "edge", "training", "convert")),
    ],
    ids=[
        "contract",
        "edge --help",
        "edge.build",
        "all commands",
        "edge.delivery.publish",
        "pure stages",
        "collector.receive.receiver",
        "collector.web.serve",
    ],
)
def test_heavy_modules_are_not_loaded(code, absent):
    """A device loads no pandas and a receiver no OpenCV; ``--help`` loads neither NumPy nor OpenCV."""
    program = f"{code}\nimport sys\nprint(*(name for name in {absent!r} if name in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.split() == []
