"""The interpreter runs real TFLite models, and reports files and runtimes that do not work."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contract.errors import BundleError
from edge.errors import RuntimeMissing
from edge.vision.bundle import SHIPPED
from edge.vision.interpreter import RUNTIMES, Interpreter, dequantise

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def contents():
    return {name: (SHIPPED / f"{name}.tflite").read_bytes() for name in ("face-416x320", "expression")}


@pytest.mark.parametrize("name", ["face-416x320", "expression"])
def test_batch_equals_single_runs_bit_for_bit(contents, name):
    """Faces of one frame do not influence each other, whatever the previous batch size was."""
    model = Interpreter(contents[name])
    pixels = np.random.default_rng(3).integers(0, 256, (5, *model.input.shape[1:]), np.uint8)
    alone = [model.run(pixels[index : index + 1]) for index in range(5)]
    for size in (5, 1, 3, 2):
        together = model.run(pixels[:size])
        for output in model.outputs:
            assert (together[output] == np.concatenate([each[output] for each in alone[:size]])).all()


def test_results_belong_to_the_caller(contents):
    """A later run does not change the arrays of an earlier one."""
    model = Interpreter(contents["expression"])
    black, white = (np.full((1, *model.input.shape[1:]), level, np.uint8) for level in (0, 255))
    first = model.run(black)["logits"]
    kept = first.copy()
    assert (model.run(white)["logits"] != kept).any()
    assert (first == kept).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_model_is_int8_end_to_end(contents, threads):
    """Pixels go in as uint8 and integers come out; the number of threads changes no bit.

    The classifier's own input is uint8, the detector's is int8.
    """
    for content, output in ((contents["expression"], "logits"), (contents["face-416x320"], "scores")):
        model, single = Interpreter(content, threads), Interpreter(content)
        assert model.input.dtype is np.uint8
        assert {tensor.dtype for tensor in model.outputs.values()} <= {np.int8, np.uint8}
        assert model.runtime in ("ai_edge_litert", "tflite_runtime", "tensorflow")
        pixels = np.random.default_rng(4).integers(0, 256, (2, *model.input.shape[1:]), np.uint8)
        assert (model.run(pixels)[output] == single.run(pixels)[output]).all()


def test_values_are_dequantised_with_the_tensors_scale(contents):
    """Values are steps of the tensor's scale around its zero point."""
    model = Interpreter(contents["expression"])
    raw = model.run(np.zeros((1, *model.input.shape[1:]), np.uint8))
    tensor = model.outputs["logits"]
    expected = tensor.scale * (raw["logits"].astype(float) - tensor.zero_point)
    assert model.values(raw, "logits") == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("dtype", "raw", "zero_point"),
    [(np.int8, (-128, -1, 0, 127), 127), (np.int8, (-128, 127), -128), (np.uint8, (0, 255), 255), (np.uint8, (0,), 1)],
)
def test_dequantise_widens_before_it_subtracts(dtype, raw, zero_point):
    """As int8, -128 minus 127 would be 1 instead of -255."""
    given = dequantise(np.array(raw, dtype), 0.5, zero_point)
    assert given.dtype == np.float32
    assert given.tolist() == [0.5 * (value - zero_point) for value in raw]


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 4096, b"\x1c\x00\x00\x00TFL3" + b"\xff" * 64])
def test_bytes_that_are_not_a_model_are_refused(content):
    """A file that no runtime can run raises BundleError and does not crash."""
    with pytest.raises(BundleError, match="not a TFLite model"):
        Interpreter(content)


@pytest.mark.parametrize("runtime", [RUNTIMES[0], RUNTIMES[2]])
def test_runtimes_agree_within_the_tolerance(runtime):
    """LiteRT and TensorFlow Lite replay the golden samples of the shipped bundles.

    tflite-runtime has no wheel that works with NumPy 2; test_arm64.py covers it.
    """
    package = runtime.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    script = (
        "import sys; from edge.vision.interpreter import Interpreter\n"
        "Interpreter.__init__.__defaults__ = (1, (sys.argv[1],))\n"
        "from edge.build import classifier_bundle, detector_bundle\n"
        "print(detector_bundle().model.runtime, classifier_bundle().model.runtime)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, runtime], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [package, package]


def test_first_runtime_that_works_is_used(contents):
    """A module that is missing, and one that has no interpreter, are skipped."""
    model = Interpreter(contents["face-416x320"], 1, ("no_such_runtime", "json", *RUNTIMES))
    assert model.runtime == "ai_edge_litert"


def test_error_without_a_runtime_lists_what_was_tried(contents):
    """The message names every runtime and the reason for which it does not work."""
    with pytest.raises(RuntimeMissing, match=r"install ai-edge-litert.*no_such_runtime.*json"):
        Interpreter(contents["face-416x320"], 1, ("no_such_runtime", "json"))
