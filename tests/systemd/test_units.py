"""The units: what systemd says of them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from collector.settings import read_settings
from edge.build import detector_bundle
from edge.settings import Settings, read

ALL = sorted((Path(__file__).parents[2] / "systemd").glob("*/*.service"))
ONCE = "facetally-first-boot"
"""Installs a card, as root, and is gone then: what runs from then on is confined."""
UNITS = [unit for unit in ALL if unit.stem != ONCE]
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
EXPOSURE = 25
"""Tenths; systemd calls up to 2.5 "OK" at worst."""
ONCE_EXPOSURE = 40


def test_there_are_three():
    """Daemon, collector, page; and what installs a card."""
    assert [unit.stem for unit in UNITS] == ["facetally-collector", "facetally-edge", "facetally-web"]
    assert len(ALL) == 4


@needs_systemd
@pytest.mark.parametrize("unit", ALL, ids=lambda unit: unit.stem)
def test_a_unit_has_no_errors(unit, tmp_path):
    """No unknown key or value; its program, which is not installed here, stands for itself."""
    text = unit.read_text()
    (tmp_path / unit.name).write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.M))
    command = ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_confined(unit):
    """Exposure of at most 2.5; what is left open stands in the unit with its reason."""
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-400:]
    assert "Left open" in unit.read_text() or "loopback" in unit.read_text()


@needs_systemd
def test_the_unit_that_installs_a_card_is_confined_as_far_as_it_goes():
    """It must write to the system; what it has no use for is closed, and the rest has its reason."""
    (unit,) = (each for each in ALL if each.stem == ONCE)
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={ONCE_EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-400:]
    assert "Left open, and why" in unit.read_text()


def test_the_daemon_is_watched_and_never_given_up():
    """Ready when it is, watched by frames, started again for ever, nothing dumped."""
    text = (UNITS[1]).read_text()
    for line in ("Type=notify", "WatchdogSec=90", "Restart=always", "StartLimitIntervalSec=0", "LimitCORE=0"):
        assert f"\n{line}\n" in text


def test_the_sample_configurations_are_right():
    """The collector's as it stands; the daemon's with the one key that has no default."""
    folder = UNITS[0].parent
    assert read_settings(folder / "collector.toml").store.root == "/var/lib/facetally-store"
    assert read(folder / "edge.toml", ("admit.staff_zones=[]",)).privacy.k == 5


def sample():
    """The daemon's sample configuration, what is commented out in it too."""
    text = (UNITS[0].parent / "edge.toml").read_text()
    return msgspec.toml.decode(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.M))


def fields_of(struct, table=""):
    """Dotted key, default (None where it has none) of all that a table may hold, in whichever of its forms."""
    for field in msgspec.structs.fields(struct):
        default = None if field.default is msgspec.NODEFAULT else field.default
        inner = structs_in(field.type)
        for each in inner:
            yield from fields_of(each, f"{table}{field.encode_name}.")
        if not inner:
            yield table + field.encode_name, default


def structs_in(kind):
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [struct for part in get_args(kind) for struct in structs_in(part)]


OTHERWISE = {"capture.fps", "spool.path", "admit.hours.days"}
"""What the sample says otherwise, and says so: a folder of pictures has another rate, a service another place."""


def test_the_sample_has_every_key_with_its_default():
    """None is missing, none is left from before, and each that has a default stands there with it; so does the shipped
    detector's threshold."""
    values = dict(flat(sample()))
    known = list(fields_of(Settings))
    assert set(values) == {key for key, _ in known} | {"capture.source"}
    wrong = {key: (values[key], default) for key, default in known if default not in (None, values[key])}
    assert set(wrong) <= OTHERWISE, wrong
    assert values["detect.threshold"] == detector_bundle().card.threshold


def flat(tree, table=""):
    """Nested tables -> dotted key and value."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{table}{key}.")
        else:
            yield table + key, value
