"""The daemon and its networks on emulated arm64 boards, beside this machine, in one run."""

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

ROOT = Path(__file__).parents[2]
LACKING = missing_requirements(*arm64.PROGRAMS)
pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"no arm64 board can be made: {LACKING}"),
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
every = 3  # an emulated look takes up to a second
[privacy]
k = 1
[publish]
host = "127.0.0.1"
port = {port}
confirm = "broker"
[spool]
path = "spool.sqlite"
"""
ON_EACH_CORE = [("bookworm", "a53"), ("bookworm", "a72"), ("bookworm", "a76"), ("trixie", "a76")]
CUT = 3e-3
"""Share of pixels that OpenCV may round to the next grey level: its float arithmetic is another on arm64."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Portraits, the demonstration's clip, and what this machine makes of the same pixels."""
    data = pytest.importorskip("skimage.data", reason="scikit-image brings the portrait")
    cbook = pytest.importorskip("matplotlib.cbook", reason="matplotlib brings the other")
    from demo.clip import compose

    made = tmp_path_factory.mktemp("arm64")
    shutil.copy(Path(data.__file__).parent / "astronaut.png", made)
    shutil.copy(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False), made)
    compose(made / "walk-by.mp4")
    from benchmarks.speed.run_networks import inputs

    np.savez(made / "inputs.npz", **inputs(pictures(made)))
    here(made, ROOT / "benchmarks/speed/run_networks.py", "inputs.npz", "here.npz", *map(str, pictures(made)))
    return made


def pictures(folder):
    return [folder / "astronaut.png", folder / "grace_hopper.jpg"]


def here(folder, *arguments):
    """Python on this machine; what it printed."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return said(subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False))


def said(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def outputs(folder, system, core):
    """What a board makes of the inputs, and how it cuts the pictures; and the same of this machine."""
    script = ROOT / "benchmarks/speed/run_networks.py"
    names = map(str, pictures(folder))
    said(arm64.board(system, core).run(script, "inputs.npz", "there.npz", *names, folder=folder))
    return dict(np.load(folder / "here.npz")), dict(np.load(folder / "there.npz"))


def steps(ours, theirs):
    return np.abs(ours.astype(int) - theirs.astype(int))


@pytest.mark.parametrize(("system", "core"), ON_EACH_CORE)
def test_both_networks_give_the_same_bits(folder, system, core):
    """LiteRT on a53, a72 and a76 (which has a dot product), Debian 12 and 13: every int8 value is that of x86-64. What
    goes into them is cut by OpenCV to within one grey level."""
    ours, theirs = outputs(folder, system, core)
    assert ours.keys() == theirs.keys()
    for name in ours:
        off = steps(ours[name], theirs[name])
        if name.startswith("cut/"):
            assert off.max() <= 1, name
            assert (off > 0).mean() <= CUT, name
        else:
            assert off.max() == 0, f"{name}: {(off > 0).sum()} of {off.size} differ, by up to {off.max()}"


def test_the_older_runtime_stays_within_the_cards_tolerance(folder):
    """tflite-runtime 2.14 rounds after each layer in its own way: golden samples hold, and the faces are the same."""
    from edge import build

    tolerance = build.detector_bundle().card.golden[0].tolerance
    ours, theirs = outputs(folder, "bookworm-tflite", "a72")
    for name in ours:
        if not name.startswith("cut/"):
            off = steps(ours[name], theirs[name])
            print(f"{name}: {(off <= 1).mean():.3f} within one step, at most {off.max()} off")
            assert off.max() <= tolerance, name
            assert np.median(off) <= 1, name


def seen(printed):
    """Rows of ``try --json``: picture, and of each face place, label and probabilities."""
    return [
        (row["image"], [(face["box"], face["expression"], face["probabilities"]) for face in row["faces"]])
        for row in map(json.loads, printed.splitlines())
    ]


@pytest.mark.parametrize("system", ["bookworm", "trixie", "bookworm-tflite"])
def test_the_daemon_checks_tries_and_counts(folder, tmp_path, system):
    """On Python 3.11 and 3.13, and with tflite-runtime 2.14: `check` finds nothing wrong, with a broker; `try` sees the
    same faces, by the older runtime within five pixels and a tenth; the clip's five visits are counted under the same
    expressions as here."""
    board = arm64.board(system, "a76")
    with broker(tmp_path, "mosquitto") as (_, port):
        (folder / "edge.toml").write_text(CONFIG.format(port=port))
        checked = said(board.run(board.daemon, "check", "--config", "edge.toml", folder=folder))
    assert checked.count("ok      ") == 7
    assert ("tflite_runtime" if "tflite" in system else "ai_edge_litert") in checked
    portraits = [path.name for path in pictures(folder)]
    there = seen(said(board.run(board.daemon, "try", "--json", *portraits, folder=folder)))
    for (image, faces), (same, ours) in zip(
        there, seen(here(folder, "-m", "edge", "try", "--json", *portraits)), strict=True
    ):
        assert image == same
        for (box, label, shares), (our_box, our_label, our_shares) in zip(faces, ours, strict=True):
            assert box == pytest.approx(our_box, abs=5.0 if "tflite" in system else 1.0)
            assert label == our_label
            assert shares == pytest.approx(our_shares, abs=0.1 if "tflite" in system else 0.05)
    run = ("run", "--config", "edge.toml", "--stdout")
    counted = json.loads(said(board.run(board.daemon, *run, folder=folder)))["visits"]
    assert counted == json.loads(here(folder, "-m", "edge", *run))["visits"]
    assert sum(counted.values()) == 5
