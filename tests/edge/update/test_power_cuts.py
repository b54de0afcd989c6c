"""The switch is interrupted before each of its operations on the disk: a recovery always finds one good setup."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.simulation.switched_device import (
    Machine,
    cut_before,
    goes_back,
    goes_back_by_hand,
    keeps,
    new_device,
    problems,
)
from edge.update.layout import COMPLETE, Layout
from edge.update.state import State, StateFile


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
        assert problems(folder, allowed) is None, step
        ends.add(Layout(folder).current_setup())
        if act is keeps:
            assert keeps(Machine(folder)).good == "2", step
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
