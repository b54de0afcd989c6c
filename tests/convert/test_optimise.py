"""Rearranging a network changes none of its outputs, and leaves only operators with fast kernels."""

import copy
import functools
import os

import numpy as np
import pytest

from contract.card import ClassifierCard
from contract.errors import BundleError
from edge.vision import bundle
from edge.vision.interpreter import Interpreter
from tests.support.bundles import copied

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")

SIDE = 16
"""Side of the images of the small networks."""


def images(count, height, width, seed=0):
    """Noise (n, h, w, 1) of different brightness."""
    brightest = np.linspace(60, 255, count)[:, None, None, None]
    return (np.random.default_rng(seed).random((count, height, width, 1)) * brightest).astype(np.uint8)


@functools.cache
def as_converted(name, height, width):
    """An int8 network of this project with random weights, in the converter's arrangement."""
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


def assert_same_outputs(before, after, height, width):
    """All outputs are equal, for one image and for several, and different images have different outputs."""
    old, new = Interpreter(before), Interpreter(after)
    assert new.input == old.input or (new.input.scale, new.input.zero_point) == (old.input.scale, old.input.zero_point)
    for count in (1, 5, 1):
        pixels = images(count, height, width, seed=count)
        wanted, given = old.run(pixels), new.run(pixels)
        assert wanted.keys() == given.keys()
        for name, values in wanted.items():
            assert np.array_equal(given[name], values)
        assert count == 1 or any(len(np.unique(each, axis=0)) > 1 for each in wanted.values())


@pytest.mark.parametrize(
    ("name", "height", "width"), [("detector", 64, 96), ("detector", 72, 104), ("check", 64, 64), ("cnn", 48, 48)]
)
def test_outputs_stay_the_same(name, height, width):
    """72 and 104 are padded to multiples of 32 inside the detector. Rearranged networks stay as they are."""
    from convert.optimise import optimise

    content = as_converted(name, height, width)
    rearranged = optimise(content)
    assert rearranged != content
    assert_same_outputs(content, rearranged, height, width)
    assert optimise(rearranged) == rearranged


def test_shapes_are_constant_and_the_first_convolution_takes_pairs():
    """A detector keeps four kinds of operators; the converter leaves ten."""
    from convert.optimise import optimise
    from convert.quantise import operators

    content = as_converted("detector", 64, 96)
    rearranged = optimise(content)
    assert {"SHAPE", "TILE", "STRIDED_SLICE"} < set(operators(content))
    assert operators(rearranged) == ("ADD", "CONCATENATION", "CONV_2D", "RESHAPE")
    assert [each for each in kernels(rearranged) if each[-1] == 2] == [(16, 3, 2, 2)]


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


def weights(*shape):
    return tf.constant(np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32) / 2)


def convolved(x, padding="SAME"):
    return tf.nn.relu6(tf.nn.conv2d(x, weights(3, 3, 1, 8), 2, padding))


def pooled(x):
    return tf.reduce_mean(x, [1, 2])


def two_with_equal_weights(x):
    """The converter stores the weights once."""
    return pooled(convolved(x)) + tf.reduce_max(convolved(x * 0.5), [1, 2])


def grouped(x):
    """A kernel of one channel for an input of four."""
    spread = tf.nn.relu6(tf.nn.conv2d(x, weights(1, 1, 1, 4), 1, "SAME"))
    return pooled(tf.nn.conv2d(spread, weights(3, 3, 1, 8), 2, "SAME"))


