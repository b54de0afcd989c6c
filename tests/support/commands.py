"""Configurations and output of the commands, and the packages of the wheel."""

from pathlib import Path

import msgspec

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
    """Return the error message in the last line; there must be no traceback before it."""
    assert not any("Traceback" in line for line in errors)
    assert errors[-1].startswith("facetally-edge: ")
    return errors[-1].removeprefix("facetally-edge: ")


def windows(out):
    """Decode the counts messages that a command has printed."""
    return [decode(line.encode(), Counts) for line in out]


def packages():
    """Return the names of the packages in the wheel, from pyproject.toml."""
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    return tuple(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
