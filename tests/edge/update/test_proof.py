"""What a daemon has to do before its release is kept."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge.system.progress import Progress
from edge.update.proof import READY_S, Proof, Requirement, requirements
from edge.update.settings import TRIAL_S as TRIAL_LIMIT_S

UNIT = "facetally-edge"
TRIAL_S = 100.0
DAEMON = Path(__file__).parents[3] / "systemd/units/facetally-edge.service"
OLD = Progress(
    boot="old",
    release="1",
    seconds=1000.0,
    frames=15_000,
    windows=16,
    window_s=10.0,
    connected=True,
    acknowledged=9,
    detection_ms=40.0,
)
LATER = replace(OLD, seconds=1020.0, frames=15_300)
NEW = replace(OLD, boot="new", release="2", seconds=0.0, frames=0, windows=0, acknowledged=0)
HEALTHY = replace(NEW, seconds=100.0, frames=1500, windows=9, acknowledged=2)


def judged(end, before=(OLD, LATER), unit=UNIT):
    """Return why a release that begins with `NEW` and ends with a reading has failed; None if it is kept."""
    first, second = ({} if each is None else {unit: each} for each in before)
    proof = Proof(requirements(first, second), TRIAL_S, 0.0)
    assert proof.problem({unit: LATER} if second else {}, 1.0) is None, "the old daemon still runs"
    assert proof.problem({unit: NEW}, 5.0) is None
    assert not proof.is_over(100.0)
    problem = proof.problem({} if end is None else {unit: end}, 5.0 + TRIAL_S)
    assert proof.is_over(5.0 + TRIAL_S)
    return problem


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (HEALTHY, None),
        (replace(HEALTHY, boot="another"), "restarted 100 s after its start"),
        (None, "stopped or restarted"),
        (replace(HEALTHY, frames=0), "processes 0.0 frames a second, 15.0 before"),
        (replace(HEALTHY, frames=1000), "processes 10.0 frames a second"),
        (replace(HEALTHY, frames=1100), None),
        (replace(HEALTHY, windows=0), "no window has ended"),
        (replace(HEALTHY, windows=0, window_s=60.0), None),
        (replace(HEALTHY, acknowledged=0), "the broker has acknowledged no message"),
        (replace(HEALTHY, connected=False), "the broker has acknowledged no message"),
        (replace(HEALTHY, detection_ms=350.0), "a detection takes 350 ms, must be at most 300"),
    ],
)
def test_a_release_must_do_what_the_one_before_did(end, says):
    """A restart, too few frames, no window, no acknowledgement or a slow bundle: not kept, and the reason is named."""
    problem = judged(end)
    assert problem is None if says is None else says in problem


@pytest.mark.parametrize(
    ("before", "end"),
    [
        ((replace(OLD, connected=False), replace(LATER, connected=False)), replace(HEALTHY, acknowledged=0)),
        ((OLD, replace(LATER, frames=OLD.frames)), replace(HEALTHY, frames=0, windows=0)),
        ((replace(OLD, detection_ms=400.0), replace(LATER, detection_ms=400.0)), replace(HEALTHY, detection_ms=450.0)),
        ((None, None), replace(HEALTHY, frames=0, windows=0, acknowledged=0)),
    ],
    ids=["no broker", "no camera", "slow board", "no daemon"],
)
def test_what_was_broken_before_is_not_asked_of_a_release(before, end):
    """A release may repair a device whose broker, camera or daemon does not work; it need only run."""
    assert judged(end, before) is None


def test_a_daemon_that_does_not_start_fails():
    """Without a start within the limit the trial ends; all daemons of the device have to start."""
    required = {UNIT: Requirement(boot="a"), "facetally-edge@till": Requirement(boot="b")}
    proof = Proof(required, TRIAL_S, 0.0)
    readings = {UNIT: NEW, "facetally-edge@till": replace(OLD, boot="b")}
    assert proof.problem(readings, READY_S) is None
    assert proof.still_old(readings)
    assert not proof.still_old({UNIT: NEW}), "a daemon that is starting is not restarted again"
    assert proof.problem(readings, READY_S + 1) == "facetally-edge@till: did not start within 120 s"


def test_a_bad_release_is_off_the_device_within_ten_minutes():
    """The default limits add up to less: start, trial, stop, and the start of the old release.

    A crash five minutes after the start is within the trial.
    """
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", DAEMON.read_text(), re.M)
    assert READY_S + TRIAL_LIMIT_S + int(stop_s) + READY_S <= 600
    assert TRIAL_LIMIT_S > 300
