"""A fleet of device slots with a broker, a collector and a web server, whose updaters, daemons and disks can fail."""

import functools
import http.server
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults import processes, scripted_walks
from benchmarks.faults.small_disk import SmallDisk, small_disk
from benchmarks.faults.tcp_proxy import TcpProxy, tcp_proxy
from benchmarks.machines.debian import build_wheel
from benchmarks.simulation.device_slots import Device, shared_packages
from benchmarks.simulation.release_repository import ReleaseRepository
from demo.mosquitto import Mosquitto
from edge.update.state import StateFile

CAMERA = Path(__file__).parent / "camera"
CAMERA_FPS, WINDOW_S, TRIAL_S = 2, 2.0, 8.0
DISK = "120m"
"""Disk of a device: room for two slots of 20 MB, and for the unpacked wheels while one is made."""
POLL_S, MAX_UPDATING = 0.1, 4
UPDATE_EVERY_S = 0.9
"""Mean time between two updater starts on one device, divided by the number of devices, seconds. All devices share the
cores of one machine."""
OUTAGE_S = (1.0, 8.0)
FIRST, SECOND = "installed", "2"
KINDS = ("updater", "updater", "daemon", "power", "power", "disk", "network")
"""Kinds of faults, with their weights. `disk` and `network` end by themselves after `OUTAGE_S`."""
CONFIG = """\
site = "bench"
device = "{device}"
[capture]
source = "picamera2"
fps = {fps}
[admit]
staff_zones = []
[detect]
bundle = "face-320x240"
[tally]
window_s = {window_s}
[privacy]
k = 1
[broker]
host = "127.0.0.1"
port = {port}
[spool]
path = "spool.sqlite"
unsynced_hold_h = 0
"""


@dataclass(slots=True)
class Member:
    """A device of the fleet, with its disk and its connections."""

    device: Device
    disk: SmallDisk | None
    due: float = 0.0
    """When its updater is started next, monotonic seconds."""


@dataclass(slots=True)
class Fleet:
    """All devices, and what they share."""

    folder: Path
    members: list[Member]
    proxies: tuple[TcpProxy, TcpProxy]
    """To the broker, and to the web server."""
    repository: ReleaseRepository
    rng: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    ends: list[tuple[float, "functools.partial[None]"]] = field(default_factory=list)
    """When a fault is over, and what ends it."""
    numbers: Counter[str] = field(default_factory=Counter)
    """Number of each device's manifest."""

    def step(self, *, looking: bool = True) -> None:
        """Do what systemd does on each device, for a moment; start updaters only if they are ``looking``."""
        now = time.monotonic()
        busy = sum(member.device.is_updating for member in self.members)
        for member in sorted(self.members, key=lambda each: each.due):  # who waits longest, first
            device = member.device
            device.supervise()
            may_look = looking and busy < MAX_UPDATING
            if may_look and device.enabled and not device.is_updating and now >= member.due:
                busy += 1
                member.due = now + self.update_every_s * self.rng.uniform(0.5, 1.5)
                device.update()
        for end in [each for each in self.ends if each[0] <= now]:
            self.ends.remove(end)
            end[1]()
        time.sleep(POLL_S)

    def roll_out(self, members: list[Member]) -> None:
        """Assign the second release to some devices, with a new number and a new configuration, and publish that."""
        for member in members:
            device = member.device
            self.numbers[device.name] += 1
            number = self.numbers[device.name]
            config = (device.folder / "etc/edge.toml").read_bytes() + f"# number {number}\n".encode()
            self.repository.assign(device.site, device.name, number, SECOND, config)
        self.repository.publish()

    def fail(self) -> None:
        """Inject one random fault."""
        kind, member = self.rng.choice(KINDS), self.rng.choice(self.members)
        until = time.monotonic() + self.rng.uniform(*OUTAGE_S)
        device = member.device
        match kind:
            case "updater":
                if not (device.enabled and device.is_updating):
                    return
                device.kill_updater()
            case "daemon":
                if device.daemon is None:
                    return
                device.kill()
            case "power":
                if not device.enabled:
                    return
                device.cut_power()
                self.ends.append((until, functools.partial(device.boot)))
            case "disk":
                if member.disk is None or member.disk.full:
                    return
                member.disk.fill()
                self.ends.append((until, functools.partial(member.disk.empty)))
            case "network":
                for proxy in self.proxies:
                    proxy.cut()
                    self.ends.append((until, functools.partial(proxy.restore)))
        self.faults[kind] += 1

    @property
    def update_every_s(self) -> float:
        """Mean time between two starts of a device's updater, seconds."""
        return UPDATE_EVERY_S * len(self.members)

    @property
    def kills(self) -> int:
        """Number of times that something was killed."""
        return self.faults["updater"] + self.faults["daemon"] + self.faults["power"]

    def has_decided(self, member: Member) -> bool:
        """Whether a device has kept its latest number, or given it up."""
        state, number = StateFile(member.device.state).read(), self.numbers[member.device.name]
        failed = state.failure is not None and state.failure.number == number and state.failure.given_up
        return number > 0 and (state.number == number or failed)

    def unwell(self) -> list[str]:
        """Names of the devices that are not at rest on one healthy release."""
        return [member.device.name for member in self.members if not is_well(member.device)]


