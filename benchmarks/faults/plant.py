"""Everything the bench breaks: two daemons, a wire, Mosquitto, the collector, a disk and a camera, all of one run.

The daemon ``door`` counts pictures as fast as it can and is killed again and again. The daemon ``pane`` counts a camera
in real time, which is lost and comes back; it is never killed.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults import parts, script
from benchmarks.faults.asked import Asked
from benchmarks.faults.disk import Disk, disk
from benchmarks.faults.oracle import Start
from benchmarks.faults.parts import Part, said
from benchmarks.faults.wire import Wire, wire
from demo.broker import free_port

FRAMES = 20_000
CLOSING = 2 * script.PER_WINDOW + 5
"""So many pictures end while nobody is in view."""
LIVE_WINDOW_S, LIVE_FPS = 5, 5
LIVE_SPEED = 0.5
"""The camera plays the loop at half its speed, so that a busy machine still sees each visitor often enough."""
CAMERA = Path(__file__).parent / "camera"


@dataclass(slots=True)
class Camera:
    """The live daemon's camera: lost while a file is there, and when that was (wall-clock seconds)."""

    marker: Path
    lost: list[list[float]] = field(default_factory=list)

    @property
    def gone(self) -> bool:
        """Whether it is lost now."""
        return self.marker.exists()

    def lose(self) -> None:
        """No more frames."""
        self.marker.touch()
        self.lost.append([time.time(), float("inf")])

    def give(self) -> None:
        """Frames again."""
        self.marker.unlink()
        self.lost[-1][1] = time.time()


@dataclass(slots=True)
class Plant:
    """The parts, and the starts of ``door`` so far."""

    folder: Path
    broker: Part
    collector: Part
    door: Part
    pane: Part
    wire: Wire
    disk: Disk | None
    camera: Camera
    asked: Asked
    starts: list[Start] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def begin_door(self) -> None:
        """Start ``door``, its pictures from the first on."""
        self.asked.begin()
        self.door.start()

    def end_door(self, number: int = signal.SIGKILL) -> None:
        """Kill ``door`` and note how far it had come."""
        status = self.door.end(number)
        self.note_door(ended=status == 0)

    def note_door(self, *, ended: bool) -> None:
        """``door`` is gone: how far it had come."""
        word = said(self.door.log)
        self.unexpected += word.unexpected
        frames = self.asked.frames()
        if word.boot or frames:
            self.starts.append(Start(word.boot, frames, ended, word.in_memory))


@contextmanager
def plant(folder: Path, chance: random.Random) -> Iterator[Plant]:
    """All parts started; stopped at the end."""
    loop, many = folder / "loop", folder / "many"
    script.draw(loop)
    script.repeat(loop, many, FRAMES)
    port = free_port()
    with ExitStack() as stack:
        small = stack.enter_context(disk(folder / "disk"))
        carried = stack.enter_context(wire(port, chance))
        broker, collector = parts.broker(folder, port), parts.collector(folder, port)
        door = parts.daemon(
            folder,
            parts.DOOR,
            capture=pictures(many),
            window_s=script.WINDOW_S,
            port=carried.port,
            spool=folder / "disk" / "door.sqlite",
        )
        window = pane(folder, carried.port, LIVE_WINDOW_S, FACETALLY_PICTURES_LOG=str(folder / "frames"))
        for part in (broker, collector, window, door):
            stack.callback(part.close)
        asked = Asked(many)
        stack.callback(asked.close)
        made = Plant(folder, broker, collector, door, window, carried, small, Camera(folder / "lost"), asked)
        broker.start()
        parts.wait_for_broker(port)
        collector.start()
        window.start()
        yield made


def pictures(folder: Path, fps: float = script.FPS) -> str:
    """TOML of a source that is a folder."""
    return f'source = "file"\npath = "{folder}"\nfps = {fps}'


def pane(folder: Path, port: int, window_s: float, **more: str) -> Part:
    """The live daemon on a camera stand-in that plays the folder's ``loop``. ``more``: environment variables."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(CAMERA), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "FACETALLY_PICTURES": str(folder / "loop"),
        "FACETALLY_PICTURES_FPS": str(script.FPS * LIVE_SPEED),
        **more,
    }
    capture = f'source = "picamera2"\nfps = {LIVE_FPS}'
    words = {"capture": capture, "window_s": window_s, "port": port, "spool": folder / "pane.sqlite"}
    return parts.daemon(folder, parts.PANE, **words, environment=environment)
