"""Switch to a setup, keep it once it has proved healthy, and go back otherwise; recover from a power cut at any step.

Each step is on disk before the next one begins. The state names the setup on trial before the link leads to it, so that
a start in between always finds its way back to the good one.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from base.logs import line
from edge.update.errors import ReleaseWithdrawn
from edge.update.layout import Layout
from edge.update.proof import Proof, Readings, Requirement, requirements
from edge.update.state import State, StateFile

log = logging.getLogger(__name__)
POLL_S = 1.0
ASK_AGAIN_S = 30.0
"""The restart is requested again if a daemon from before the switch still runs after this time, seconds."""
PROOF_OF_OLD_S = 30.0
"""How long the old release must prove healthy after going back, before the new one is blamed, seconds."""
LOOK_S = 60.0
"""How often it is asked during a trial whether the release was withdrawn, seconds. It is not asked in the last minute:
an answer that does not come must not prolong the trial."""
BASELINE_S = 20.0
"""Time over which the frame rate before the switch is measured, seconds."""
RESTART_FILE = "restart"
"""Name of the file, in the updater's state folder, whose change makes systemd restart the daemons."""


def request_restart(folder: Path) -> None:
    """Ask ``facetally-restart.path`` to restart the daemons that run. The updater may not restart them itself.

    Nothing is written, so that a full disk cannot prevent it: systemd sees the file closed, and its time changed.
    """
    path = folder / RESTART_FILE
    with path.open("ab"):
        os.utime(path)


@dataclass(slots=True, kw_only=True)
class Trial:
    """The steps of a switch. ``readings`` returns the progress of the daemons that run."""

    layout: Layout
    file: StateFile
    readings: Callable[[], Readings]
    restart: Callable[[], None]
    trial_s: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def recover(self) -> State:
        """Return to a consistent state: exactly one complete setup runs, and no trial is open."""
        state, current = self.file.read(), self.layout.current_setup()
        if state.trial is not None:
            state = self._back(state, "interrupted, by a power cut or a stop of the updater", final=False)
        elif current is None:
            state = self._repair(state)
        elif current != state.good:  # the first start, or somebody has installed by hand
            state = msgspec.structs.replace(state, good=current, previous=None)
            self.file.write(state)
        if state.good is not None:
            self.layout.trust_updater_of(state.good)
        return state

    def tidy(self, state: State) -> None:
        """Remove all setups and slots but the good one and the one before."""
        if state.good is None:
            return
        self.layout.remove_all_but({name for name in (state.good, state.previous) if name})

    def run(self, state: State, setup: str, number: int, look: Callable[[], None] = lambda: None) -> State:
        """Try a setup; return the state in which it is kept, or rolled back.

        ``look`` raises ReleaseWithdrawn if the repository no longer wants it on this device.
        """
        required = self._requirements()
        state = msgspec.structs.replace(state, trial=setup, trial_number=number)
        self.file.write(state)
        self.layout.switch(setup)
        self.restart()
        log.info(line("trial", setup=setup, release=self.layout.release_of(setup), daemons=",".join(sorted(required))))
        try:
            problem = self._prove(required, self.trial_s, look)
        except ReleaseWithdrawn as error:
            log.warning(line("withdrawn", setup=setup, reason=error))
            return self._back(state, str(error), final=True)
        if problem is None:
            return self._keep(state)
        log.error(line("trial_failed", setup=setup, reason=problem))
        failing = self.readings()
        return self._blame(self._back(state, problem, final=False), required, failing)

    def back(self, state: State, reason: str) -> State:
        """Return to the setup before the good one, by hand; its number is not tried again."""
        assert state.previous is not None
        state = msgspec.structs.replace(state, trial=state.good, trial_number=state.number, good=state.previous)
        state = msgspec.structs.replace(state, previous=None)
        self.file.write(state)
        state = self._back(state, reason, final=True)
        self.layout.trust_updater_of(state.good or "")
        return state

    def _keep(self, state: State) -> State:
        state = state.kept()
        self.file.write(state)
        assert state.good is not None
        self.layout.trust_updater_of(state.good)
        self.layout.write_failure(None)
        log.info(line("kept", setup=state.good, release=self.layout.release_of(state.good)))
        return state

    def _back(self, state: State, reason: str, *, final: bool) -> State:
        """Let the daemon run the good setup again. The last step closes the trial."""
        assert state.trial is not None
        good = state.good if state.good and self.layout.is_complete(state.good) else self.layout.newest_setup()
        if good is not None and good != state.trial:
            self.layout.switch(good)
        self.restart()
        release = self.layout.release_of(state.trial) or state.trial
        try:
            self.layout.write_failure(f"release {release}, number {state.trial_number}: {reason}")
        except OSError as error:  # the disk is full; the state below may still fit into its old place
            log.error(line("failure_not_written", reason=error))
        state = msgspec.structs.replace(state, good=good).failed(state.trial_number, reason, final=final)
        self.file.write(state)
        return state

    def _blame(self, state: State, required: dict[str, Requirement], failing: Readings) -> State:
        """Mark the failed number as final if the old release proves healthy now: then the new one is the cause."""
        old = {}
        for unit, needed in required.items():
            boot = failing[unit].boot if unit in failing else needed.boot
            old[unit] = msgspec.structs.replace(needed, boot=boot)
        problem = self._prove(old, min(PROOF_OF_OLD_S, self.trial_s))
        if problem is not None:
            log.warning(line("old_release_not_healthy", reason=problem))
        elif state.failure is not None:
            state = msgspec.structs.replace(state, failure=msgspec.structs.replace(state.failure, final=True))
            self.file.write(state)
        return state

    def _repair(self, state: State) -> State:
        """Let ``current`` lead to a complete setup again, after a disk lost the link or the setup."""
        for name in (state.good, state.previous, self.layout.newest_setup()):
            if name is not None and self.layout.is_complete(name):
                self.layout.switch(name)
                log.error(line("repaired", setup=name))
                self.restart()
                state = msgspec.structs.replace(state, good=name, previous=None)
                self.file.write(state)
                return state
        log.error(line("no_setup", reason="no complete release is left; run systemd/install.sh again"))
        return state

    def _requirements(self) -> dict[str, Requirement]:
        first = self.readings()
        self.sleep(min(BASELINE_S, self.trial_s))
        return requirements(first, self.readings())

    def _prove(
        self, required: dict[str, Requirement], trial_s: float, look: Callable[[], None] = lambda: None
    ) -> str | None:
        """Wait until the daemons have proved healthy; return why they have not."""
        proof, asked = Proof(required, trial_s, self.now()), self.now()
        looked = asked
        while True:
            now, readings = self.now(), self.readings()
            if (problem := proof.problem(readings, now)) is not None:
                return problem
            if proof.is_over(now):
                return None
            if now - asked >= ASK_AGAIN_S and proof.still_old(readings):
                asked = now
                self.restart()
            if now - looked >= LOOK_S and not proof.is_over(now + LOOK_S):
                looked = now
                look()
            self.sleep(POLL_S)
