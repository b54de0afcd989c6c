"""Run a rollout: hand out manifests stage by stage, listen to the devices, and do what `decide` says."""

import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Literal

from msgspec.structs import replace

from base.logs import line
from contract.release import DeviceManifest
from fleet.broker import Listener, listening
from fleet.enrolment.inventory import read_inventory
from fleet.errors import Refused, RolledBack, ToolFailed
from fleet.found import Open
from fleet.publication.records import Record, assignments, device_manifest, next_manifest, read_record
from fleet.rollout.decision import Action, Decision, Progress, Traffic, View, decide, has_taken
from fleet.rollout.earlier import EarlierWeeks
from fleet.rollout.observer import Observer, Report, runs
from fleet.rollout.plan import LOCK_LIMIT_S, Request, give_back, plan
from fleet.rollout.state import Event, Phase, Rollout, change_phase, check_alone, read_rollout, write_rollout

TICK_S = 5.0
"""How often the rollout decides, seconds."""
LEARN_S = 5.0
"""How long retained messages are collected before the first decision, seconds."""
ASK_EARLIER_S = 300.0
"""How often the collector is asked for earlier weeks, seconds."""

_log = logging.getLogger(__name__)


def run(fleet: Open, wanted: Request) -> None:
    """Begin or continue the rollout of a release, and return when all devices have it.

    A rollout that goes on keeps the stages and times with which it was begun. Raise RolledBack if it was stopped,
    paused or rolled back, and Refused if it cannot begin.
    """
    folder, release = fleet.folder, wanted.release
    with folder.locked(f".rollout-{release}.lock"):
        rollout = read_rollout(folder, release) or plan(fleet, wanted)
        if rollout.phase in ("back", "done"):
            raise Refused(f"rollout of {release}: is {rollout.phase}; make another release to hand out")
        check_alone(folder, rollout)
        folder.rollout(release).with_suffix(".request").unlink(missing_ok=True)
        rollout.phase = "running"
        with listening(fleet.settings.broker, "status", "health", "counts") as listener:
            Runner(fleet, rollout, listener, lambda: datetime.now(timezone.utc)).run()


def request(fleet: Open, release: str, what: Literal["pause", "back"]) -> str:
    """Ask the running rollout to pause or go back, or do it here if none runs; return what was done."""
    folder = fleet.folder
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folder.locked(f".rollout-{release}.lock"))
        except Refused:
            folder.rollout(release).with_suffix(".request").write_text(what)
            return f"{release}: the running rollout was asked to {'pause' if what == 'pause' else 'go back'}"
        rollout = read_rollout(folder, release)
        if rollout is None:
            raise Refused(f"rollout of {release}: must have begun, has not")
        if what == "back":
            count = give_back(fleet, rollout, "rolled back by the operator")
            return f"{release}: {count} devices get back what they ran before"
        if rollout.phase != "running":
            raise Refused(f"rollout of {release}: must be running to pause, is {rollout.phase}")
        change_phase(folder, rollout, "paused", "paused by the operator", fleet.now)
        return f"{release}: paused; facetally-fleet rollout {release} goes on"


