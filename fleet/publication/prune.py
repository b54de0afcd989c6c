"""Remove releases that no device runs and that no rollout can lead back to, and the files that only they had.

Releases leave the signed list of targets first. Their files stay for as long as an older list may still be shown to a
device, and are deleted by a later call. A removed release keeps its name: devices may still have a slot of that name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from contract.release import release_path, sbom_path
from fleet.enrolment.inventory import read_inventory
from fleet.folder import Folder
from fleet.publication.records import (
    Record,
    device_manifests,
    now_utc,
    read_records,
    software_manifest,
    write_record,
)
from fleet.publication.repository import Changes, Repository
from fleet.rollout.state import Rollout, read_rollouts


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    releases: tuple[str, ...]
    """Names of the releases that are no longer listed."""
    targets: int
    """Number of targets that are no longer listed."""
    files: int
    """Number of files that were deleted, of this or an earlier call."""
    size_bytes: int
    """Size of these files, bytes."""


@dataclass(slots=True)
class _Needed:
    """What devices and rollouts need."""

    releases: set[str] = field(default_factory=set)
    """Releases that can be rolled out and rolled back."""
    software: set[str] = field(default_factory=set)
    """Releases whose wheels and bundles are needed."""
    configurations: set[str] = field(default_factory=set)
    """Paths of targets."""


def prune(folder: Folder, repository: Repository, keep: int, now: datetime) -> Pruned:
    """Remove all releases but the newest ``keep``, those in use, and what these may be rolled back to.

    The records change first: after an interruption nothing refers to what is gone, and the command is repeated.
    """
    records = read_records(folder)
    needed = _needed(folder, repository, records, keep)
    removed = [each for each in records if each.name not in needed.releases | needed.software]
    for record in records:
        if record.name not in needed.releases:
            folder.rollout(record.name).unlink(missing_ok=True)
    for record in removed:
        write_record(folder, replace(record, removed=now_utc(now)))
    gone = set(repository.targets()) - set(_paths(repository, needed))
    if gone:
        repository.publish(targets=Changes(removed=gone))
    files, size_bytes = repository.delete_unlisted()
    return Pruned(tuple(each.name for each in removed), len(gone), files, size_bytes)


def _needed(folder: Folder, repository: Repository, records: list[Record], keep: int) -> _Needed:
    """Find what must stay. ``records`` are sorted, the oldest first."""
    needed = _Needed(releases={each.name for each in records[-keep:]} | _of_new_devices(folder, repository, records))
    for manifest in device_manifests(repository):
        needed.software.add(manifest.release)
        needed.configurations |= {each.path for each in manifest.configurations}
        for record in records:
            configuration = record.configurations.get(f"{manifest.site}/{manifest.device}")
            if configuration == manifest.configuration and record.software in (None, manifest.release):
                needed.releases.add(record.name)
    rollouts = read_rollouts(folder)
    needed.releases |= {each.release for each in rollouts if each.phase in ("running", "paused", "stopped")}
    for rollout in rollouts:
        if rollout.release in needed.releases and rollout.phase != "back":
            _add_previous(needed, rollout)
    needed.software |= {each.software for each in records if each.name in needed.releases and each.software}
    for record in records:  # a record that stays can be handed out, so all of its configurations stay
        if record.name in needed.releases | needed.software:
            needed.configurations |= {each.path for each in record.configurations.values()}
            needed.configurations |= {file.path for each in record.instances.values() for file in each.values()}
    return needed


def _of_new_devices(folder: Folder, repository: Repository, records: list[Record]) -> set[str]:
    """Return the releases that `facetally-fleet cards` gives to enrolled devices that have none yet."""
    served = {f"{each.site}/{each.device}" for each in device_manifests(repository)}
    waiting = set(read_inventory(folder.inventory)) - served
    newest = {identity: each.name for each in records if each.software for identity in each.configurations}
    return {newest[identity] for identity in waiting if identity in newest}


def _add_previous(needed: _Needed, rollout: Rollout) -> None:
    """Add what the devices of a rollout ran before."""
    for state in rollout.devices.values():
        if state.previous is not None:
            needed.software.add(state.previous.release)
            needed.configurations |= {each.path for each in state.previous.configurations}


def _paths(repository: Repository, needed: _Needed) -> Iterator[str]:
    """Yield the paths of all targets that must stay listed."""
    yield from needed.configurations
    for name in needed.software:
        yield release_path(name)
        yield sbom_path(name)
        manifest = software_manifest(repository, name)
        files = [file for each in manifest.wheel_sets for file in each.wheels]
        files += [file for each in manifest.bundles for file in (each.card, each.model)]
        yield from (file.path for file in files)
