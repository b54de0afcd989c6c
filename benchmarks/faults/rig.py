"""The test rig of one run: two daemons, a TCP proxy, Mosquitto, the collector, a small disk and a camera.

The ``replay`` daemon counts a folder of images as fast as it can, and is killed again and again. The ``live`` daemon
counts a camera in real time. Its camera is lost and comes back; the daemon itself is never killed.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.faults import processes, scripted_walks
from benchmarks.faults.expected_counts import DaemonStart
from benchmarks.faults.opened_files import OpenedFiles
from benchmarks.faults.processes import RestartableProcess, read_log
from benchmarks.faults.small_disk import SmallDisk, small_disk
from benchmarks.faults.tcp_proxy import TcpProxy, tcp_proxy
from demo.mosquitto import Mosquitto

REPLAY_FRAMES = 20_000
LIVE_WINDOW_S, LIVE_FPS = 5, 5
LIVE_SPEED = 0.5
"""The camera plays the loop at half speed, so that a busy machine still sees each visitor often enough."""
CAMERA_LOG = "camera-frames.log"
CAMERA = Path(__file__).parent / "camera"


@dataclass(slots=True)
class CameraSwitch:
    """Takes the live daemon's camera away while the file ``marker`` exists."""

    marker: Path
    outages: list[list[float]] = field(default_factory=list)
    """Begin and end of each outage, wall-clock seconds since 1970; the end is infinite while it lasts."""

    @property
    def is_off(self) -> bool:
        """Whether the camera is away now."""
        return self.marker.exists()

    def turn_off(self) -> None:
        """Stop delivering frames."""
        self.marker.touch()
        self.outages.append([time.time(), float("inf")])

    def turn_on(self) -> None:
        """Deliver frames again."""
        self.marker.unlink()
        self.outages[-1][1] = time.time()


@dataclass(slots=True)
class Rig:
    """The processes and devices under test, and what was observed of the replay daemon so far."""

    folder: Path
    broker: Mosquitto
    collector: RestartableProcess
    replay: RestartableProcess
    live: RestartableProcess
    proxy: TcpProxy
    disk: SmallDisk | None
    """The disk of the replay daemon's spool; None if this user may not mount one."""
    camera: CameraSwitch
    opened: OpenedFiles
    """The images that the replay daemon has opened."""
    starts: list[DaemonStart] = field(default_factory=list)
    replay_started: float = 0.0
    """When the replay daemon was started last, monotonic seconds."""
    unexpected: list[str] = field(default_factory=list)
    """Ends and log lines of processes that no fault explains."""

    def start_replay(self) -> None:
        """Start the replay daemon at the first image."""
        self.opened.reset()
        self.replay_started = time.monotonic()
        self.replay.start()

    def kill_replay(self) -> None:
        """Kill the replay daemon, and record how far it had come."""
        self.record_replay(ended=self.replay.kill() == 0)

    @property
    def replay_was_refused_by_disk(self) -> bool:
        """Whether a full disk explains that the replay daemon has ended before it had opened its spool."""
        is_full = self.disk is not None and self.disk.was_full_since(self.replay_started)
        return is_full and not read_log(self.replay.log).boot

    def record_replay(self, *, ended: bool) -> None:
        """Record the start of the replay daemon that has just ended; ``ended`` if it reached the last image."""
        log = read_log(self.replay.log)
        self.unexpected += log.unexpected
        frames = self.opened.count()
        if log.boot or frames:
            self.starts.append(DaemonStart(log.boot, frames, ended, log.in_memory))


@contextmanager
def running_rig(folder: Path, rng: random.Random) -> Iterator[Rig]:
    """Build the rig in ``folder``, start all but the replay daemon, and stop everything at the end."""
    loop, images = folder / "loop", folder / "images"
    scripted_walks.write_loop(loop)
    scripted_walks.link_loop(loop, images, REPLAY_FRAMES)
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "disk"))
        broker = Mosquitto(folder, shipped=True)
        proxy = stack.enter_context(tcp_proxy(broker.port, rng))
        collector = processes.collector(folder, broker.port)
        replay = processes.daemon(
            folder,
            processes.REPLAY_DEVICE,
            capture=folder_source(images),
            window_s=scripted_walks.WINDOW_S,
            port=proxy.port,
            spool=folder / "disk" / "replay.sqlite",
        )
        live = live_daemon(folder, proxy.port, LIVE_WINDOW_S, camera_log=folder / CAMERA_LOG)
        opened = OpenedFiles(images)
        for close in (broker.stop, collector.close, live.close, replay.close, opened.close):
            stack.callback(close)
        rig = Rig(folder, broker, collector, replay, live, proxy, disk, CameraSwitch(folder / "camera-off"), opened)
        broker.start()
        collector.start()
        live.start()
        yield rig


def folder_source(folder: Path, fps: float = scripted_walks.FPS) -> str:
    """Return the [capture] section of a daemon that reads a folder of images."""
    return f'source = "file"\npath = "{folder}"\nfps = {fps}'


def live_daemon(folder: Path, port: int, window_s: float, camera_log: Path | None = None) -> RestartableProcess:
    """Return the daemon ``live``. Its camera is `benchmarks.faults.camera`, which plays the images in ``loop``.

    The camera writes the times of its frames to ``camera_log``.
    """
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(CAMERA), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "FACETALLY_IMAGES": str(folder / "loop"),
        "FACETALLY_IMAGES_FPS": str(scripted_walks.FPS * LIVE_SPEED),
    }
    if camera_log:
        environment["FACETALLY_IMAGES_LOG"] = str(camera_log)
    daemon = processes.daemon(
        folder,
        processes.LIVE_DEVICE,
        capture=f'source = "picamera2"\nfps = {LIVE_FPS}',
        window_s=window_s,
        port=port,
        spool=folder / "live.sqlite",
    )
    return replace(daemon, environment=environment)
