"""Models that devices report to the collector."""

import numpy as np

from contract.message import BundleIdentity, Model
from tests.support.store import SEVEN


def bundle(number: int, right: int = 9) -> BundleIdentity:
    """Return a classifier with two labels, a hash made of ``number``, and ``right`` of ten predictions correct."""
    sha256, confusion = f"{number:012x}".ljust(64, "0"), ((right, 10 - right), (10 - right, right))
    return BundleIdentity(name="e", sha256=sha256, labels=("a", "b"), confusion=confusion)


def model() -> Model:
    """Return the model message for the windows of `tests.support.store`; nine of ten predictions are correct."""
    confusion = tuple(map(tuple, (np.eye(7, dtype=int) * 530 + 10).tolist()))
    seven = BundleIdentity(name="seven", sha256="ba9876543210" + "0" * 52, labels=SEVEN[:7], confusion=confusion)
    return Model(schema=1, detector=BundleIdentity(name="faces", sha256="0" * 64), expression=seven)
