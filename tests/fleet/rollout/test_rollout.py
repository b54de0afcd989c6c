"""A rollout over a real broker: in stages, resumed after a kill, paused, rolled back when devices get worse."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.machines.fleet_servers import broker
from fleet.__main__ import main
from fleet.rollout import run as module
from tests.support.brokers import LIMIT_S, needs_mosquitto, wait_until
from tests.support.fleets import BOARD, fleet, give, light_wheel, made
from tests.support.followers import Follower, following

pytestmark = needs_mosquitto
ROOT = Path(__file__).parents[3]
DEVICES = 8
FAST = """\
import sys
from fleet.__main__ import main
from fleet.rollout import run
run.TICK_S, run.LEARN_S = 0.1, 1.0
sys.exit(main(sys.argv[1:]))
"""
"""The command with a shorter tick."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    """A fleet of eight devices with releases 1.0 and 2.0, and its broker."""
    folder = tmp_path_factory.mktemp("fleet")
    of = made(folder, *(f"shop-{n % 2},d{n},north,none,v4l2:0,{BOARD}" for n in range(DEVICES)))
    fleet("release", "1.0", "--wheel", light_wheel(folder), folder=of)
    fleet("release", "2.0", "--wheel", light_wheel(folder, "2.0"), folder=of)
    with broker(of, folder) as running:
        yield of, running.port


@pytest.fixture
def start(founded, monkeypatch):
    """Returns a function that makes the devices, all of which have release 1.0, and one for their faults."""
    monkeypatch.setattr(module, "TICK_S", 0.1)
    monkeypatch.setattr(module, "LEARN_S", 1.0)
    of, port = founded
    for path in (of / "rollouts").glob("*"):
        path.unlink()
    give(of, "1.0")
    return of, lambda **bad: [Follower(of, f"shop-{n % 2}", f"d{n}", port, bad) for n in range(DEVICES)]


def releases(followers):
    """How many devices run each release."""
    names = [each.installed.release for each in followers if each.installed]
    return {name: names.count(name) for name in sorted(set(names))}


def state(of, release="2.0"):
    return json.loads((of / f"rollouts/{release}.json").read_text())


def rollout(of, *arguments, release="2.0"):
    options = ["--stages", "1,50%,100%", "--bake", "1s", "--take-limit", "120s"]
    return main(["rollout", release, *options, *arguments, "--fleet", str(of)])


def test_a_good_release_reaches_all_devices_stage_by_stage(start, capsys):
    """One device first, then half, then all; each stage is observed before the next one begins."""
    of, devices = start
    followers = devices()
    with following(followers):
        assert rollout(of) == 0
        assert releases(followers) == {"2.0": DEVICES}
    told = [line for line in capsys.readouterr().out.splitlines() if " stage " in line]
    assert [line.partition("2.0: ")[2] for line in told] == [
        "stage 1 of 3: 1 devices", "stage 2 of 3: 3 devices", "stage 3 of 3: 4 devices",
    ]  # fmt: skip
    assert state(of)["phase"] == "done"
    assert rollout(of) == 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("refuses", "its updater took the release back: release 2.0: cannot be imported"),
        ("counts nothing", "visits an hour, before"),
        ("crashes", "restarted 2 times; 1 are allowed"),
    ],
)
def test_a_bad_release_ends_in_its_first_stage_and_everyone_is_back(start, capsys, fault, expected):
    """The exit code is 1, the reason is printed, and only the first device had ever taken the release."""
    of, devices = start
    followers = devices(**{"2.0": fault})
    with following(followers):
        assert rollout(of) == 1
        assert releases(followers) == {"1.0": DEVICES}
    assert expected in capsys.readouterr().out
    assert (state(of)["phase"], state(of)["stage"]) == ("back", 0)


def test_a_killed_rollout_goes_on_where_it_was_and_can_be_paused_and_taken_back(start, capsys):
    """The state on disk is enough: SIGKILL in the second stage, then the same command; then `pause`, then `back`."""
    of, devices = start
    followers = devices()
    options = ["--stages", "1,50%,100%", "--bake", "6s", "--take-limit", "120s", "--fleet", str(of)]
    command = [sys.executable, "-c", FAST, "rollout", "2.0", *options]
    with following(followers):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            wait_until(lambda: (of / "rollouts/2.0.json").exists() and state(of)["stage"] == 1, "the second stage")
            os.kill(process.pid, signal.SIGKILL)
        kept = json.dumps(state(of) | {"bake_s": 600.0})  # the second stage lasts until it is paused
        (of / "rollouts/2.0.json").write_text(kept)
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            printed = process.stdout.readline()  # it is at work
            wait_until(lambda: releases(followers) == {"1.0": 4, "2.0": 4}, "half of the devices have it")
            fleet("pause", "2.0", folder=of)
            assert process.wait(LIMIT_S) == 1
            printed += process.stdout.read()
        assert "paused by the operator" in printed
        assert "stage 1 of 3" not in printed
        assert state(of)["phase"] == "paused"
        previous = [each["previous"] for each in state(of)["devices"].values() if each["previous"]]
        assert [each["release"] for each in previous] == ["1.0"] * 4
        fleet("back", "2.0", folder=of)
        wait_until(lambda: releases(followers) == {"1.0": DEVICES}, "everyone is back")
    assert state(of)["phase"] == "back"
    assert "4 devices get back what they ran before" in capsys.readouterr().out
