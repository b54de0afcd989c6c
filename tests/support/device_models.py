"""Models that devices report to the collector."""

import numpy as np

from contract.message import Bundle, Model
from tests.support.store import SEVEN


def bundle(number: int, right: int = 9) -> Bundle:
    """A classifier of two labels whose file has this number, and that is right so often in ten."""
    sha256, confusion = f"{number:012x}".ljust(64, "0"), ((right, 10 - right), (10 - right, right))
    return Bundle(name="e", sha256=sha256, labels=("a", "b"), confusion=confusion)


def model() -> Model:
    """The one of `window`, that is right in nine of ten."""
    sure = tuple(map(tuple, (np.eye(7, dtype=int) * 530 + 10).tolist()))
    seven = Bundle(name="seven", sha256="ba9876543210" + "0" * 52, labels=SEVEN[:7], confusion=sure)
    return Model(schema=1, detector=Bundle(name="faces", sha256="0" * 64), expression=seven)
