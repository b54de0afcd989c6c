"""A device of which only the switch is real: it can be cut before each operation on the disk, in a process of its own.

The updater's `Trial` works on real files and links. Daemon and systemd are replaced by a few lines, and the clock by a
number, so that a switch takes milliseconds.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.system.progress import Progress
from edge.update.layout import COMPLETE, Layout
from edge.update.state import State, StateFile
from edge.update.trial import Trial, request_restart

CHANGES = {"os.rename", "os.symlink", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.truncate"}
"""Audit events of Python that change a disk, besides `open` for writing."""
CUT = 77


@dataclass
class Daemon:
    """Stands in for the daemon and for systemd: starts anew when asked; the release ``bad`` stops at once."""

    layout: Layout
    boot: int = 0
    seconds: float = 0.0
    runs: str = ""

    def restart(self) -> None:
        """Start anew, from the release that the link leads to."""
        self.boot, self.seconds = self.boot + 1, 0.0
        self.runs = (self.layout.current / "program").readlink().name

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        if self.runs == "bad":
            self.restart()

    def readings(self) -> dict[str, Progress]:
        """Return what the daemon reports."""
        frames, boot = round(10 * self.seconds), f"{self.boot}-{os.getpid()}"
        return {
            "facetally-edge": Progress(
                boot=boot,
                release=self.runs,
                seconds=self.seconds,
                frames=frames,
                windows=1,
                window_s=1.0,
                connected=True,
                acknowledged=1,
                detection_ms=5.0,
            )
        }


@dataclass
class Machine:
    """The folders of a device on which release ``old`` proved healthy and another one is installed beside it."""

    folder: Path
    clock: float = 0.0
    daemon: Daemon = field(init=False)

    def __post_init__(self) -> None:
        """Make the slots and setups, if they are missing."""
        for number, release in (("1", "old"), ("2", "new"), ("3", "bad")):
            for path in (self.layout.slot(release), self.layout.setup(number)):
                path.mkdir(parents=True, exist_ok=True)
            (self.layout.slot(release) / COMPLETE).write_text("")
            (self.layout.setup(number) / "edge.toml").write_text(release)
            link = self.layout.setup(number) / "program"
            if not link.is_symlink():
                link.symlink_to(f"../../slots/{release}")
        self.daemon = Daemon(self.layout)

    @property
    def layout(self) -> Layout:
        """The folder of programs."""
        return Layout(self.folder)

    @property
    def trial(self) -> Trial:
        """The steps, with a clock that runs while they wait."""

        def sleep(seconds: float) -> None:
            self.clock += seconds
            self.daemon.sleep(seconds)

        def restart() -> None:
            request_restart(self.folder)
            self.daemon.restart()

        return Trial(
            layout=self.layout,
            file=StateFile(self.folder),
            readings=self.daemon.readings,
            restart=restart,
            trial_s=5.0,
            now=lambda: self.clock,
            sleep=sleep,
        )

    def start(self) -> State:
        """Boot: recover as the unit does before the daemon, then start the daemon."""
        state = self.trial.recover()
        self.daemon.restart()
        return state


def keeps(machine: Machine) -> State:
    """Try the release that is healthy."""
    state = machine.trial.run(machine.start(), "2", 2)
    machine.trial.tidy(state)
    return state


def goes_back(machine: Machine) -> State:
    """Try the release that restarts again and again."""
    state = machine.trial.run(machine.start(), "3", 3)
    machine.trial.tidy(state)
    return state


def goes_back_by_hand(machine: Machine) -> State:
    """Keep a release, then roll it back."""
    state = machine.trial.run(machine.start(), "2", 2)
    return machine.trial.back(state, "by hand")


def cut_before(step: int, act: Callable[[Machine], State], folder: Path) -> bool:
    """Run ``act`` in a process that ends before its change number ``step``. Returns whether it ended there."""
    child = os.fork()
    if child == 0:
        try:
            seen = 0

            def hook(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal seen
                writes = event == "open" and isinstance(arguments[1], str) and arguments[1][0] in "wax"
                if (
                    event in CHANGES
                    or writes
                    or (event == "open" and arguments[1] is None and arguments[2] & os.O_CREAT)
                ):
                    seen += 1
                    if seen == step:
                        os._exit(CUT)

            machine = Machine(folder)
            sys.addaudithook(hook)
            act(machine)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, CUT):
        raise RuntimeError(f"{act.__name__}: has failed before step {step}, with exit code {code}")
    return code == CUT


def new_device(folder: Path) -> Machine:
    """Return a device on which release ``old`` is good and runs."""
    folder.mkdir(exist_ok=True)
    machine = Machine(folder)
    machine.layout.switch("1")
    StateFile(folder).write(State(number=1, good="1"))
    return machine


def problems(folder: Path, allowed: str) -> str | None:
    """Boot a device that was cut, and return what is wrong with it; None if exactly one good setup runs."""
    state, layout = Machine(folder).start(), Layout(folder)
    current = layout.current_setup()
    if state.trial is not None:
        return "a trial is open"
    if current is None or current != state.good or current not in allowed:
        return f"runs setup {current}, good is {state.good}, must be one of {', '.join(allowed)}"
    if not (layout.root / "updater" / COMPLETE).exists():
        return "has no updater"
    Machine(folder).trial.tidy(state)
    return None if layout.current_setup() == current else "has lost its setup when others were removed"
