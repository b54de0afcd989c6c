"""Make a release: wheels for each kind of device, bundles, checked configurations, bill of materials, signatures."""

import hashlib
import tempfile
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from contract.card import Card
from contract.errors import TopicError
from contract.release import (
    BUNDLES,
    BundleFiles,
    File,
    ReleaseManifest,
    WheelSet,
    configuration_path,
    release_path,
    sbom_path,
    wheel_path,
    write_manifest,
)
from contract.topics import check_id
from fleet.enrolment.boards import Kind
from fleet.enrolment.configuration import check, compose
from fleet.enrolment.inventory import Device, cameras_of, check_groups, chosen, read_inventory
from fleet.errors import Refused
from fleet.folder import Folder
from fleet.publication.bill_of_materials import bill_of_materials
from fleet.publication.bundles import add_bundle
from fleet.publication.records import Record, device_manifest, now_utc, read_record, software_manifest, write_record
from fleet.publication.repository import Changes, Repository
from fleet.publication.wheels import Store, Wheel

ROOT_MARGIN = timedelta(days=30)
"""Nothing is released with a root signature that ends sooner: devices would refuse everything soon after."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to release, and for which devices."""

    name: str
    wheel: Path | None = None
    """New software."""
    software: str | None = None
    """Instead, the software of this earlier release; with neither, each device keeps the software that it has."""
    bundles: tuple[Path, ...] = ()
    groups: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    """``SITE/DEVICE``. With neither groups nor devices the release is for all."""
    upgrade: bool = False
    """Choose the newest versions of other packages instead of the locked ones."""


@dataclass(slots=True)
class _Program:
    """Software that configurations are checked with."""

    wheel: Path
    bundles: set[str] = field(default_factory=set)


def make_release(folder: Folder, repository: Repository, request: Request, now: datetime) -> Record:
    """Sign and publish a release; no device takes it before it is rolled out. Raise Refused if something is wrong.

    The record is written last. After an interruption the command is repeated.
    """
    _check_request(folder, repository, request, now)
    devices = _devices(folder, request)
    changes, inventory = Changes(), read_inventory(folder.inventory)
    cameras = cameras_of(inventory, devices)
    every = [*devices, *cameras]
    if request.wheel is None:
        programs = _programs(repository, request.software, devices)
        configurations = _add_configurations(folder, changes, every, programs)
    else:
        ours = _own_wheel(request.wheel)
        bundles = [add_bundle(path, changes) for path in request.bundles]
        program = _Program(request.wheel, {files.name for files, _ in bundles})
        configurations = _add_configurations(folder, changes, every, {device.identity: program for device in devices})
        store = Store(folder.root / "locks", folder.downloads)
        kinds = sorted({device.kind for device in devices})
        collected = {kind: store.collect(ours, kind, request.upgrade) for kind in kinds}
        _add_software(changes, request.name, collected, bundles, now)
    software = request.name if request.wheel is not None else request.software
    record = Record(
        name=request.name,
        created=now_utc(now),
        software=software,
        configurations={each.identity: configurations[each.identity] for each in devices},
        instances=_instances(cameras, configurations),
    )
    repository.publish(targets=changes)
    write_record(folder, record)
    return record


def _instances(cameras: list[Device], configurations: dict[str, File]) -> dict[str, dict[str, File]]:
    """The configurations of further cameras by name, by identity of their host."""
    found: dict[str, dict[str, File]] = {}
    for camera in cameras:
        found.setdefault(camera.host_identity, {})[camera.device] = configurations[camera.identity]
    return found


def _check_request(folder: Folder, repository: Repository, request: Request, now: datetime) -> None:
    try:
        check_id("release", request.name)
    except TopicError as error:
        raise Refused(str(error)) from error
    if folder.release(request.name).exists():
        raise Refused(f"release {request.name}: must be a new name, exists; a release never changes")
    if request.wheel is not None and request.software is not None:
        raise Refused("--wheel and --software must not be combined: the one is new software, the other existing")
    if request.bundles and request.wheel is None:
        raise Refused("--bundle needs --wheel: bundles belong to the software of a release")
    if request.software is not None and (of := read_record(folder, request.software).software) != request.software:
        raise Refused(f"--software {request.software}: must be a release with software of its own, has that of {of}")
    (root,) = (each for each in repository.expiries() if each.role == "root")
    if root.ends - now < ROOT_MARGIN:
        raise Refused(
            f"repository: the signature of root must be valid for {ROOT_MARGIN.days} days, ends {root.ends:%Y-%m-%d};"
            " facetally-fleet renew --signatures renews it"
        )


