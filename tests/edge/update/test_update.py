"""A real device takes a signed release over HTTPS, proves it, and goes back from one that crashes."""

import json
import subprocess

import pytest

from benchmarks.faults import scripted_walks
from benchmarks.faults.device_fleet import CONFIG, camera_environment
from benchmarks.machines.debian import build_wheel
from benchmarks.simulation.device_slots import Device, changed_wheel, clean_environment, shared_packages
from benchmarks.simulation.release_repository import ReleaseRepository
from contract.message import Health, decode
from edge.system.health import REPORT_EVERY_S
from edge.update.state import StateFile
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.devices import running
from tests.support.publishing import listening
from tests.support.release_server import certificates, nginx, tls_line

pytest.importorskip("skimage", reason="scikit-image provides the portraits")
pytest.importorskip("trustme", reason="trustme makes the certificates")
pytestmark = needs_mosquitto
CRASH = """
def _crash(self, publisher, write=ProgressFile.write):
    write(self, publisher)
    if self._frames > 9:
        os._exit(3)
ProgressFile.write = _crash
"""


@pytest.fixture
def broker_port():
    """The broker's port."""
    return free_port()


@pytest.fixture
def device(tmp_path, broker_port):
    """A device whose daemon counts a camera and publishes to a real broker; systemd's part is done by a thread."""
    scripted_walks.write_loop(tmp_path / "loop")
    with mosquitto(tmp_path, broker_port):
        made = Device(tmp_path / "device", "bench", "door", camera_environment(tmp_path))
        made.install(CONFIG.format(device="door", fps=5, window_s=1.0, port=broker_port))
        with running(made):
            yield made


def health_with(port, text):
    """The first health message with this text that a new client receives."""
    with listening(port, "bench/door/health") as received:
        found = lambda: [payload for _, payload, _ in received if text in payload.decode()]  # noqa: E731
        wait_until(found, "health says so")
        return decode(found()[0], Health)


def test_a_release_is_taken_and_a_bad_one_taken_back(tmp_path, broker_port, device):
    """Over nginx with the device's certificate: release 2 is kept; release 3, which crashes, is not, and is named.

    The daemon counts on, its configuration is the signed one, and release 3 is not tried again. The first health
    message after the crash, seconds later and not after a minute, says what has failed. The configuration of a further
    camera comes along, and a wrong one is refused before the switch.
    """
    repository = ReleaseRepository(tmp_path / "repository")
    config = (device.folder / "etc/edge.toml").read_bytes()
    wheels = [build_wheel(), shared_packages(tmp_path)]
    repository.add_release("2", wheels)
    cameras = {"till": config.replace(b'device = "door"', b'device = "till"')}
    repository.assign("bench", "door", 1, "2", b"# of release 2\n" + config, cameras)
    repository.publish()
    keys = certificates(tmp_path / "certificates")
    with nginx(keys, repository.folder) as port:
        lines = f"trial_s = 3\n{tls_line(keys)}"
        device.configure_updater(f"https://127.0.0.1:{port}", repository.trusted_root, lines)
        assert device.update().wait() == 0, (device.folder / "update.log").read_text()
        assert device.progress().release == device.release == "2"
        assert (device.program / "current/edge.toml").read_bytes().startswith(b"# of release 2\n")
        assert (device.program / "current/instances/till.toml").read_bytes() == cameras["till"]
        assert (device.program / "updater").readlink().name == "2"

        repository.assign("bench", "door", 2, "2", config, {"till": b"speed = 3\n"})
        repository.publish()
        assert device.update().wait() == 1, "a further camera's configuration is tested as well"
        assert "number 2: its own test fails" in (device.program / "update-failed").read_text()
        assert (device.program / "current/instances/till.toml").read_bytes() == cameras["till"]

        crashing = changed_wheel(wheels[0], tmp_path / "crashing", {"edge/system/progress.py": CRASH})
        repository.add_release("3", [crashing, wheels[1]])
        repository.assign("bench", "door", 3, "3", config)
        repository.publish()
        assert device.update().wait() == 1
        assert device.release == "2"
        wait_until(lambda: getattr(device.progress(), "release", None) == "2", "the daemon of the old release counts")
        assert "release 3, number 3: facetally-edge: stopped" in (device.program / "update-failed").read_text()
        assert health_with(broker_port, "release 3, number 3: facetally-edge: stopped").uptime_s < REPORT_EVERY_S
        assert [each.name for each in (device.program / "slots").iterdir()] == ["2"]
        while not StateFile(device.state).read().failure.given_up:
            device.update().wait()  # on a busy machine the old release may be slow too; then nothing is final at once
        wait_until(lambda: device.is_steady, "the last restart is over")
        starts = device.starts
        assert device.update().wait() == 0
        assert device.starts == starts, "it is not tried again"

        before = device.progress()
        repository.assign("bench", "door", 4, "3", config)
        repository.publish()
        for file in (repository.folder / "targets/devices/bench").glob("*.door.json"):
            file.write_bytes(file.read_bytes().replace(b'"number": 4', b'"number": 9'))
        assert device.update().wait() == 1
        wait_until(lambda: device.progress().frames > before.frames, "the daemon counts on under attack")
        assert device.progress().boot == before.boot
    status = subprocess.run(
        [device.program / "updater/bin/facetally-update", "status", "--config", device.folder / "etc/update.toml"],
        capture_output=True,
        env=clean_environment(),
        check=True,
    )
    shown = json.loads(status.stdout)
    assert (shown["release"], shown["number"], shown["failed"]["number"]) == ("2", 1, 3)
