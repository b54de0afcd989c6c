"""Training on an accelerator: with JAX as the backend of Keras, the same commands give the same networks."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support.drawings import RECIPE, ROOT, draw_cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("jax", reason="JAX is not installed (pip install jax)")


def with_jax(*command):
    """Run Python with JAX as the backend of Keras, on the CPU."""
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_depthwise_convolution_by_shifted_products_is_the_same():
    """The result equals that of Keras for each padding and stride, for odd and even sides."""
    with_jax(
        "-c",
        "import itertools, keras, numpy as np; from training.networks.depthwise import Depthwise\n"
        "for padding, stride, side in itertools.product(('same', 'valid'), (1, 2), (9, 10)):\n"
        "    pixels = np.random.default_rng(0).normal(size=(2, side, side + 1, 5)).astype(np.float32)\n"
        "    mine = Depthwise(3, stride, padding, bias_initializer='ones')\n"
        "    given, other = mine(pixels), keras.layers.DepthwiseConv2D(3, stride, padding)\n"
        "    other.build(pixels.shape); other.set_weights(mine.get_weights())\n"
        "    np.testing.assert_allclose(given, other(pixels), atol=1e-5)\n",
    )


def test_what_jax_trains_tensorflow_reads(tmp_path):
    """A student that JAX has trained with a teacher predicts the same when TensorFlow loads it."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")
    from training.networks.architectures import load_model

    recipe = tmp_path / "mood.toml"
    recipe.write_text(RECIPE)
    for run, more in (("teacher", ()), ("student", (f"teachers=['{tmp_path / 'teacher'}']", "teacher_input=views"))):
        draw_cache(tmp_path / run / "cache.npz")
        keys = [word for key in ("steps=6", "mixup=0.3", *more) for word in ("--set", f"model.{key}")]
        with_jax("-m", "training", "train", recipe, "--run", tmp_path / run, *keys)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1)).astype(np.float32)
    np.save(tmp_path / "pixels.npy", pixels)
    answer = "import sys, numpy as np; from training.networks.architectures import load_model; folder = sys.argv[1]\n"
    answer += "model = load_model(__import__('pathlib').Path(folder) / 'student' / 'model.keras')\n"
    answer += "np.save(folder + '/answers.npy', model.predict_on_batch(np.load(folder + '/pixels.npy')))"
    with_jax("-c", answer, tmp_path)
    here = load_model(tmp_path / "student" / "model.keras").predict_on_batch(pixels)
    np.testing.assert_allclose(here, np.load(tmp_path / "answers.npy"), atol=1e-3)
