"""The device's commands in tests: a configuration, and what they print."""

from pathlib import Path

from contract.message import Counts, decode

ROOT = Path(__file__).parents[2]
SMALLEST = """
site = "shop-1"
device = "door"
[capture]
source = "v4l2"
[admit]
staff_zones = []
"""
CONFIG = f"""{SMALLEST}
[privacy]
k = 1
[tally]
window_s = 2
"""


def one_line(errors):
    """The last line, which is the message: no traceback is before it."""
    assert not any("Traceback" in line for line in errors)
    assert errors[-1].startswith("facetally-edge: ")
    return errors[-1].removeprefix("facetally-edge: ")


def windows(out):
    return [decode(line.encode(), Counts) for line in out]
