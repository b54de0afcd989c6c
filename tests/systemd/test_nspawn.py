"""The units, installed by the installer, in a container that has booted Debian's systemd."""

import json
import re
import subprocess
import time
import zipfile

import pytest

from benchmarks.machines import nspawn
from benchmarks.machines.debian import build_wheel, missing_requirements
from benchmarks.machines.nspawn import wait_until
from tests.support.installed import (
    CONFIG,
    UNIT,
    WATCHDOG_S,
    WINDOW_S,
    blocks,
    clips,
    in_the_sandbox,
    installed,
    journal,
    next_counts,
    run_guide,
    shown,
    started,
    stopped,
)

MISSING = missing_requirements(*nspawn.PROGRAMS)
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"cannot boot a container: {MISSING}"),
    pytest.mark.timeout(1800),
]
CLOCK = "import ctypes; from base.libc import libc; print(libc().adjtimex(ctypes.create_string_buffer(512)))"
"""Prints the state of the kernel's clock, read as `edge.system.clock` reads it."""
SECOND = "facetally-edge@till"
EDGE = "/opt/facetally/bin/facetally-edge"
ARGUS = "import os; print(os.path.exists('/tmp/argus_socket'), os.listdir('/tmp'))"
GET_PAGES = """\
import ssl, urllib.error, urllib.request
from base64 import b64encode
context = ssl.create_default_context(cafile="/etc/nginx/facetally.pem")
for path in {paths}:
    request = urllib.request.Request("https://{name}" + path)
    if "{password}":
        request.add_header("Authorization", "Basic " + b64encode(b"analyst:{password}").decode())
    try:
        print(urllib.request.urlopen(request, context=context).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""
"""Prints the status codes of nginx."""


@pytest.fixture(scope="module")
def debian(tmp_path_factory):
    """A container with all units installed from wheels and the broker running; no unit is started."""
    with installed(tmp_path_factory.mktemp("machine"), clips(tmp_path_factory.mktemp("clips"))) as booted:
        yield booted


@pytest.fixture(scope="module")
def device(debian):
    """The container with two cameras: the first one, and one that the commands of the guide add;
    it stays until `undo`."""
    config = CONFIG.replace('path = "/var/lib/facetally/spool.sqlite"\n', 'path = "spool.sqlite"\n')
    debian.write("/etc/facetally/edge.toml", config.format(path="/srv/clips/long"))
    debian.run("systemctl", "start", UNIT)
    run_guide(debian, "Several cameras")
    return debian


@pytest.fixture
def statuses(debian, tmp_path):
    """Returns a function for the statuses published from now on: state and boot id, in order."""
    stopped(debian)
    debian.run(
        "mosquitto_sub", "-h", "127.0.0.1", "-t", "#", "--remove-retained", "--retained-only", "-W", "1", check=False
    )
    with (tmp_path / "statuses").open("w") as out:
        listening = subprocess.Popen(
            debian.command("mosquitto_sub", "-h", "127.0.0.1", "-t", "facetally/v1/+/+/status"), stdout=out
        )
        yield lambda: [
            (row["state"], row["boot"]) for row in map(json.loads, (tmp_path / "statuses").read_text().splitlines())
        ]
        listening.kill()
        listening.wait()


def test_the_unit_becomes_ready_and_stays(debian, statuses):
    """`check` passes, the unit becomes ready, and frames feed the watchdog for three times its limit.

    The networks run on XNNPACK inside the sandbox, and windows reach the broker.
    """
    debian.write("/etc/facetally/edge.toml", CONFIG.format(path="/srv/clips/long"))
    checked = debian.run("/opt/facetally/bin/facetally-edge", "check", "--config", "/etc/facetally/edge.toml")
    assert "FAILED" not in checked
    assert re.search(r"^ok +broker +127.0.0.1:1883 accepts the login", checked, re.M)
    started(debian, "long")
    assert debian.run("systemctl", "is-active", UNIT) == "active"
    assert (shown(debian, "Type"), shown(debian, "NotifyAccess")) == ("notify", "main")
    began = time.monotonic()
    listen = ("mosquitto_sub", "-h", "127.0.0.1", "-t", "facetally/v1/shop-1/door/counts")
    debian.run(*listen, "-C", "3", "-W", "30")
    time.sleep(max(0.0, began + 3 * WATCHDOG_S - time.monotonic()))
    assert debian.run("systemctl", "is-active", UNIT) == "active"
    assert shown(debian, "NRestarts") == "0"
    assert statuses()[0][0] == "online"
    log = journal(debian)
    assert "Created TensorFlow Lite XNNPACK delegate" in log
    assert "level=error" not in log


def test_the_watchdog_restarts_a_frozen_process(debian, statuses):
    """A daemon frozen by SIGSTOP is killed by the watchdog; its last will is published, and a new start counts."""
    started(debian, "long")
    wait_until(statuses, 30, "online")
    before = shown(debian, "MainPID")
    debian.run("sh", "-c", f"kill -STOP {before}")
    wait_until(lambda: shown(debian, "NRestarts") == "1", 60 + WATCHDOG_S, "restarted")
    wait_until(lambda: shown(debian, "ActiveState") == "active", 60, "active")
    assert shown(debian, "MainPID") != before
    assert "Failed with result 'watchdog'" in journal(debian)
    wait_until(lambda: statuses()[-1][0] == "online" and len({boot for _, boot in statuses()}) == 2, 30, "online again")
    old = statuses()[0][1]
    assert ("offline", old) in statuses()
    assert statuses()[-1][1] != old


def test_a_source_that_hangs_is_restarted_for_ever(debian):
    """If reading an image never returns, the watchdog restarts the unit each time, and systemd does not give up."""
    started(debian, "stuck")
    wait_until(lambda: int(shown(debian, "NRestarts")) >= 3, 3 * (60 + WATCHDOG_S), "restarted three times")
    assert journal(debian).count("Watchdog timeout") >= 3
    wait_until(lambda: shown(debian, "ActiveState") == "active", 60, "active")


def test_stop_is_clean(debian, statuses):
    """On SIGTERM the daemon publishes `stopping`, disconnects without its last will, and exits with 0."""
    started(debian, "long")
    wait_until(statuses, 30, "online")
    debian.run("systemctl", "stop", UNIT)
    assert (shown(debian, "ActiveState"), shown(debian, "Result")) == ("inactive", "success")
    assert shown(debian, "ExecMainStatus") == "0"
    wait_until(lambda: statuses()[-1][0] == "stopping", 10, "stopping")
    assert "event=stopped" in journal(debian)
    states = [state for state, boot in statuses() if boot == statuses()[-1][1]]
    assert states[0] == "online"
    assert "offline" not in states


def test_the_clock_can_be_read_in_the_sandbox(debian):
    """The unit may read the state of the clock, with the same result as outside of the sandbox.

    Otherwise each window would wait for a synchronised clock for ever.
    """
    outside = debian.run("/opt/facetally/bin/python", "-c", CLOCK)
    assert outside != "-1", "the container itself forbids it"
    assert in_the_sandbox(debian, CLOCK) == outside


def test_only_the_camera_socket_of_a_jetson_is_visible_in_tmp(debian):
    """The socket is visible if it exists; without it, as in all other tests, the unit starts as well."""
    debian.run("touch", "/tmp/argus_socket", "/tmp/others")
    assert in_the_sandbox(debian, ARGUS) == "True ['argus_socket']"
    debian.run("rm", "/tmp/argus_socket", "/tmp/others")


def test_two_cameras_count_with_their_own_user_and_state(device):
    """Each sends counts as its own device, under a user of its own."""
    for unit, name, folder in ((UNIT, "door", "facetally"), (SECOND, "till", "facetally-till")):
        assert next_counts(device, name)["device"] == name
        assert device.run("ls", f"/var/lib/private/{folder}/spool.sqlite")
        assert (shown(device, "ActiveState", unit), shown(device, "NRestarts", unit)) == ("active", "0")
    users = [device.run("stat", "-c", "%u", f"/proc/{shown(device, 'MainPID', unit)}") for unit in (UNIT, SECOND)]
    assert len({"0", *users}) == 3


def test_a_camera_runs_the_configuration_of_the_release(device):
    """Its unit may read the file beside that of the first camera, and keeps its own spool."""
    released = "/opt/facetally/current/instances"
    device.run("install", "-d", released)
    device.run("sh", "-c", f"sed 's/till/side/' /etc/facetally/till.toml >{released}/till.toml")
    device.run("chmod", "640", f"{released}/till.toml")
    device.run("chgrp", "video", f"{released}/till.toml")
    device.run("systemctl", "restart", SECOND)
    assert next_counts(device, "side")["device"] == "side"
    assert "/var/lib/facetally-till/spool.sqlite" in device.run(EDGE, "check", "till")
    device.run("rm", "-r", released)
    device.run("systemctl", "restart", SECOND)
    assert next_counts(device, "till")["device"] == "till"


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
    first, second = (shown(device, "MainPID", unit) for unit in (UNIT, SECOND))
    device.run("sh", "-c", f"kill -SEGV {first}")
    wait_until(lambda: shown(device, "MainPID", UNIT) not in ("0", first), 60, "restarted")
    assert next_counts(device, "till")["device"] == "till"
    assert (shown(device, "MainPID", SECOND), shown(device, "NRestarts", SECOND)) == (second, "0")
    wait_until(lambda: shown(device, "ActiveState", UNIT) == "active", 60, "active again")


def test_an_update_restarts_all(device):
    """One wheel serves all instances: the installer restarts those that run, keeps their configurations private and
    journald's lines in memory."""
    device.run("chmod", "644", "/etc/facetally/till.toml")
    units = (UNIT, SECOND)
    before = [shown(device, "MainPID", unit) for unit in units]
    device.run(*nspawn.INSTALL, "edge", f"/srv/ours/{build_wheel().name}")
    after = [shown(device, "MainPID", unit) for unit in units]
    assert not set(before) & {"0", *after}
    assert [shown(device, "ActiveState", unit) for unit in units] == ["active"] * 2
    assert device.run("stat", "-c", "%a %G", "/etc/facetally/till.toml") == "640 video"
    assert device.run("ls", "/opt/facetally-last/instance.conf", "/opt/facetally-last/facetally-edge@.service")
    assert "/run/log/journal" in device.run("journalctl", "--header", f"--unit={UNIT}")


