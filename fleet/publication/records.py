"""What was released: the software of each release and the configurations of its devices; each device's manifest."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from base.durable_file import replace_file
from base.errors import SettingsError
from contract.fields import Id, Time
from contract.release import (
    DeviceManifest,
    File,
    ReleaseManifest,
    device_path,
    read_manifest,
    release_path,
    write_manifest,
)
from fleet.enrolment.inventory import Device
from fleet.errors import Refused
from fleet.folder import Folder
from fleet.publication.repository import DEVICES, Changes, Repository


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A release."""

    schema: Literal[1] = 1
    name: Id
    created: Time
    software: str | None
    """Release whose wheels and bundles it consists of: its own name, an earlier one, or None for a release of
    configurations only. Devices then keep the software that they have."""
    configurations: dict[str, File]
    """Configuration by ``SITE/DEVICE``: the devices that the release is for."""
    instances: dict[str, dict[str, File]] = field(default_factory=dict)
    """Configurations of further cameras by name, by ``SITE/DEVICE`` of their host."""
    removed: Time | None = None
    """When `fleet.publication.prune` removed it. Its name stays taken."""


def read_record(folder: Folder, name: str) -> Record:
    """Read the record of a release. Raise Refused if there is none, and SettingsError if it is damaged."""
    path = folder.release(name)
    record = _read(path) if path.exists() else None
    if record is None or record.removed is not None:
        known = ", ".join(each.name for each in read_records(folder)) or "none"
        raise Refused(f"release {name!r}: must be one of {known}{f'; {name} was removed' if record else ''}")
    return record


def read_records(folder: Folder) -> list[Record]:
    """Read the records of all releases that were not removed, the oldest first."""
    paths: list[Path] = sorted(folder.release("x").parent.glob("*.json"))
    records = [record for path in paths if (record := _read(path)).removed is None]
    return sorted(records, key=lambda each: each.created)


def _read(path: Path) -> Record:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from error


def write_record(folder: Folder, record: Record) -> None:
    """Write or replace the record of a release."""
    path = folder.release(record.name)
    path.parent.mkdir(exist_ok=True)
    replace_file(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


def software_manifest(repository: Repository, release: str) -> ReleaseManifest:
    """Return the manifest of a release with software. Raise Refused if the repository has none."""
    text = repository.read(release_path(release))
    if text is None:
        raise Refused(f"release {release!r}: must have software of its own, has none")
    return read_manifest(text, ReleaseManifest, release_path(release))


def device_manifest(repository: Repository, device: Device) -> DeviceManifest | None:
    """Return what a device shall run now, None if nothing was assigned to it yet."""
    path = device_path(device.site, device.device)
    text = repository.read(path)
    return None if text is None else read_manifest(text, DeviceManifest, path)


def wanted_program(repository: Repository, device: Device) -> DeviceManifest | None:
    """Return what a device shall run now, a further camera as part of its host. None if nothing was assigned yet."""
    if not device.host:
        return device_manifest(repository, device)
    manifest = device_manifest(repository, replace(device, device=device.host))
    configuration = manifest.instances.get(device.device) if manifest else None
    if manifest is None or configuration is None:
        return None
    return replace(manifest, device=device.device, configuration=configuration)


def device_manifests(repository: Repository) -> Iterator[DeviceManifest]:
    """Yield what each device of the repository shall run."""
    for path in repository.targets(DEVICES):
        text = repository.read(path) if path.startswith("devices/") else None
        if text is not None:
            yield read_manifest(text, DeviceManifest, path)


def next_manifest(record: Record, device: Device, before: DeviceManifest | None) -> DeviceManifest:
    """Return the manifest with which a device takes a release. Raise Refused if the release is not for it."""
    configuration = record.configurations.get(device.identity)
    if configuration is None:
        raise Refused(f"{device.identity}: must be a device of release {record.name}, is none")
    software = record.software or (before.release if before else None)
    if software is None:
        raise Refused(f"{device.identity}: has no software yet, and release {record.name} has configurations only")
    instances = record.instances.get(device.identity, {})
    schema: Literal[1, 2] = 2 if instances else 1  # devices with earlier software read version 1 only
    if before is None:
        return DeviceManifest(
            schema=schema, site=device.site, device=device.device, number=1, release=software,
            configuration=configuration, instances=instances,
        )  # fmt: skip
    number = before.number + 1
    return replace(
        before, schema=schema, number=number, release=software, configuration=configuration, instances=instances
    )


def assignments(manifests: list[DeviceManifest]) -> Changes:
    """Return the change of the repository that gives devices their manifests."""
    changes = Changes()
    for each in manifests:
        changes.add_text(device_path(each.site, each.device), write_manifest(each))
    return changes


def now_utc(now: datetime) -> datetime:
    """Return a time without fractions of a second, as records hold it."""
    return now.replace(microsecond=0)
