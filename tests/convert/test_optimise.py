"""Rearranging a network changes none of its outputs, and leaves only operators with fast kernels."""

import functools
import os

import numpy as np
import pytest

from contract.card import DetectorCard
from contract.errors import BundleError
from edge.vision import bundle
from edge.vision.bundle import golden_output
from edge.vision.interpreter import Interpreter
from tests.support.bundles import copied

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def images(count, height, width, seed=0):
    """Noise (n, h, w, 1) of different brightness."""
    brightest = np.linspace(30, 255, count)[:, None, None, None]
    return (np.random.default_rng(seed).random((count, height, width, 1)) * brightest).astype(np.uint8)


@functools.cache
def as_converted(name, height, width):
    """An int8 network of random weights in the converter's arrangement."""
    import keras

    from convert.quantise import converted
    from training.networks import architectures

    keras.utils.set_random_seed(1)
    network, task = {
        "detector": (lambda: architectures.face_detector(height, width), "detect"),
        "check": (lambda: architectures.face_check(height), "check"),
        "cnn": (lambda: architectures.cnn(height, 7), "classify"),
    }[name]
    return converted(network(), task, images(4, height, width))


@pytest.mark.parametrize(
    ("name", "height", "width"), [("detector", 64, 96), ("detector", 72, 104), ("check", 64, 64), ("cnn", 48, 48)]
)
def test_outputs_stay_the_same(name, height, width):
    """Every output is equal, for one image and for several; 72 and 104 are padded to multiples of 32 inside."""
    from convert.optimise import optimise

    content = as_converted(name, height, width)
    before, after = Interpreter(content), Interpreter(optimise(content))
    for count in (1, 5, 1):
        pixels = images(count, height, width, seed=count)
        wanted = golden_output(before, pixels)
        assert count == 1 or len(np.unique(wanted)) > 1
        assert np.array_equal(golden_output(after, pixels), wanted)
    assert after.input == before.input


def test_shapes_are_constant_and_the_first_convolution_takes_pairs():
    """A detector keeps four kinds of operators; the converter leaves ten."""
    from convert.optimise import optimise
    from convert.quantise import operators

    content = as_converted("detector", 64, 96)
    rearranged = optimise(content)
    assert {"SHAPE", "TILE", "STRIDED_SLICE"} < set(operators(content))
    assert operators(rearranged) == ("ADD", "CONCATENATION", "CONV_2D", "RESHAPE")
    (kernel,) = [each for each in kernels(rearranged) if each[-1] == 2]
    assert kernel == (16, 3, 2, 2)
    assert operators(optimise(rearranged)) == operators(rearranged)  # nothing is left to do
    assert sorted(kernels(optimise(rearranged))) == sorted(kernels(rearranged))


def kernels(content):
    """Shapes of the weights of all convolutions."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    (graph,) = model.subgraphs
    return [
        tuple(int(side) for side in graph.tensors[operator.inputs[1]].shape)
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D
    ]


def test_uint8_input_becomes_int8():
    """Bundles of older releases convert their pixels in the network; the outputs do not change without that."""
    from convert.optimise import optimise

    content = bundle.DEFAULT_CLASSIFIER.with_suffix(".tflite").read_bytes()
    rearranged = optimise(content)
    assert [type_of_input(each) for each in (content, rearranged)] == [np.uint8, np.int8]
    pixels = images(2, 64, 64)
    assert np.array_equal(golden_output(Interpreter(rearranged), pixels), golden_output(Interpreter(content), pixels))


def type_of_input(content):
    """The dtype of the network's own input."""
    from ai_edge_litert.interpreter import Interpreter as LiteRT

    return LiteRT(model_content=content).get_input_details()[0]["dtype"]


def test_a_bundle_is_rewritten_with_a_new_version(tmp_path):
    """The new bundle loads with the old golden samples; only version, hash and operators of the card change."""
    from convert.__main__ import main

    card = copied("face-320x240", tmp_path / "old")
    assert main(["optimise", str(card), "--version", "9.9", "--out", str(tmp_path / "new")]) == 0
    old, new = (bundle.load(path, DetectorCard).card for path in (card, tmp_path / "new" / card.name))
    assert new.version == "9.9"
    changed = {name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)}
    assert changed <= {"version", "sha256", "operators"}


def test_a_network_that_changes_is_refused(tmp_path, monkeypatch):
    """If an output differed, nothing would be written."""
    from convert import optimise_bundle

    other = (bundle.SHIPPED / "expression.tflite").read_bytes()
    flipped = bytearray(other)
    place = len(other) * 3 // 4
    flipped[place : place + 400] = bytes(400)
    monkeypatch.setattr(optimise_bundle, "optimise", lambda _: bytes(flipped))
    with pytest.raises(BundleError, match=r"expression.json: outputs of the rearranged network must be those of the"):
        optimise_bundle.optimise_bundle(bundle.DEFAULT_CLASSIFIER, tmp_path, "9.9")
    assert not list(tmp_path.iterdir())
