"""Prepare the cards of devices with everything that makes them enrolled ones, on top of ``systemd/card/card.py``."""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from contract.release import DeviceManifest
from fleet.enrolment.configuration import ETC, TLS
from fleet.enrolment.inventory import Device, cameras_of, read_inventory
from fleet.errors import Refused, ToolFailed
from fleet.found import Open
from fleet.publication.records import (
    assignments,
    device_manifest,
    next_manifest,
    read_record,
    read_records,
    software_manifest,
    wanted_program,
)
from fleet.publication.repository import Repository

POLL_S = 0.5
INSTALLED, CHECKOUT = Path(__file__).parent / "systemd", Path(__file__).parents[1] / "systemd"
"""The folder of `card.py`: in an installed package, and in a checkout."""


def assign(fleet: Open, devices: list[Device], release: str | None) -> None:
    """Give a release to those of some new devices that have none yet; the newest that is for them unless named.

    Devices that run already are left to a rollout. Raise Refused if there is no release for a device.
    """
    repository, manifests = fleet.repository, []
    records = read_records(fleet.folder)
    for device in devices:
        if device.host:
            raise Refused(f"{device.identity}: must be a device of its own, is a camera of {device.host_identity}")
        if device.state == "revoked":
            raise Refused(f"{device.identity}: is revoked; facetally-fleet replace gives it a new key")
        if device_manifest(repository, device) is not None:
            continue
        for_it = [each for each in records if each.software and device.identity in each.configurations]
        if release is None and not for_it:
            raise Refused(f"{device.identity}: has no release yet; facetally-fleet release makes one")
        record = read_record(fleet.folder, release) if release else for_it[-1]
        manifests.append(next_manifest(record, device, None))
    if manifests:
        repository.publish(devices=assignments(manifests))


def write_card(fleet: Open, device: Device, boot: Path) -> None:
    """Prepare a card. Raise Refused with the reason if it is not suitable; it installs nothing then."""
    repository = fleet.repository
    manifest = device_manifest(repository, device)
    assert manifest is not None, "assigned before"
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        wheel = _stage_wheels(repository, manifest, device, staged)
        hosted = cameras_of(read_inventory(fleet.folder.inventory), [device])
        cameras = [each for each in hosted if each.device in manifest.instances]
        files = _stage_files(fleet, repository, device, staged / "files")
        files += _stage_cameras(fleet, repository, manifest, cameras, staged / "files")
        configuration = repository.stored(manifest.configuration.path, manifest.configuration.sha256)
        (staged / "edge.toml").symlink_to(configuration.resolve())
        kind = device.kind
        command = [
            sys.executable,
            str(_systemd() / "card" / "card.py"),
            str(boot),
            str(staged / "edge.toml"),
            str(wheel),
        ]
        options = ["--python", kind.python, "--machine", kind.machine, "--wheels", str(staged / "wheels")]
        done = subprocess.run(
            [*command, *map(str, files), *options], capture_output=True, text=True, check=False, cwd=staged
        )
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2].removeprefix("card.py: ")
        raise (Refused if done.returncode == 2 else ToolFailed)(f"card of {device.identity}: {reason}")
    for each in (device, *cameras):
        _note(fleet, each)


