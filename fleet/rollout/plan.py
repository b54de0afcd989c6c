"""Plan the rollout of a release, and roll it back."""

from dataclasses import dataclass
from datetime import datetime, timezone

from msgspec.structs import replace

from contract.release import DeviceManifest
from fleet.enrolment.inventory import Device, read_inventory
from fleet.errors import Refused
from fleet.found import Open
from fleet.publication.records import assignments, device_manifest, next_manifest, read_record
from fleet.rollout.stages import order, parse_duration, parse_stages
from fleet.rollout.state import DeviceState, Rollout, change_phase

LOCK_LIMIT_S = 1800.0
"""How long a rollout waits for another command that changes the fleet, seconds."""


@dataclass(frozen=True, slots=True)
class Request:
    """A rollout to begin. None stands for the settings."""

    release: str
    stages: str | None = None
    bake: str | None = None
    take_limit: str | None = None
    visits_may_change: bool = False


def plan(fleet: Open, request: Request) -> Rollout:
    """Plan a rollout to the devices of a release that are enrolled."""
    settings, release = fleet.settings.rollout, request.release
    record = read_record(fleet.folder, release)
    inventory = read_inventory(fleet.folder.inventory)
    devices: list[Device] = [inventory[each] for each in record.configurations if each in inventory]
    repository = fleet.repository
    identities = order(release, [device.identity for device in devices if device.state == "enrolled"])
    if not identities:
        raise Refused(f"release {release}: must be for an enrolled device, is for none")
    for device in devices:
        if record.software is None and device.state == "enrolled":
            next_manifest(record, device, device_manifest(repository, device))
    return Rollout(
        release=release,
        order=identities,
        stages=parse_stages(request.stages or settings.stages, len(identities)),
        bake_s=parse_duration(request.bake or settings.bake),
        take_limit_s=parse_duration(request.take_limit or settings.take_limit),
        compare_visits=not request.visits_may_change,
        devices={identity: DeviceState() for identity in identities},
    )


def give_back(fleet: Open, rollout: Rollout, reason: str) -> int:
    """Give all devices that have the release what they ran before; return how many."""
    inventory, repository = read_inventory(fleet.folder.inventory), fleet.repository
    manifests = []
    for identity in rollout.given:
        previous, device = rollout.devices[identity].previous, inventory.get(identity)
        now = device_manifest(repository, device) if device else None
        if previous is None or now is None or now.has_program_of(previous):
            continue
        manifests.append(_again(previous, now))
    if manifests:
        with fleet.folder.locked(wait_s=LOCK_LIMIT_S):
            repository.publish(devices=assignments(manifests))
    change_phase(fleet.folder, rollout, "back", reason, datetime.now(timezone.utc))
    return len(manifests)


def _again(previous: DeviceManifest, now: DeviceManifest) -> DeviceManifest:
    """What a device ran before, under the next number and with its present certificate."""
    return replace(
        now,
        schema=previous.schema,
        number=now.number + 1,
        release=previous.release,
        configuration=previous.configuration,
        instances=previous.instances,
    )
