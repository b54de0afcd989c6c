"""The systemd units: checked by systemd-analyze; and the sample configurations."""

import json
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

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "systemd"
ALL = sorted(SYSTEMD.glob("*/*.service"))
OTHERS = sorted([*SYSTEMD.glob("*/*.path"), *SYSTEMD.glob("*/*.timer")])
FIRST_BOOT = "facetally-first-boot"
"""Installs a prepared card as root, and is removed afterwards; the other units are confined more strictly."""
UNITS = [unit for unit in ALL if unit.stem != FIRST_BOOT]
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
EXPOSURE = 25
"""Greatest exposure level of systemd-analyze, in tenths; it rates up to 2.5 as OK."""
FIRST_BOOT_EXPOSURE = 35


def test_the_units():
    """There are units for daemon, collector, page and report, three for the updater, and one that installs a card."""
    updater = ["facetally-restart", "facetally-update", "facetally-update-recover"]
    assert sorted(unit.stem for unit in UNITS) == [
        "facetally-collector",
        "facetally-edge",
        "facetally-report",
        *updater,
        "facetally-web",
    ]
    assert len(ALL) == 8


@needs_systemd
@pytest.mark.parametrize("unit", [*ALL, *OTHERS], ids=lambda unit: unit.name)
def test_a_unit_has_no_errors(unit, tmp_path):
    """Systemd finds no unknown key or value. Python replaces the programs, which are not installed here."""
    for each in (*ALL, *OTHERS):
        text = re.sub(r"^(Exec\w+)=\S+", rf"\1={sys.executable}", each.read_text(), flags=re.M)
        (tmp_path / each.name).write_text(text)
    command = ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr


@pytest.fixture
def instance(tmp_path):
    """The unit of the instance ``till``, as the installer makes it: the daemon's unit, and the lines that differ."""
    unit, drop_in = tmp_path / "facetally-edge@till.service", tmp_path / "facetally-edge@.service.d"
    text = (SYSTEMD / "units/facetally-edge.service").read_text()
    (tmp_path / "facetally-edge@.service").write_text(text)
    drop_in.mkdir()
    lines = (SYSTEMD / "units/facetally-edge@.service.d/instance.conf").read_text()
    (drop_in / "instance.conf").write_text(lines.replace("/opt/facetally/bin/facetally-edge", sys.executable))
    return unit


@needs_systemd
def test_an_instance_has_no_errors_and_is_confined(instance, tmp_path):
    """Systemd accepts the unit with its drop-in, which is confined as much as the daemon's own."""
    command = ["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", str(instance)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "facetally" not in done.stderr, done.stderr
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", str(instance)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-400:]


def test_an_instance_has_all_of_its_own():
    """Where the daemon's unit names its configuration, state or user, an instance names its own."""
    unit = dict(re.findall(r"^(\w+)=(.*facetally.*)$", UNITS[1].read_text().partition("[Service]")[2], re.M))
    own = dict(
        re.findall(r"^(\w+)=(.+)$", (UNITS[1].parent / "facetally-edge@.service.d/instance.conf").read_text(), re.M)
    )
    assert {*unit, "User", "Description"} == set(own)
    assert all("%i" in value for value in own.values())


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_confined(unit):
    """The exposure is at most 2.5, and the unit explains what is left open."""
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-400:]
    assert "Left open" in unit.read_text() or "loopback" in unit.read_text()


@needs_systemd
def test_the_first_boot_unit_is_confined_as_far_as_possible():
    """The exposure is at most 3.5, as it must write to the system, and the unit says why for each thing left open."""
    (unit,) = (each for each in ALL if each.stem == FIRST_BOOT)
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={FIRST_BOOT_EXPOSURE}", str(unit)]
    done = subprocess.run([*command, "--json=short"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-400:]
    reasons = unit.read_text().partition("Left open, and why:")[2]
    left = [entry["json_field"] for entry in json.loads(done.stdout) if entry["set"] is False]
    assert len(left) > 10
    assert [name for name in left if not re.search(_word(name), reasons)] == []


def _word(field):
    """Return a pattern of what the unit calls a field of systemd-analyze's JSON."""
    kind, _, rest = field.partition("_")
    if kind == "SystemCallFilter":
        return f"@{rest}"
    family, _, names = rest.partition("_")
    return "|".join(f"{family}_{name}" for name in names.split("_")) if names else kind.partition("Or")[0]


def test_the_daemon_is_watched_and_always_restarted():
    """The unit has a watchdog, no limit of restarts and no core dumps."""
    text = (SYSTEMD / "units/facetally-edge.service").read_text()
    for line in ("Type=notify", "WatchdogSec=90", "Restart=always", "StartLimitIntervalSec=0", "LimitCORE=0"):
        assert f"\n{line}\n" in text


def test_the_sample_configurations_are_valid():
    """The collector's is valid as shipped; the daemon's lacks only the key that has no default."""
    assert read_settings(ROOT / "collector/samples/collector.toml").store.root == "/var/lib/facetally-store"
    assert read(ROOT / "edge/samples/edge.toml", ("admit.staff_zones=[]",)).privacy.k == 5


def sample():
    """Return the daemon's sample configuration, with the keys that are commented out."""
    text = (ROOT / "edge/samples/edge.toml").read_text()
    return msgspec.toml.decode(re.sub(r"^# (\[\w+\]$|\w+ = )", r"\1", text, flags=re.M))


def fields_of(struct, table=""):
    """Yield dotted key and default (None for none) of all keys of a table, in all its variants."""
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


DIFFERENT = {"capture.fps", "spool.path", "admit.hours.days"}
"""Keys whose value in the sample is not the default, with a comment that says so."""


def test_the_sample_has_every_key_with_its_default():
    """The sample has exactly the keys of the settings, with their defaults and the shipped detector's threshold."""
    values = dict(flat(sample()))
    known = list(fields_of(Settings))
    assert set(values) == {key for key, _ in known} | {"capture.source"}
    wrong = {key: (values[key], default) for key, default in known if default not in (None, values[key])}
    assert set(wrong) <= DIFFERENT, wrong
    assert values["detect.threshold"] == detector_bundle().card.threshold


def flat(tree, table=""):
    """Yield dotted key and value of nested tables."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{table}{key}.")
        else:
            yield table + key, value
