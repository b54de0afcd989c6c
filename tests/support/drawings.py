"""Small sets of drawn faces to train on, and the training commands."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.support import training_commands
from training.data.label_targets import FER2013_LABELS, FERPLUS_LABELS

ROOT = Path(__file__).parents[2]
KINDS = {"happiness": 0.9, "sadness": -0.9, "neutral": 0.0}
"""Labels of drawn faces, with the curvature of their mouths."""
OWN = {
    "satisfied": {"happiness": 1.0, "surprise": 0.5},
    "dissatisfied": {"anger": 1.0, "disgust": 1.0, "sadness": 1.0},
    "neutral": {"neutral": 1.0},
}
RECIPE = """\
[model]
task = "classify"
name = "mood"
width = 48
height = 48
network = "cnn"
steps = 80
batch = 16
peak_rate = 4e-3
ema = 0.9
margin = 0.0
augment_strength = 0.1
data = "Drawn faces."
[model.labels]
satisfied = { happiness = 1, surprise = 0.5 }
dissatisfied = { anger = 1, disgust = 1, sadness = 1 }
neutral = { neutral = 1 }
"""


def draw_faces(count, side, rng):
    """Return drawn faces, uint8 (count, side, side), and the index of each in `KINDS`."""
    from convert.golden_samples import face

    mouths = list(KINDS.values())
    chosen = rng.integers(3, size=count)
    drawn = [face((side, side), [(side / 2 + rng.normal(), side / 2, side * 0.42, mouths[kind])]) for kind in chosen]
    return np.stack(drawn), chosen


def draw_cache(path):
    """Write a cache of drawn faces as `training prepare` does.

    In the test set, one photograph has no detected face, and one has a wrong label.
    """
    from training.data.face_cache import write
    from training.data.fer2013 import FerFaces
    from training.data.photographs import SIDE, Photographs

    rng = np.random.default_rng(5)
    pixels, kind = draw_faces(180, 48, rng)
    photos, photo_kind = draw_faces(60, SIDE, rng)
    photo_kind[-2] = (photo_kind[-2] + 1) % len(KINDS)
    votes = np.zeros((180, 10), np.uint8)
    names = np.array(list(KINDS))
    for row, each in enumerate(kind):
        votes[row, FERPLUS_LABELS.index(names[each])] = 10
    own = np.array([FER2013_LABELS.index(names[each]) for each in kind], np.uint8)
    parts = np.array(["train", "validation", "test"])
    side = np.full(60, 50, np.float32)
    side[-1] = 0
    write(
        path,
        FerFaces(pixels, votes, own, np.repeat(parts, [100, 40, 40])),
        Photographs(photos, names[photo_kind], np.repeat(parts, 20), side),
    )


def draw_backbone(folder):
    """Write a minimal backbone: stride 8 at the layer `networks.JOINT`, stride 16 at its end."""
    layers, channels = [], 1
    for name, stride, out in (("1", 2, 4), ("2", 2, 4), ("11", 2, 6), ("12", 2, 8)):
        kernel = {"kernel": "(3, 3)", "stride": f"({stride}, {stride})", "groups": 1, "out": out, "bias": False}
        layers.append({"layer": f"convolution{name}", "op": "conv", "in": channels, **kernel})
        layers += [{"layer": f"batchnorm{name}", "op": "batchnorm", "eps": 1e-5}, {"layer": f"relu{name}", "op": "max"}]
        channels = out
    layers.append({"layer": "flatten", "op": "Flatten"})
    (folder / "small.json").write_text(json.dumps({"layers": layers}))
    rng, arrays = np.random.default_rng(3), {}
    for each in layers[:-1:3]:
        name, out = each["layer"], each["out"]
        arrays[f"{name}_weight"] = rng.normal(0, 0.3, (out, each["in"], 3, 3)).astype(np.float32)
        norm = name.replace("convolution", "batchnorm")
        of_norm = {"gamma": 1.5, "beta": 0.2, "moving_mean": 0.1, "moving_var": 2.0}
        arrays |= {f"{norm}_{part}": np.full(out, value, np.float32) for part, value in of_norm.items()}
    np.savez(folder / "small.npz", **arrays)
    return folder / "small.npz"


def train(run, recipe, *arguments):
    """Run `training train` on a recipe."""
    command = [sys.executable, "-m", "training", "train", str(recipe), "--run", str(run), *arguments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)


def run(arguments, folder, code=0):
    """Run a training command with `RECIPE`; fail with its output if its exit code is not ``code``."""
    (folder / "mood.toml").write_text(RECIPE)
    return training_commands.run(
        "training", arguments[0], folder / "mood.toml", "--run", folder, *arguments[1:], code=code
    )


def weights(run):
    """Return the weights of the float model of a run."""
    from training.networks.architectures import load_model

    return load_model(run / "model.keras").get_weights()
