"""The switch is interrupted before each of its operations on the disk: a recovery always finds one good setup."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

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

    def restart(self):
        self.boot, self.seconds = self.boot + 1, 0.0
        self.runs = (self.layout.current / "program").readlink().name

    def sleep(self, seconds):
        self.seconds += seconds
        if self.runs == "bad":
            self.restart()

    def readings(self):
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

    def __post_init__(self):
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
    def layout(self):
        return Layout(self.folder)

    @property
    def trial(self):
        """The steps, with a clock that runs while they wait."""

        def sleep(seconds):
            self.clock += seconds
            self.daemon.sleep(seconds)

        return Trial(
            layout=self.layout,
            file=StateFile(self.folder),
            readings=self.daemon.readings,
            restart=lambda: (request_restart(self.folder), self.daemon.restart()),
            trial_s=5.0,
            now=lambda: self.clock,
            sleep=sleep,
        )

    def start(self):
        """Boot: recover as the unit does before the daemon, then start the daemon."""
        state = self.trial.recover()
        self.daemon.restart()
        return state


def keeps(machine):
    """Try the release that is healthy."""
    state = machine.trial.run(machine.start(), "2", 2)
    machine.trial.tidy(state)
    return state


def goes_back(machine):
    """Try the release that restarts again and again."""
    state = machine.trial.run(machine.start(), "3", 3)
    machine.trial.tidy(state)
    return state


def goes_back_by_hand(machine):
    """Keep a release, then take it back."""
    state = machine.trial.run(machine.start(), "2", 2)
    return machine.trial.back(state, "by hand")


def cut_before(step, act, folder):
    """Run ``act`` in a process that ends before its change number ``step``. Returns whether it ended there."""
    child = os.fork()
    if child == 0:
        try:
            seen = 0

            def hook(event, arguments):
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
    assert code in (0, CUT), "the updater has failed"
    return code == CUT


def new_device(folder):
    folder.mkdir()
    machine = Machine(folder)
    machine.layout.switch("1")
    StateFile(folder).write(State(number=1, good="1"))
    return machine


@pytest.fixture
def memory():
    """A folder in memory: a killed process loses nothing there either, and syncing takes no time."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize(("act", "allowed"), [(keeps, "12"), (goes_back, "1"), (goes_back_by_hand, "12")])
def test_a_cut_at_any_step_leaves_one_good_setup(memory, act, allowed):
    """After a cut before step 1, 2, 3 ... a start finds one complete setup that proved healthy, and no open trial.

    The link to the updater leads to a complete slot, and the update works when it is tried again.
    """
    step, ends = 0, set()
    while True:
        step += 1
        folder = memory / f"{act.__name__}-{step}"
        new_device(folder)
        if not cut_before(step, act, folder):
            break
        state = Machine(folder).start()
        layout = Layout(folder)
        current = layout.current_setup()
        assert state.trial is None, step
        assert current is not None, step
        assert current == state.good, step
        assert current in allowed, step
        assert (layout.root / "updater" / COMPLETE).exists(), step
        ends.add(current)
        machine = Machine(folder)
        machine.trial.tidy(machine.start())
        again = machine.layout.current_setup()
        assert again == current, step
        if act is keeps:
            assert keeps(Machine(folder)).good == "2", step
    print(f"{act.__name__}: {step - 1} steps")
    assert step > 15
    assert ends == set(allowed)


def test_a_damaged_state_file_is_replaced_by_the_one_before(tmp_path):
    """If the medium damages the state, the copy is used; without both the link decides."""
    machine = new_device(tmp_path / "device")
    file = StateFile(machine.folder)
    file.write(State(number=2, good="2"))
    (machine.folder / "state.json").write_bytes(b"\0" * 30)
    assert file.read().number == 1
    (machine.folder / "state-last.json").write_bytes(b"")
    assert machine.start().good == "1"


def test_a_lost_link_is_made_again(tmp_path):
    """If ``current`` is gone or leads nowhere, the good setup runs; if that is gone too, the newest complete one."""
    machine = new_device(tmp_path / "device")
    machine.layout.current.unlink()
    assert machine.start().good == "1"
    assert machine.layout.current_setup() == "1"
    (machine.layout.slot("old") / COMPLETE).unlink()
    assert machine.start().good in ("2", "3")


def test_a_release_that_is_interrupted_three_times_is_given_up(tmp_path):
    """A release whose trial ends in a power cut each time, because it draws too much power, is not tried for ever."""
    machine = new_device(tmp_path / "device")
    for tries in (1, 2, 3):
        state = machine.start()
        assert state.wants(2)
        machine.trial.file.write(State(number=1, good="1", trial="2", trial_number=2, failure=state.failure))
        machine.layout.switch("2")
        state = machine.start()
        assert (state.failure.tries, state.good) == (tries, "1")
    assert not state.wants(2)
    assert state.wants(3)
    assert "interrupted" in (machine.folder / "update-failed").read_text()