def write_cards(
    fleet: Open, devices: list[Device], boots: list[Path], wait_s: float, report: Callable[[str], None]
) -> list[str]:
    """Write the cards of devices, one after another, to whatever cards appear at the mount points ``boots``.

    Each reader has a thread of its own. Return the identities of devices that got no card, because none appeared for
    ``wait_s`` seconds or a card was not suitable.
    """
    waiting, lock = list(devices), threading.Lock()
    left: list[str] = []

    def serve(boot: Path) -> None:
        until = time.monotonic() + wait_s
        while waiting and time.monotonic() < until:
            if not _is_fresh(boot):
                time.sleep(POLL_S)
                continue
            with lock:
                device = waiting.pop(0) if waiting else None
            if device is None:
                return
            try:
                write_card(fleet, device, boot)
                report(f"{device.identity}: written to {boot}; eject and label it")
                until = time.monotonic() + wait_s
            except (Refused, ToolFailed, OSError) as error:
                with lock:
                    left.append(device.identity)
                report(f"{boot}: {error}")
                while _is_fresh(boot) and time.monotonic() < until:  # this card stays until somebody takes it out
                    time.sleep(POLL_S)

    threads = [threading.Thread(target=serve, args=(boot,)) for boot in boots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [*left, *(device.identity for device in waiting)]


def without_card(fleet: Open, groups: list[str]) -> list[Device]:
    """Return the enrolled devices, of some groups or all, for whose present keys no card was written yet.

    The key of a further camera counts once the manifest of its host has the camera: then it is on the card.
    """
    written = {serial for _identity, serial in _noted(fleet)}
    enrolled = [each for each in read_inventory(fleet.folder.inventory).values() if each.state == "enrolled"]
    lacking = {
        each.host_identity
        for each in enrolled
        if each.serial not in written and (not each.host or wanted_program(fleet.repository, each))
    }
    return [each for each in enrolled if each.identity in lacking and (not groups or each.group in groups)]


def _is_fresh(boot: Path) -> bool:
    """Whether a card is mounted that Raspberry Pi Imager has written and nobody has prepared."""
    return (boot / "user-data").is_file() and (boot / "meta-data").is_file() and not (boot / "facetally").exists()


def _stage_wheels(repository: Repository, manifest: DeviceManifest, device: Device, staged: Path) -> Path:
    """Lay out the wheels of a device's release under their names; return that of facetally."""
    kind, folder = device.kind, staged / "wheels"
    folder.mkdir()
    ours = staged
    for each in software_manifest(repository, manifest.release).wheels_for(kind.python, kind.machine, kind.board):
        stored = repository.stored(each.path, each.sha256).resolve()
        is_ours = each.name.startswith("facetally-")
        link = (staged if is_ours else folder) / each.name
        link.symlink_to(stored)
        ours = link if is_ours else ours
    return ours


def _stage_files(fleet: Open, repository: Repository, device: Device, folder: Path) -> list[Path]:
    """Lay out the files for the device's /etc/facetally: certificate, key, trust in the repository, and its own."""
    folder.mkdir(mode=0o700)
    own = fleet.folder.secrets / "files" / device.site / device.device
    for path in sorted(own.glob("*")) if own.is_dir() else []:
        shutil.copy(path, folder)
    name = f"devices/{device.identity}"
    shutil.copy(fleet.folder.certificate("ca"), folder / "ca.pem")
    shutil.copy(fleet.folder.certificate(name), folder / "device.pem")
    shutil.copy(fleet.folder.key(name), folder / "device.key")
    (folder / "root.json").write_bytes(repository.root())
    (folder / "update.toml").write_text(_update_settings(fleet.settings.repository.url, device))
    return sorted(folder.iterdir())


def _stage_cameras(
    fleet: Open, repository: Repository, manifest: DeviceManifest, cameras: list[Device], folder: Path
) -> list[Path]:
    """Lay out configuration, certificate, key and own files of further cameras, which the manifest has.

    Raise Refused if two files of the device have one name and different contents.
    """
    before = set(folder.iterdir())
    for camera in cameras:
        configuration = manifest.instances[camera.device]
        own = fleet.folder.secrets / "files" / camera.site / camera.device
        name = f"devices/{camera.identity}"
        sources = {
            f"{camera.device}.toml": repository.stored(configuration.path, configuration.sha256),
            f"{camera.device}.pem": fleet.folder.certificate(name),
            f"{camera.device}.key": fleet.folder.key(name),
        }
        for target, source in (*sources.items(), *((path.name, path) for path in sorted(own.glob("*")))):
            copy = folder / target
            if copy.exists() and copy.read_bytes() != source.read_bytes():
                raise Refused(
                    f"{source}: {camera.host_identity} has another file {target} in {ETC}; rename one of them"
                )
            shutil.copy(source, copy)
    return sorted(set(folder.iterdir()) - before)


def _update_settings(url: str, device: Device) -> str:
    """The updater's configuration of a device, TOML."""
    tls = ", ".join(f"{key} = {json.dumps(path)}" for key, path in TLS.items())
    return (
        f"# The updater of {device.identity}: where its releases are. {ETC}/root.json is the first root of trust.\n"
        f"site = {json.dumps(device.site)}\ndevice = {json.dumps(device.device)}\n"
        f"repository = {json.dumps(url)}\ntls = {{ {tls} }}\n"
    )


def _systemd() -> Path:
    for folder in (INSTALLED, CHECKOUT):
        if (folder / "card" / "card.py").is_file():
            return folder
    raise Refused(f"{INSTALLED}: must have card/card.py, has none; install facetally from its wheel or a checkout")


def _noted(fleet: Open) -> Iterator[tuple[str, str]]:
    """Yield identity and serial number of the certificate of each card written so far."""
    path = fleet.folder.root / "cards.csv"
    if path.is_file():
        with path.open(newline="") as file:
            yield from ((row[0], row[1]) for row in csv.reader(file) if len(row) == 3)


_note_lock = threading.Lock()


def _note(fleet: Open, device: Device) -> None:
    """Note that the card of a device was written."""
    with _note_lock, (fleet.folder.root / "cards.csv").open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow([device.identity, device.serial, fleet.now.isoformat()])