class Runner:
    """A rollout at work. All its state is in ``rollout``, which is on disk after each tick."""

    def __init__(self, fleet: Open, rollout: Rollout, listener: Listener, now: Callable[[], datetime]) -> None:
        self._fleet, self._rollout, self._listener, self._now = fleet, rollout, listener, now
        self._record: Record = read_record(fleet.folder, rollout.release)
        self._inventory = read_inventory(fleet.folder.inventory)
        self._observer = Observer()
        bounds = fleet.settings.rollout.bounds
        self._bounds = replace(bounds, compare_visits=bounds.compare_visits and rollout.compare_visits)
        collector = fleet.settings.collector
        self._earlier = None if collector is None else EarlierWeeks(collector)
        self._earlier_traffic: dict[str, Traffic] = {}
        self._asked_earlier = 0.0
        self._told = ""

    def run(self) -> None:
        """Go through the stages. Raise RolledBack unless all devices have the release at the end."""
        rollout = self._rollout
        self._listen(LEARN_S)
        while rollout.phase == "running":
            if rollout.began is None:
                self._begin_stage()
            self._listen(TICK_S)
            self._obey()
            if rollout.phase == "running":
                self._act(self._decision())
            write_rollout(self._fleet.folder, rollout)
        if rollout.phase != "done":
            self._wait_until_back()
            raise RolledBack(f"rollout of {rollout.release}: {rollout.events[-1].text}")

    def _begin_stage(self) -> None:
        """Give the devices of the stage the release. Doing so again, after an interruption, changes nothing."""
        rollout, repository = self._rollout, self._fleet.repository
        manifests = []
        for identity in rollout.of_stage:
            device, state = self._inventory.get(identity), rollout.devices[identity]
            if device is None or device.state == "revoked":
                continue
            if state.given is None:
                state.previous = device_manifest(repository, device)
                self._observer.begin(identity, state, self._now())
            before = device_manifest(repository, device)
            wanted = next_manifest(self._record, device, before)
            if before is None or not before.has_program_of(wanted):
                manifests.append(wanted)
        write_rollout(self._fleet.folder, rollout)
        if manifests:
            with self._fleet.folder.locked(wait_s=LOCK_LIMIT_S):
                repository.publish(devices=assignments(manifests))
        rollout.began, rollout.baking = self._now(), None
        self._note(f"stage {rollout.stage + 1} of {len(rollout.stages)}: {len(rollout.of_stage)} devices")

    def _listen(self, limit_s: float) -> None:
        """Take in messages for some seconds."""
        devices = self._rollout.devices
        for sender, message, retained in self._listener.messages(limit_s):
            identity, now = f"{sender.site}/{sender.device}", self._now()
            self._observer.add(sender, message, retained, now)
            if (state := devices.get(identity)) is not None:
                self._observer.follow(identity, state, self._wanted(identity), message, now)

    def _wanted(self, identity: str) -> DeviceManifest | None:
        """What a device shall run, None before it was given the release. Only the program counts, not the number."""
        device, state = self._inventory.get(identity), self._rollout.devices[identity]
        if device is None or state.given is None:
            return None
        return next_manifest(self._record, device, state.previous)

    def _decision(self) -> Decision:
        rollout, bounds, now = self._rollout, self._bounds, self._now()
        connected_s = self._listener.connected_s
        if not connected_s:
            return Decision(Action.WAIT, "no connection to the broker")
        self._ask_earlier(now)
        views = [self._view(identity, now, connected_s) for identity in rollout.of_stage]
        assert rollout.began is not None
        stage_s = (now - rollout.began).total_seconds()
        progress = Progress(stage_s, None, rollout.bake_s, rollout.take_limit_s)
        if rollout.baking is None and has_taken(views, progress, bounds):
            rollout.baking = now
        if rollout.baking is not None:
            progress = progress._replace(baked_s=(now - rollout.baking).total_seconds())
        others = set(self._inventory) - set(rollout.of_stage)
        silent = self._observer.silent_ratio(others, now, connected_s, bounds.silent_s)
        return decide(views, progress, bounds, silent)

    def _view(self, identity: str, now: datetime, connected_s: float) -> View:
        state = self._rollout.devices[identity]
        view = self._observer.view(identity, state, self._wanted(identity), now, connected_s)
        return replace(view, traffic_before=self._earlier_traffic.get(identity, Traffic())) if self._earlier else view

    def _ask_earlier(self, now: datetime) -> None:
        """Ask the collector for earlier weeks now and then. Without its answer visits are not compared."""
        since = self._rollout.baking
        if self._earlier is None or since is None or time.monotonic() - self._asked_earlier < ASK_EARLIER_S:
            return
        self._asked_earlier = time.monotonic()
        try:
            self._earlier_traffic = self._earlier.traffic(self._rollout.of_stage, since, now)
        except ToolFailed as error:
            _log.warning(line("visits_not_compared", reason=error))

    def _act(self, decision: Decision) -> None:
        rollout = self._rollout
        if decision.action is Action.BACK:
            count = give_back(self._fleet, rollout, decision.reason)
            self._tell(f"{decision.reason}; {count} devices get back what they ran before")
        elif decision.action is Action.STOP:
            self._end("stopped", decision.reason)
        elif decision.action is Action.WAIT:
            self._tell(decision.reason, repeat=False)
        elif rollout.stage + 1 == len(rollout.stages):
            self._end("done", decision.reason)
        else:
            self._note(decision.reason)
            rollout.stage, rollout.began = rollout.stage + 1, None

    def _obey(self) -> None:
        """Do what `request` has left."""
        path = self._fleet.folder.rollout(self._rollout.release).with_suffix(".request")
        with contextlib.suppress(FileNotFoundError):
            asked = path.read_text()
            path.unlink()
            if asked == "pause":
                self._end("paused", "paused by the operator")
            elif asked == "back":
                self._tell("rolled back by the operator")
                give_back(self._fleet, self._rollout, "rolled back by the operator")

    def _wait_until_back(self) -> None:
        """After going back, wait until the devices that were online run what they ran before, or the take limit."""
        rollout = self._rollout
        if rollout.phase != "back":
            return
        until = time.monotonic() + rollout.take_limit_s
        while time.monotonic() < until:
            left = [identity for identity in rollout.given if not self._is_back(identity)]
            self._tell(f"{len(rollout.given) - len(left)} of {len(rollout.given)} devices are back", repeat=False)
            if not left:
                return
            self._listen(TICK_S)

    def _is_back(self, identity: str) -> bool:
        previous = self._rollout.devices[identity].previous
        report = self._observer.reports.get(identity, Report())
        return previous is None or not report.online or runs(report.health, previous)

    def _end(self, phase: Phase, reason: str) -> None:
        self._tell(f"{phase}: {reason}")
        change_phase(self._fleet.folder, self._rollout, phase, reason, self._now())

    def _note(self, text: str) -> None:
        self._rollout.events.append(Event(self._now(), text))
        self._tell(text)
        write_rollout(self._fleet.folder, self._rollout)

    def _tell(self, text: str, repeat: bool = True) -> None:
        """Print a line; waiting is printed when the text changes in more than its numbers."""
        kind = "".join(each for each in text if not each.isdigit())
        if repeat or kind != self._told:
            print(f"{self._now():%H:%M:%S} {self._rollout.release}: {text}", flush=True)
        self._told = kind
