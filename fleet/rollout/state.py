"""The state of a rollout, on disk after each change: a killed command goes on where it was."""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct, field

from base.durable_file import replace_file
from base.errors import SettingsError
from contract.fields import Time
from contract.release import DeviceManifest
from fleet.errors import Refused
from fleet.folder import Folder
from fleet.rollout.decision import Figures, Traffic

Phase = Literal["running", "paused", "stopped", "back", "done"]
MAX_EVENTS = 1000


class DeviceState(Struct, kw_only=True):
    """How far a device has come. All fields below ``previous`` are about its present stage."""

    previous: DeviceManifest | None = None
    """What it ran before."""
    given: Time | None = None
    """When it was given the release."""
    was_online: bool = False
    failed_before: str | None = None
    """``update_failed`` of its health message before; an older failure says nothing about this release."""
    before: Figures | None = None
    taken: Time | None = None
    """When it first reported the release and configuration."""
    boots: list[str] = field(default_factory=list)
    """Starts of the daemon since then; the first is the one that took it."""
    counted_until: Time | None = None
    """End of its last window that is in ``traffic``."""
    traffic: Traffic = Traffic()
    traffic_before: Traffic = Traffic()


class Event(Struct, frozen=True):
    """One change of state."""

    time: Time
    text: str


class Rollout(Struct, kw_only=True):
    """A rollout."""

    schema: Literal[1] = 1
    release: str
    order: list[str]
    """Devices as they take the release, ``SITE/DEVICE``."""
    stages: tuple[int, ...]
    """How many devices have it after each stage."""
    bake_s: float
    take_limit_s: float
    compare_visits: bool = True
    """Whether visits count; not if the release is meant to change them."""
    phase: Phase = "running"
    stage: int = 0
    """Index of the present stage."""
    began: Time | None = None
    """When the devices of the present stage were given the release."""
    baking: Time | None = None
    """Since when the present stage is observed."""
    devices: dict[str, DeviceState]
    events: list[Event] = field(default_factory=list)

    @property
    def given(self) -> list[str]:
        """Devices of the present and all earlier stages."""
        return self.order[: self.stages[self.stage]]

    @property
    def of_stage(self) -> list[str]:
        """Devices of the present stage."""
        first = self.stages[self.stage - 1] if self.stage else 0
        return self.order[first : self.stages[self.stage]]


def read_rollout(folder: Folder, release: str) -> Rollout | None:
    """Read the state of a rollout, None if there is none. Raise SettingsError if it is damaged."""
    path = folder.rollout(release)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Rollout)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from error


def read_rollouts(folder: Folder) -> list[Rollout]:
    """Read the states of all rollouts."""
    paths = sorted(folder.rollout("x").parent.glob("*.json"))
    return [found for path in paths if (found := read_rollout(folder, path.stem)) is not None]


def write_rollout(folder: Folder, rollout: Rollout) -> None:
    """Replace the state of a rollout on disk."""
    path = folder.rollout(rollout.release)
    path.parent.mkdir(exist_ok=True)
    del rollout.events[:-MAX_EVENTS]
    replace_file(path, msgspec.json.format(msgspec.json.encode(rollout), indent=2) + b"\n")


def change_phase(folder: Folder, rollout: Rollout, phase: Phase, reason: str, now: datetime) -> None:
    """Note that a rollout has come into another phase, and why."""
    rollout.phase = phase
    rollout.events.append(Event(now, f"{phase}: {reason}"))
    write_rollout(folder, rollout)


def check_alone(folder: Folder, rollout: Rollout) -> None:
    """Raise Refused if another rollout that has not ended shares devices with this one."""
    for other in read_rollouts(folder):
        if other.release == rollout.release or other.phase in ("back", "done"):
            continue
        if shared := sorted(set(other.order) & set(rollout.order)):
            raise Refused(
                f"rollout of {other.release}: is {other.phase} and has {shared[0]}, too; end it or roll it back first"
            )
