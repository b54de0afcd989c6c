"""Prepare the detector's training data: read all published images and write them to the cache."""

import itertools
from collections.abc import Callable
from pathlib import Path

from training.data import everyday_images, labelled_images, scene_images
from training.data.fer2013 import OnBroken
from training.data.labelled_images import LabelledImage, Labeller


def prepare(
    data: Path,
    cache: Path,
    broken: OnBroken,
    teacher: Labeller | None = None,
    finish: Callable[[LabelledImage], LabelledImage] = lambda image: image,
) -> None:
    """Read ``scenes.zip`` and, if it exists, ``diverse.zip`` with their lists, and write ``cache``.

    A ``teacher`` labels the training images anew. ``finish`` is applied to each image before it is written.
    SettingsError names an image that cannot be read, unless ``broken`` is ``skip``.
    """
    sources = (scene_images.read(data, broken, teacher), everyday_images.read(data, broken, teacher))
    labelled_images.write(cache, map(finish, itertools.chain(*sources)))