def _devices(folder: Folder, request: Request) -> list[Device]:
    """The enrolled devices that a release is for. A further camera stands for its host."""
    inventory = read_inventory(folder.inventory)
    check_groups(inventory, request.groups)
    named = chosen(inventory, list(request.devices))
    everyone = not request.groups and not request.devices
    of_groups = [each for each in inventory.values() if everyone or each.group in request.groups]
    hosts = [inventory[each.host_identity] for each in (*named, *of_groups)]
    devices = {each.identity: each for each in hosts if each.state == "enrolled"}
    if not devices:
        raise Refused(
            "a release must be for at least one enrolled device, is for none; facetally-fleet enrol adds some"
        )
    return [devices[identity] for identity in sorted(devices)]


def _own_wheel(path: Path) -> Wheel:
    ours = Wheel.read(path)
    if ours.name != "facetally":
        raise Refused(f"{path}: must be a wheel of facetally, is of {ours.name}")
    return ours


def _add_software(
    changes: Changes,
    name: str,
    collected: dict[Kind, list[Wheel]],
    bundles: list[tuple[BundleFiles, Card]],
    now: datetime,
) -> None:
    """Add wheels, manifest and bill of materials to the targets. Of each kind's wheels the first is facetally's."""
    sets = tuple(
        WheelSet(
            python=kind.python,
            machine=kind.machine,
            board=kind.board,
            wheels=tuple(changes.add_file(wheel_path(each.path.name), each.path) for each in wheels),
        )
        for kind, wheels in collected.items()
    )
    every = [wheel for wheels in collected.values() for wheel in wheels]
    models = sum(files.card.length + files.model.length for files, _ in bundles)
    manifest = ReleaseManifest(
        schema=1,
        release=name,
        created=now_utc(now),
        version=str(every[0].version),
        minimum_disk_mb=max(_disk_mb(wheels) for wheels in collected.values()) + models // 1_000_000 + 1,
        wheel_sets=sets,
        bundles=tuple(files for files, _ in bundles),
    )
    changes.add_text(release_path(name), write_manifest(manifest))
    changes.add_text(sbom_path(name), bill_of_materials(name, manifest.version, every, bundles, now))


def _disk_mb(wheels: list[Wheel]) -> int:
    """Space that wheels need while they are installed: packed and unpacked, 10^6 bytes."""
    total = 0
    for each in wheels:
        with zipfile.ZipFile(each.path) as archive:
            total += each.path.stat().st_size + sum(entry.file_size for entry in archive.infolist())
    return total // 1_000_000 + 1


def _programs(repository: Repository, software: str | None, devices: list[Device]) -> dict[str, _Program]:
    """The software with which each device will read its configuration, by identity."""
    programs: dict[str, _Program] = {}
    known: dict[str, ReleaseManifest] = {}
    for device in devices:
        before = device_manifest(repository, device)
        name = software or (before.release if before else None)
        if name is None:
            raise Refused(f"{device.identity}: has no software yet; name a release by --software, or a --wheel")
        manifest = known.setdefault(name, software_manifest(repository, name))
        kind = device.kind
        wheels = manifest.wheels_for(kind.python, kind.machine, kind.board)
        (ours,) = (each for each in wheels if each.name.startswith("facetally-"))
        bundles = {each.name for each in manifest.bundles}
        programs[device.identity] = _Program(repository.stored(ours.path, ours.sha256), bundles)
    return programs


def _add_configurations(
    folder: Folder, changes: Changes, devices: list[Device], programs: dict[str, _Program]
) -> dict[str, File]:
    """Add the configurations of devices to the targets. Raise Refused, with a line for each, if some are wrong."""
    configurations, errors = {}, []
    by_wheel: dict[Path, list[Device]] = {}
    for device in devices:
        by_wheel.setdefault(programs[device.host_identity].wheel, []).append(device)
    with tempfile.TemporaryDirectory() as drafts:
        for wheel, group in by_wheel.items():
            paths = []
            for index, device in enumerate(group):
                text = compose(folder, device, folder.zones(device.site, device.device).read_text())
                paths.append(Path(drafts) / f"{index}.toml")
                paths[-1].write_bytes(text)
                target = configuration_path(device.site, device.device, hashlib.sha256(text).hexdigest())
                configurations[device.identity] = changes.add_text(target, text)
            for device, checked in zip(group, check(paths, wheel), strict=True):
                if device.host and not checked.instances:
                    errors.append(f"configuration of {device.identity}: its software is too old for further cameras")
                if checked.error is not None:
                    errors.append(f"configuration of {device.identity}: {checked.error}")
                for named in checked.named:
                    name = Path(named).stem
                    if named.startswith(f"{BUNDLES}/") and name not in programs[device.host_identity].bundles:
                        errors.append(f"configuration of {device.identity}: {named}: its software has no bundle {name}")
    if errors:
        raise Refused("\n".join(errors))
    return configurations
