"""Two cameras on one device: an instance for each, isolated from the other, installed and updated together."""

import json
import re

import pytest

from benchmarks.machines import nspawn
from benchmarks.machines.debian import build_wheel, missing_requirements
from benchmarks.machines.nspawn import wait_until
from tests.support.installed import CONFIG, run_guide

MISSING = missing_requirements(*nspawn.PROGRAMS)
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"cannot boot a container: {MISSING}"),
    pytest.mark.timeout(1800),
]
FIRST, SECOND = "facetally-edge", "facetally-edge@till"
EDGE = "/opt/facetally/bin/facetally-edge"


@pytest.fixture(scope="module")
def device(debian):
    """The container with two cameras: the first one, and one that the commands of the guide add. Only the first is left
    at the end."""
    config = CONFIG.replace('path = "/var/lib/facetally/spool.sqlite"\n', 'path = "spool.sqlite"\n')
    debian.write("/etc/facetally/edge.toml", config.format(path="/srv/clips/long"))
    debian.run("systemctl", "start", FIRST)
    run_guide(debian, "Several cameras")
    yield debian
    debian.run("systemctl", "disable", "--now", SECOND)
    debian.run("rm", "/etc/facetally/till.toml")


def shown(debian, unit, key):
    return debian.run("systemctl", "show", "--property", key, "--value", unit)


def next_counts(debian, name):
    """Wait for a window of a device that is sent from now on."""
    received = debian.run("mosquitto_sub", "-h", "127.0.0.1", "-t", f"facetally/v1/shop-1/{name}/counts", "-C", "1")
    return json.loads(received)


def test_both_count_with_their_own_user_and_state(device):
    """Each sends counts as its own device, under a user of its own."""
    for unit, name, folder in ((FIRST, "door", "facetally"), (SECOND, "till", "facetally-till")):
        assert next_counts(device, name)["device"] == name
        assert device.run("ls", f"/var/lib/private/{folder}/spool.sqlite")
        assert (shown(device, unit, "ActiveState"), shown(device, unit, "NRestarts")) == ("active", "0")
    users = [device.run("stat", "-c", "%u", f"/proc/{shown(device, unit, 'MainPID')}") for unit in (FIRST, SECOND)]
    assert len({"0", *users}) == 3


def test_check_knows_the_instances(device):
    """`check NAME` reads the configuration and the spool of that instance; a copy of a configuration is refused."""
    found = device.run(EDGE, "check", "till")
    assert re.search(r"^ok +instances +facetally-edge@till; others: facetally-edge;", found, re.M)
    assert re.search(r"^ok +spool +/var/lib/facetally-till/spool.sqlite", found, re.M)
    device.run("cp", "/etc/facetally/till.toml", "/etc/facetally/copy.toml")
    with pytest.raises(RuntimeError, match=r"copy\.toml has the same site and device shop-1/till"):
        device.run(EDGE, "check", "till")
    device.run("rm", "/etc/facetally/copy.toml")


def test_a_crash_does_not_disturb_the_other(device):
    """An instance that is killed is started again, and the other goes on with the same process."""
    first, second = (shown(device, unit, "MainPID") for unit in (FIRST, SECOND))
    device.run("systemctl", "kill", "--signal=SEGV", FIRST)
    wait_until(lambda: shown(device, FIRST, "MainPID") not in ("0", first), 60, "restarted")
    assert next_counts(device, "till")["device"] == "till"
    assert (shown(device, SECOND, "MainPID"), shown(device, SECOND, "NRestarts")) == (second, "0")
    wait_until(lambda: shown(device, FIRST, "ActiveState") == "active", 60, "active again")


def test_an_update_restarts_all(device):
    """One wheel serves all instances: the installer restarts those that run, keeps their configurations private and
    journald's lines in memory."""
    device.run("chmod", "644", "/etc/facetally/till.toml")
    units = (FIRST, SECOND)
    before = [shown(device, unit, "MainPID") for unit in units]
    device.run(*nspawn.INSTALL, "edge", f"/srv/ours/{build_wheel().name}")
    after = [shown(device, unit, "MainPID") for unit in units]
    assert not set(before) & {"0", *after}
    assert [shown(device, unit, "ActiveState") for unit in units] == ["active"] * 2
    assert device.run("stat", "-c", "%a %G", "/etc/facetally/till.toml") == "640 video"
    assert device.run("ls", "/opt/facetally-last/instance.conf", "/opt/facetally-last/facetally-edge@.service")
    assert "/run/log/journal" in device.run("journalctl", "--header", f"--unit={FIRST}")
