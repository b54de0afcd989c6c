"""The daemon and its networks on emulated arm64 boards give the results of this machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.machines import arm64
from benchmarks.machines.debian import missing_requirements
from demo.broker import broker
from tests.support.check_rows import check_rows

ROOT = Path(__file__).parents[2]
MISSING = missing_requirements(*arm64.PROGRAMS)
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"cannot emulate an arm64 board: {MISSING}"),
    pytest.mark.timeout(1800),
]
CONFIG = """\
site = "shop-1"
device = "door"
[capture]
source = "file"
path = "walk-by.mp4"
[admit]
staff_zones = []
[detect]
every = 3  # an emulated detection takes up to a second
[privacy]
k = 1
[broker]
host = "127.0.0.1"
port = {port}
confirm = "broker"
[spool]
path = "spool.sqlite"
"""
ON_EACH_CORE = [("bookworm", "a53"), ("bookworm", "a72"), ("bookworm", "a76"), ("trixie", "a76")]
MAX_ROUNDED = 3e-3
"""Fraction of pixels that OpenCV may round to the next grey level: its float arithmetic differs on arm64."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with portraits, the clip of the demonstration, and the network outputs of this machine."""
    data = pytest.importorskip("skimage.data", reason="scikit-image provides the portrait")
    cbook = pytest.importorskip("matplotlib.cbook", reason="matplotlib provides the other portrait")
    from demo.clip import compose

    made = tmp_path_factory.mktemp("arm64")
    shutil.copy(Path(data.__file__).parent / "astronaut.png", made)
    shutil.copy(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False), made)
    compose(made / "walk-by.mp4")
    from benchmarks.speed.run_networks import inputs

    np.savez(made / "inputs.npz", **inputs(images(made)))
    run_here(made, ROOT / "benchmarks/speed/run_networks.py", "inputs.npz", "host.npz", *map(str, images(made)))
    return made


def images(folder):
    return [folder / "astronaut.png", folder / "grace_hopper.jpg"]


def run_here(folder, *arguments):
    """Run Python on this machine, and return its output."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return output_of(subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False))


def output_of(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outputs(folder, system, core):
    """Return the network outputs and preprocessed images of this machine and of a board."""
    script = ROOT / "benchmarks/speed/run_networks.py"
    names = map(str, images(folder))
    output_of(arm64.board(system, core).run(script, "inputs.npz", "board.npz", *names, folder=folder))
    return dict(np.load(folder / "host.npz")), dict(np.load(folder / "board.npz"))


def difference(ours, theirs):
    """Return the absolute difference in quantisation steps or grey levels."""
    return np.abs(ours.astype(int) - theirs.astype(int))


@pytest.mark.parametrize(("system", "core"), ON_EACH_CORE)
def test_both_networks_give_the_same_bits(folder, system, core):
    """LiteRT gives the int8 outputs of x86-64 on a53, a72 and a76 (with dot product), on Debian 12 and 13. The images
    preprocessed by OpenCV agree to one grey level."""
    ours, theirs = outputs(folder, system, core)
    assert ours.keys() == theirs.keys()
    for name in ours:
        off = difference(ours[name], theirs[name])
        if name.startswith("preprocessed/"):
            assert off.max() <= 1, name
            assert (off > 0).mean() <= MAX_ROUNDED, name
        else:
            assert off.max() == 0, f"{name}: {(off > 0).sum()} of {off.size} differ, by up to {off.max()}"


def test_the_older_runtime_stays_within_the_cards_tolerance(folder):
    """tflite-runtime 2.14 rounds differently after each layer, within the tolerance of the golden samples."""
    from edge import build

    tolerance = build.detector_bundle().card.golden[0].tolerance
    ours, theirs = outputs(folder, "bookworm-tflite", "a72")
    for name in ours:
        if not name.startswith("preprocessed/"):
            off = difference(ours[name], theirs[name])
            print(f"{name}: {(off <= 1).mean():.3f} within one step, {off.max()} at most")
            assert off.max() <= tolerance, name
            assert np.median(off) <= 1, name


@pytest.fixture(scope="module")
def here(folder):
    """The faces that this machine finds in the portraits, and the visits that it counts in the clip."""
    (folder / "here.toml").write_text(CONFIG.format(port=1883))
    found = predictions(run_here(folder, "-m", "edge", "try", "--json", *(path.name for path in images(folder))))
    return found, json.loads(run_here(folder, "-m", "edge", "run", "--config", "here.toml", "--stdout"))["visits"]


def predictions(printed):
    """Return image name, and box, label and probabilities of each face, from the output of ``try --json``."""
    return [
        (row["image"], [(face["box"], face["expression"], face["probabilities"]) for face in row["faces"]])
        for row in map(json.loads, printed.splitlines())
    ]


@pytest.mark.parametrize("system", ["bookworm", "trixie", "bookworm-tflite"])
def test_the_daemon_checks_tries_and_counts(folder, here, tmp_path, system):
    """On Python 3.11 and 3.13, and with tflite-runtime 2.14: `check` passes with a broker; `try` gives the same faces,
    with the older runtime to within five pixels and 0.1; the five visits of the clip get the labels of this machine.
    """
    board = arm64.board(system, "a76")
    with broker(tmp_path, "mosquitto") as (_, port):
        (folder / "edge.toml").write_text(CONFIG.format(port=port))
        checked = output_of(board.run(board.daemon, "check", "--config", "edge.toml", folder=folder))
    rows = check_rows(checked)
    del rows["speed"]  # emulation is slow
    assert "FAILED" not in {row.state for row in rows.values()}
    assert {rows[part].state for part in ("detector", "classifier", "camera", "spool", "broker")} == {"ok"}
    assert ("tflite_runtime" if "tflite" in system else "ai_edge_litert") in checked
    portraits = [path.name for path in images(folder)]
    found = predictions(output_of(board.run(board.daemon, "try", "--json", *portraits, folder=folder)))
    found_here, counted_here = here
    for (image, faces), (same, ours) in zip(found, found_here, strict=True):
        assert image == same
        for (box, label, probabilities), (our_box, our_label, our_probabilities) in zip(faces, ours, strict=True):
            assert box == pytest.approx(our_box, abs=5.0 if "tflite" in system else 1.0)
            assert label == our_label
            assert probabilities == pytest.approx(our_probabilities, abs=0.1 if "tflite" in system else 0.05)
    run = ("run", "--config", "edge.toml", "--stdout")
    counted = json.loads(output_of(board.run(board.daemon, *run, folder=folder)))["visits"]
    assert counted == counted_here
    assert sum(counted.values()) == 5
