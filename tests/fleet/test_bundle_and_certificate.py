"""The operator's commands, both servers and a real device: a new bundle, and a certificate renewed in between."""

import csv
import json
import platform
import shutil
import sys

import pytest

from benchmarks.faults import scripted_walks
from benchmarks.faults.device_fleet import camera_environment
from benchmarks.machines.fleet_servers import HOST, broker, release_server
from benchmarks.simulation.device_slots import Device
from demo.mosquitto import free_port
from tests.support.brokers import needs_mosquitto, wait_until
from tests.support.devices import running
from tests.support.fleets import ROOT, fleet, give, table, whole_wheel

pytest.importorskip("skimage", reason="scikit-image provides the portraits")
pytestmark = needs_mosquitto
LAYER = """
[capture]
fps = 5
[detect]
bundle = "face-320x240"
[tally]
window_s = 1.0
[privacy]
k = 1
"""
BUNDLE = """
[classify]
bundle = "{program}/current/bundles/mood.json"
"""


@pytest.fixture
def of(tmp_path):
    """A fleet of one device, whose places are in a folder, and which has not been released anything yet."""
    of, place = tmp_path / "fleet", tmp_path / "device"
    fleet("init", of, "--broker", HOST, "--repository", f"https://{HOST}:8443")
    common = of / "configuration/common.toml"
    text = common.read_text().replace("port = 8883", f"port = {free_port()}")
    for theirs, ours in (("/etc/facetally", "etc"), ("/opt/facetally", "disk/opt"), ("/var/lib/facetally", "spool")):
        text = text.replace(theirs, str(place / ours))
    common.write_text(text + LAYER)
    board = f"{sys.version_info.major}.{sys.version_info.minor}/{platform.machine()}"
    fleet("enrol", table(tmp_path, f"bench,door,north,none,picamera2:0,{board}"), folder=of)
    return of


def installed(of, folder, url):
    """The device with the files of its card, which runs this checkout at first."""
    scripted_walks.write_loop(folder / "loop")
    device = Device(folder / "device", "bench", "door", camera_environment(folder))
    fleet("release", "first", "--wheel", whole_wheel(folder, "1.0"), folder=of)
    (configuration,) = (of / "repository/targets/configurations/bench/door").iterdir()
    device.install(configuration.read_text())
    (device.folder / "spool").mkdir()
    etc = device.folder / "etc"
    shutil.copy(of / "certificates/ca.pem", etc)
    shutil.copy(of / "certificates/devices/bench/door.pem", etc / "device.pem")
    shutil.copy(of / "secrets/devices/bench/door.key", etc / "device.key")
    files = {"ca": etc / "ca.pem", "certificate": device.program / "current/device.pem", "key": etc / "device.key"}
    tls = ", ".join(f'{key} = "{path}"' for key, path in files.items())
    root = (of / "repository/metadata/1.root.json").read_bytes()
    device.configure_updater(url, root, f"trial_s = 3\ntls = {{ {tls} }}\n")
    return device


def new_bundle(of, folder, program):
    """A card of another name, which the layer of all devices names from now on."""
    card = json.loads((ROOT / "edge/models/expression.json").read_text())
    (folder / "mood.json").write_text(json.dumps(card | {"name": "mood"}))
    shutil.copy(ROOT / "edge/models/expression.tflite", folder / "mood.tflite")
    with (of / "configuration/common.toml").open("a") as file:
        file.write(BUNDLE.format(program=program))
    return folder / "mood.json"


def status(of, capsys):
    """How the device stands for `facetally-fleet status`."""
    capsys.readouterr()
    fleet("status", "--json", "--wait", "2", folder=of)
    (device,) = json.loads(capsys.readouterr().out)["devices"]
    return device


def test_a_new_bundle_and_a_renewed_certificate_arrive_together(tmp_path, of, capsys):
    """The certificate is renewed after the release was handed out, before the device takes it.

    The device then counts with the new bundle, logs in to broker and web server with the new certificate, although the
    old one is gone, and both are kept.
    """
    (port,) = (line.partition("= ")[2] for line in (of / "configuration/common.toml").read_text().splitlines()
               if line.startswith("port = "))  # fmt: skip
    with broker(of, tmp_path, int(port)), release_server(of, tmp_path) as url:
        device = installed(of, tmp_path, url)
        with running(device):
            card = new_bundle(of, tmp_path, device.program)
            fleet("release", "mood", "--wheel", whole_wheel(tmp_path, "2.0"), "--bundle", card, folder=of)
            give(of, "mood")
            old = (of / "certificates/devices/bench/door.pem").read_bytes()
            fleet("renew", "bench/door", folder=of)
            assert device.update().wait() == 0, (device.folder / "update.log").read_text()
            assert device.progress().release == device.release == "mood"
            renewed = (device.program / "current/device.pem").read_bytes()
            assert renewed == (of / "certificates/devices/bench/door.pem").read_bytes() != old
            (device.folder / "etc/device.pem").unlink()
            device.kill()
            wait_until(lambda: getattr(device.progress(), "acknowledged", 0), "the broker knows the certificate")
            assert device.update().wait() == 0, (device.folder / "update.log").read_text()
            assert device.release == "mood"
            assert (
                f'bundle = "{device.program}/current/bundles/mood.json"'
                in (device.program / "current/edge.toml").read_text()
            )
            assert (device.program / "current/bundles/mood.tflite").is_file()
            wait_until(lambda: status(of, capsys)["release"] == "mood", "health says so")
            found = status(of, capsys)
            assert (found["problems"], found["configuration"]) == ([], "as released")
            with (of / "inventory.csv").open() as file:
                assert found["certificate_ends"] == next(csv.DictReader(file))["certificate_ends"].replace(
                    "+00:00", "Z"
                )
