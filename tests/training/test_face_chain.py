"""The shipped bundles of the task face are rebuilt by one command."""

import os

import pytest

from tests.support.chains import ends_in_its_bundles_and_is_resumed
from tests.support.training_data import write_scenes

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")

BUNDLES = ["face-320x240", "face-416x320", "face-640x480", "face-check"]


@pytest.mark.timeout(3600)  # 13 commands that import TensorFlow; minutes on an idle machine
def test_the_chain_ends_in_its_bundles_and_is_resumed_where_it_stopped(tmp_path):
    """With --smoke all commands run on a few images and steps. A second build needs --resume, and repeats nothing but
    what is missing.
    """
    data = tmp_path / "data"
    data.mkdir()
    write_scenes(data)
    ends_in_its_bundles_and_is_resumed(tmp_path, "face", "yunet=", BUNDLES)