def token_before_cells(x):
    """The number of repetitions is computed."""
    count = tf.shape(x)[0]
    cells = tf.reshape(convolved(x), [count, SIDE * SIDE // 4, 8])
    return tf.reduce_mean(tf.concat([tf.tile(weights(1, 1, 8), [count, 1, 1]), cells], 1), 1)


def mirrored_as_a_batch(x):
    """Twice as many images as go in; the batch is the second axis later."""
    both = pooled(convolved(tf.concat([x, tf.reverse(x, [2])], 0)))
    return tf.reduce_mean(tf.reshape(both, [2, tf.shape(x)[0], 8]), 0)


def batch_on_the_second_axis(x):
    return tf.reduce_max(tf.nn.relu(tf.expand_dims(pooled(convolved(x)), 0)), 0)


def small(network, width=SIDE):
    """The int8 file of a function of images (n, SIDE, width, 1) with uint8 input."""
    module = tf.Module()
    module.run = tf.function(
        lambda pixels: {"logits": network(pixels)}, input_signature=[tf.TensorSpec([None, SIDE, width, 1], tf.float32)]
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [each[None].astype(np.float32) / 128 - 1] for each in images(8, SIDE, width)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tf.uint8, tf.int8
    return converter.convert()


@pytest.mark.parametrize(
    ("network", "width", "pairs"),
    [
        (lambda x: pooled(convolved(x)), SIDE, 1),
        (lambda x: pooled(convolved(x)), SIDE + 1, 0),
        (lambda x: pooled(convolved(x, "VALID")), SIDE, 0),
        (two_with_equal_weights, SIDE, 2),
        (grouped, SIDE, 0),
        (token_before_cells, SIDE, 1),
        (mirrored_as_a_batch, SIDE, 1),
        (batch_on_the_second_axis, SIDE, 1),
    ],
)
def test_other_networks_keep_their_outputs(network, width, pairs):
    """What cannot be rearranged stays, and the rest is rearranged all the same: the input becomes int8."""
    from convert.optimise import optimise

    content = small(network, width)
    rearranged = optimise(content)
    assert [own_dtype(each) for each in (content, rearranged)] == [np.uint8, np.int8]
    assert sum(each[-1] == 2 for each in kernels(rearranged)) == pairs
    assert_same_outputs(content, rearranged, SIDE, width)


def test_input_that_is_read_twice_stays_uint8():
    """Without the first conversion the second one would have no pixels."""
    from tensorflow.lite.tools import flatbuffer_utils

    from convert.optimise import optimise

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(small(lambda x: pooled(convolved(x)))))
    (graph,) = model.subgraphs
    second = copy.deepcopy(graph.operators[0])
    graph.tensors.append(copy.deepcopy(graph.tensors[second.outputs[0]]))
    second.outputs = [len(graph.tensors) - 1]
    graph.tensors[-1].name = b"again"
    graph.operators.append(second)
    graph.outputs = [*graph.outputs, second.outputs[0]]
    content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    rearranged = optimise(content)
    assert own_dtype(rearranged) == np.uint8
    assert [each for each in kernels(rearranged) if each[-1] == 2] == [(8, 3, 2, 2)]
    assert_same_outputs(content, rearranged, SIDE, SIDE)


def own_dtype(content):
    """The dtype of the file's own input."""
    from ai_edge_litert.interpreter import Interpreter as LiteRT

    return LiteRT(model_content=content).get_input_details()[0]["dtype"]


def test_a_network_whose_outputs_would_change_is_left_as_it_is(monkeypatch):
    """Outputs are compared before the rearranged network is returned."""
    from convert import optimise

    def pair_wrongly(network):
        (kernel,) = [
            each for each in network._graph.tensors if each.shape is not None and list(each.shape) == [8, 3, 3, 1]
        ]
        kernel.quantization.scale = kernel.quantization.scale * 2
        return True

    monkeypatch.setattr(optimise._Network, "pair_columns", pair_wrongly)
    content = small(lambda x: pooled(convolved(x)))
    assert optimise.optimise(content) == content


def test_a_bundle_is_rewritten_with_a_new_version(tmp_path):
    """The new bundle loads with the old golden samples; only version, hash and operators of the card change."""
    from convert.__main__ import main

    card = as_uint8(tmp_path / "old")
    assert main(["optimise", str(card), "--version", "9.9", "--out", str(tmp_path / "new")]) == 0
    old, new = (bundle.load(path, ClassifierCard).card for path in (card, tmp_path / "new" / card.name))
    assert new.version == "9.9"
    changed = {name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)}
    assert changed == {"version", "sha256", "operators"}
    assert own_dtype((tmp_path / "new/expression.tflite").read_bytes()) == np.int8


def as_uint8(folder):
    """A bundle of an older release, whose own input is uint8."""
    card = copied("expression", folder)
    assert own_dtype(card.with_suffix(".tflite").read_bytes()) == np.uint8
    return card


@pytest.mark.parametrize(
    ("card", "version", "out", "complaint"),
    [
        ("expression", "1.5.0", "new", "--version: must be another than that of the bundle, '1.5.0', is '1.5.0'"),
        ("expression", "", "new", "--version: must be another than that of the bundle, '1.5.0', is ''"),
        ("@/expression.json", "9.9", ".", "--out: must be another folder than that of the bundle, is @"),
        ("face-416x320", "9.9", "new", "face-416x320.json: nothing to rearrange"),
        ("@/missing.json", "9.9", "new", "@/missing.json: No such file or directory"),
        ("nobody", "9.9", "new", "nobody: no bundle of that name is shipped"),
        ("expression", "9.9", "expression.json", "File exists: '@/expression.json'"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, capsys, card, version, out, complaint):
    """The exit code is 2, and no bundle is written or replaced."""
    from convert.__main__ import main

    as_uint8(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    arguments = ["optimise", card.replace("@", str(tmp_path)), "--version", version, "--out", str(tmp_path / out)]
    assert main(arguments) == 2
    assert complaint.replace("@", str(tmp_path)) in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_damaged_bundle_is_not_rearranged(tmp_path):
    """The card is checked first."""
    from convert.optimise_bundle import optimise_bundle

    card = as_uint8(tmp_path)
    card.with_suffix(".tflite").write_bytes(b"damaged")
    with pytest.raises(BundleError, match="sha256 is"):
        optimise_bundle(card, tmp_path / "new", "9.9")
