"""`facetally.analyze`: real images in, faces with boxes and probabilities out; wrong images are named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import facetally

skimage = pytest.importorskip("skimage")
PORTRAIT = Path(skimage.__file__).parent / "data" / "astronaut.png"


def test_a_portrait_has_one_happy_face():
    """The astronaut smiles; the box holds her face; probabilities add up to 1."""
    (face,) = facetally.analyze(PORTRAIT)
    assert face.expression == "happiness"
    assert face.box.left < 224 < face.box.left + face.box.width
    assert face.box.top < 110 < face.box.top + face.box.height
    assert 0.5 < face.score <= 1
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-3)


def test_a_path_and_its_pixels_give_the_same():
    """RGB pixels are what most libraries read an image into; grey ones are taken as they are."""
    rgb = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    (of_path,), (of_pixels,) = facetally.analyze(str(PORTRAIT)), facetally.analyze(rgb)
    assert of_pixels.box == pytest.approx(of_path.box, abs=1)
    assert len(facetally.analyze(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))) == 1
    assert facetally.analyze(np.zeros((48, 64), np.uint8)) == []


def test_scores_below_the_minimum_are_left_out():
    """No face has a score of 1."""
    assert facetally.analyze(PORTRAIT, min_score=1.0) == []


@pytest.mark.parametrize(
    ("image", "options", "says"),
    [
        ("none.png", {}, "image: must be a file or an array of pixels, none.png does not exist"),
        (np.zeros((8, 8), np.float32), {}, "image: must be uint8 of shape (height, width) or (height, width, 3), is f"),
        (np.zeros((8, 8, 4), np.uint8), {}, "image: must be uint8 of shape"),
        (np.zeros((0, 8), np.uint8), {}, "image: must be uint8 of shape"),
        (np.zeros((8, 8), np.uint8), {"min_score": 1.5}, "min_score: must be 0 to 1, is 1.5"),
        (np.zeros((8, 8), np.uint8), {"detector": "none"}, "none"),
    ],
)
def test_wrong_input_is_named(image, options, says):
    """The argument, the value and what is allowed are in the error."""
    with pytest.raises(facetally.FacetallyError) as caught:
        facetally.analyze(image, **options)
    assert str(caught.value).startswith(says)


def test_a_file_that_is_no_image_is_named(tmp_path):
    """A text with an image's name is not an empty image."""
    (tmp_path / "note.png").write_text("no image")
    with pytest.raises(facetally.FacetallyError, match=r"image: must be an image that OpenCV can read, is .*note\.png"):
        facetally.analyze(tmp_path / "note.png")