def is_well(device: Device) -> bool:
    """Whether a device runs one of the releases as a whole, its daemon says so too, and no trial is open."""
    progress, state = device.progress(), StateFile(device.state).read()
    return (
        device.release in (FIRST, SECOND)
        and progress is not None
        and progress.release == device.release
        and progress.windows > 0
        and progress.acknowledged > 0
        and state.trial is None
    )


@contextmanager
def running_fleet(
    folder: Path, count: int, rng: random.Random, *, trial_s: float = TRIAL_S, fps: int = CAMERA_FPS
) -> Iterator[Fleet]:
    """Install ``count`` devices with the first release, and start what they share."""
    scripted_walks.write_loop(folder / "loop")
    (folder / "wheels").mkdir()
    wheels = [build_wheel(), shared_packages(folder / "wheels")]
    with ExitStack() as stack:
        broker = Mosquitto(folder, shipped=True)
        stack.callback(broker.stop)
        broker.start()
        collector = processes.collector(folder, broker.port)
        stack.callback(collector.close)
        collector.start()
        repository = ReleaseRepository(folder / "repository")
        server = stack.enter_context(_web_server(folder / "repository"))
        proxies = tuple(stack.enter_context(tcp_proxy(port, rng)) for port in (broker.port, server))
        members = []
        for number in range(count):
            device = Device(folder / f"device-{number:02d}", "bench", f"d{number:02d}", camera_environment(folder))
            device.folder.mkdir()
            disk = stack.enter_context(small_disk(device.folder / "disk", DISK))
            config = CONFIG.format(device=device.name, fps=fps, window_s=WINDOW_S, port=proxies[0].port)
            device.install(config)
            url = f"http://127.0.0.1:{proxies[1].port}"
            device.configure_updater(url, repository.trusted_root, f"trial_s = {trial_s}\n")
            stack.callback(device.stop)
            stack.callback(device.kill_updater)
            members.append(Member(device, disk))
        repository.add_release(SECOND, wheels, disk_mb=25)
        repository.publish()
        fleet = Fleet(folder, members, (proxies[0], proxies[1]), repository, rng)
        for member in members:
            member.device.enabled = True
            member.due = time.monotonic() + rng.uniform(0.0, fleet.update_every_s)
        yield fleet


def camera_environment(folder: Path) -> dict[str, str]:
    """Return variables of a daemon whose camera shows the images in ``loop`` in a folder."""
    return {
        "PYTHONPATH": str(CAMERA),
        "FACETALLY_IMAGES": str(folder / "loop"),
        "FACETALLY_IMAGES_FPS": str(scripted_walks.FPS / 2),
    }


@contextmanager
def _web_server(folder: Path) -> Iterator[int]:
    """Serve a folder, and yield the port."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Ignore connections that a fault has cut."""

    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