def test_a_wheel_that_does_not_start_is_rolled_back(device, debian, tmp_path_factory):
    """The installer restores the previous wheel and the units of all instances, and says so; a good wheel is installed
    afterwards."""
    broken = tmp_path_factory.getbasetemp() / "broken" / build_wheel().name
    broken.parent.mkdir()
    with zipfile.ZipFile(build_wheel()) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"raise ImportError('broken')\n" if name == "edge/values.py" else b""))
    started(debian, "long")
    unit = debian.run("cat", f"/etc/systemd/system/{UNIT}.service")
    debian.run("mkdir", "-p", "/srv/broken", "/srv/other")
    debian.write(f"/srv/broken/{broken.name}", broken.read_bytes())
    debian.run("cp", "-r", "/srv/systemd", "/srv/other")
    debian.run("sed", "-i", "s/^Description=.*/Description=another/", f"/srv/other/systemd/units/{UNIT}.service")
    install = [word.replace("/srv/systemd", "/srv/other/systemd") for word in nspawn.INSTALL]
    with pytest.raises(RuntimeError, match="facetally-edge@till: did not start; the previous wheel is restored"):
        debian.run(*install, "edge", f"/srv/broken/{broken.name}")
    assert debian.run("systemctl", "is-active", UNIT) == "active"
    assert debian.run("cat", f"/etc/systemd/system/{UNIT}.service") == unit
    assert "broken" in journal(debian)
    debian.run(*nspawn.INSTALL, "edge", f"/srv/ours/{build_wheel().name}")
    assert debian.run("systemctl", "is-active", UNIT) == "active"


def test_collector_and_page_work_in_their_sandboxes(debian):
    """The counts of the daemon are stored, and the page answers; both units stop without errors."""
    debian.run("sed", "-i", 's/^host = "localhost"/host = "127.0.0.1"/', "/etc/facetally/collector.toml")
    both = ("facetally-collector", "facetally-web")
    debian.run("systemctl", "start", *both)
    started(debian, "long")
    rows = "cat /var/lib/facetally-store/date=*/site=shop-1/counts-*-collector.csv"
    wait_until(lambda: len(debian.run("sh", "-c", rows, check=False).splitlines()) > 2, 60, "a row in the store")
    get = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8050/').status)"
    wait_until(lambda: debian.run("python3", "-c", get, check=False) == "200", 60, "a page")
    assert debian.run("systemctl", "is-active", *both).split() == ["active"] * 2
    debian.run("systemctl", "stop", *both)
    results = debian.run("systemctl", "show", "--property", "Result", "--value", *both)
    assert results.split() == ["success"] * 2


def test_the_broker_of_the_guide(debian):
    """The device logs in by TLS and the collector on loopback, and counts are stored.

    The device can publish only as itself, and receives only its own status and receipts. The analyst receives all
    messages and can publish none.
    """
    name = debian.run("hostname")
    debian.run("sh", "-c", f"echo 127.0.1.1 {name} >>/etc/hosts")
    stopped(debian)
    run_guide(debian, "The broker")
    (of_device,), (of_collector,) = blocks("The broker", "toml"), blocks("The collector", "toml")
    for group, there, secret in (
        ("facetally", "collector.password", "collector.password"),
        ("video", "facetally.pem", "certs/facetally.pem"),
        ("video", "password", "shop-1-door.password"),
    ):
        debian.run("install", "-g", group, "-m", "640", f"/etc/mosquitto/{secret}", f"/etc/facetally/{there}")
    debian.write("/etc/facetally/collector.toml", f'{of_collector}[store]\nroot = "/var/lib/facetally-store"\n')
    debian.run("sh", "-c", "rm -rf /var/lib/facetally-store/*")
    config = CONFIG.format(path="/srv/clips/long").replace(
        '[broker]\nhost = "127.0.0.1"\nconfirm = "broker"\n', of_device
    )
    debian.write("/etc/facetally/edge.toml", config.replace("broker.example", name))
    checked = debian.run("/opt/facetally/bin/facetally-edge", "check", "--config", "/etc/facetally/edge.toml")
    assert f"{name}:8883" in checked
    debian.run("systemctl", "start", "facetally-collector", UNIT)
    rows = "cat /var/lib/facetally-store/date=*/site=shop-1/counts-*-collector.csv"
    wait_until(lambda: len(debian.run("sh", "-c", rows, check=False).splitlines()) > 2, 60, "a row in the store")
    assert debian.run("ls", "/var/lib/mosquitto/mosquitto.db"), "the database is in Debian's folder"

    password = debian.run("cat", "/etc/facetally/password")
    login = ("-h", name, "-p", "8883", "--cafile", "/etc/facetally/facetally.pem", "-u", "shop-1/door", "-P", password)
    topics = debian.run("mosquitto_sub", *login, "-t", "#", "-F", "%t", "-W", str(2 * WINDOW_S), check=False)
    own = {"facetally/v1/shop-1/door/status", "facetally/v1/shop-1/door/stored/collector"}
    assert set(topics.splitlines()) - {"Timed out"} == own
    statuses = debian.run("cat", "/etc/mosquitto/analyst.password")
    analyst = (*login[:6], "-u", "analyst", "-P", statuses)
    topics = debian.run("mosquitto_sub", *analyst, "-t", "#", "-F", "%t", "-W", str(2 * WINDOW_S), check=False)
    assert own | {"facetally/v1/shop-1/door/model"} <= set(topics.splitlines())
    forged = ("-t", "facetally/v1/shop-1/door/counts", "-m", "{}", "-V", "5", "-q", "1")
    assert "Not authorized" in debian.run("mosquitto_pub", *analyst, *forged, check=False)
    other = ("-t", "facetally/v1/shop-1/till/status", "-m", "{}", "-V", "5", "-q", "1")
    assert "Not authorized" in debian.run("mosquitto_pub", *login, *other, check=False)
    for wrong in (("-u", "shop-1/door", "-P", "guessed"), ()):
        refused = debian.run("mosquitto_pub", *login[:6], *wrong, *other, check=False)
        assert "not authorised" in refused.lower() or "not authorized" in refused.lower()


def test_the_page_of_the_guide(debian):
    """Behind nginx, page, API and metrics are available with the password, and only with it."""
    run_guide(debian, "The page for others")
    debian.run("systemctl", "start", "facetally-web")
    name, password = debian.run("hostname"), debian.run("cat", "/etc/nginx/analyst.password")
    paths = ["/", "/_dash-layout", "/api/v1/sites", "/metrics"]

    def statuses_with(password):
        program = GET_PAGES.format(paths=paths, name=name, password=password)
        return debian.run("python3", "-c", program, check=False).split()

    wait_until(lambda: statuses_with(password) == ["200"] * 4, 60, "a page")
    assert statuses_with("") == statuses_with("guessed") == ["401"] * 4


def test_undo_keeps_data_and_configuration(device, debian):
    """The units are removed, also from systemd, with all instances; configuration, spool and store stay."""
    debian.run("/srv/systemd/install.sh", "undo")
    assert shown(debian, "LoadState") == shown(debian, "LoadState", SECOND) == "not-found"
    assert debian.run("systemctl", "list-unit-files", "--no-legend", "facetally-*", check=False) == ""
    assert debian.run("ls", "/etc/facetally/edge.toml", "/var/lib/facetally/spool.sqlite", "/var/lib/facetally-store")
