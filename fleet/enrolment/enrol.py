"""Enrol devices, and revoke, renew or replace what they were given."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from msgspec.structs import replace

from base.durable_file import replace_file
from fleet.enrolment.authority import Authority, Revoked, parse_certificate
from fleet.enrolment.configuration import check, compose
from fleet.enrolment.device_table import Row, read_table
from fleet.enrolment.inventory import (
    Device,
    Inventory,
    cameras_of,
    chosen,
    read_inventory,
    read_revoked,
    write_inventory,
    write_revoked,
)
from fleet.errors import Refused
from fleet.folder import Folder
from fleet.keys import new_certificate_key, pem, write_secret

COLUMN_OF = {"capture": "camera", "admit": "zones", "site": "site", "device": "device"}
"""Column of the table that a table of the configuration comes from."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolling a table has changed: identities of devices."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Issues certificates for devices of one fleet."""

    folder: Folder
    authority: Authority
    days: int
    """Lifetime of a device's certificate."""
    now: datetime

    def issue(self, device: Device) -> Device:
        """Give a device a new key and certificate; return it with their serial number and end."""
        key = new_certificate_key()
        write_secret(self.folder.key(f"devices/{device.identity}"), pem(key))
        return self._certified(device, key.public_key())

    def renew(self, device: Device) -> Device:
        """Give a device a new certificate for the key that it has."""
        path = self.folder.certificate(f"devices/{device.identity}")
        key = parse_certificate(path.read_bytes(), str(path)).public_key()
        assert isinstance(key, EllipticCurvePublicKey)
        return self._certified(device, key)

    def _certified(self, device: Device, key: EllipticCurvePublicKey) -> Device:
        path = self.folder.certificate(f"devices/{device.identity}")
        issued = self.authority.client(key, device.identity, self.days, self.now)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, issued)
        certificate = parse_certificate(issued, str(path))
        return replace(
            device,
            state="enrolled",
            serial=f"{certificate.serial_number:x}",
            certificate_ends=certificate.not_valid_after_utc,
        )


def enrol(issuer: Issuer, table: Path) -> Enrolled:
    """Enrol the devices of a table; a second time it changes nothing.

    All rows and their configurations are checked before anything is written, and the inventory is written last: after
    an interruption the command is repeated. Raise Refused with a line for each wrong row.
    """
    folder = issuer.folder
    rows, inventory = read_table(table), read_inventory(folder.inventory)
    planned = [_planned(row, inventory.get(row.identity), issuer.now) for row in rows]
    named = {row.identity for row in rows}
    _check(folder, table, rows, planned, [each for each in inventory.values() if each.identity not in named])
    new, changed, unchanged = [], [], []
    for row, device in zip(rows, planned, strict=True):
        before = inventory.get(row.identity)
        zones = folder.zones(row.site, row.device)
        same_zones = zones.is_file() and zones.read_text() == row.zones
        if not same_zones:
            zones.parent.mkdir(parents=True, exist_ok=True)
            replace_file(zones, row.zones.encode())
        if before is None:
            inventory[row.identity] = issuer.issue(device)
            new.append(row.identity)
        elif before != device or not same_zones:
            inventory[row.identity] = device
            changed.append(row.identity)
        else:
            unchanged.append(row.identity)
    write_inventory(folder.inventory, inventory)
    return Enrolled(tuple(new), tuple(changed), tuple(unchanged))


def revoke(issuer: Issuer, identities: list[str]) -> list[Device]:
    """Put the certificates of devices and their further cameras on the list of revoked ones, and return all of them."""
    inventory = read_inventory(issuer.folder.inventory)
    devices = [device for device in _with_cameras(inventory, identities) if device.state != "revoked"]
    _add_revoked(issuer, devices)
    _write(issuer.folder, inventory, [replace(device, state="revoked") for device in devices])
    return devices


def renew(issuer: Issuer, identities: list[str]) -> list[Device]:
    """Renew the certificates of enrolled devices for the keys that they have. Raise Refused for a revoked one."""
    inventory = read_inventory(issuer.folder.inventory)
    devices = chosen(inventory, identities)
    for device in devices:
        if device.state == "revoked":
            raise Refused(f"{device.identity}: is revoked; facetally-fleet replace gives it a new key")
    renewed = [issuer.renew(device) for device in devices]
    _write(issuer.folder, inventory, renewed)
    return renewed


def replace_device(issuer: Issuer, identity: str) -> list[Device]:
    """Give an identity to another device: a new key and certificate; the old certificate is revoked.

    The same is done for its further cameras, whose keys are on the old device. Return all of them.
    """
    inventory = read_inventory(issuer.folder.inventory)
    devices = _with_cameras(inventory, [identity])
    _add_revoked(issuer, [device for device in devices if device.state == "enrolled"])
    replaced = [issuer.issue(device) for device in devices]
    _write(issuer.folder, inventory, replaced)
    return replaced


def ending(inventory: Inventory, within: timedelta, now: datetime) -> list[str]:
    """Return the identities of enrolled devices whose certificate ends within a time."""
    return [
        each.identity
        for each in inventory.values()
        if each.state == "enrolled" and each.certificate_ends - now < within
    ]


def write_revocation_list(issuer: Issuer, revoked: Iterable[Revoked]) -> None:
    """Sign and write the list of revoked certificates for broker and web server."""
    replace_file(issuer.folder.certificate("crl"), issuer.authority.revocation_list(revoked, issuer.now))


def _with_cameras(inventory: Inventory, identities: list[str]) -> list[Device]:
    """Return devices by ``SITE/DEVICE``, and their further cameras, each once."""
    devices = chosen(inventory, identities)
    return list({each.identity: each for each in (*devices, *cameras_of(inventory, devices))}.values())


def _planned(row: Row, before: Device | None, now: datetime) -> Device:
    """The inventory's entry for a row; serial number and end of a new device's certificate follow."""
    known = before or Device(
        site=row.site, device=row.device, group=row.group, board=row.board, camera=row.camera, state="enrolled",
        serial="0", certificate_ends=now, enrolled=now.replace(microsecond=0), host=row.host,
    )  # fmt: skip
    return replace(known, group=row.group, board=row.board, camera=row.camera, host=row.host)


def _check(folder: Folder, table: Path, rows: list[Row], planned: list[Device], others: list[Device]) -> None:
    """Raise Refused, with a line for each, if devices are revoked or the daemon would refuse configurations.

    ``others`` are the devices of the inventory that the table does not have.
    """
    errors = [
        f"{table}: line {row.line}, column 'device': {row.identity} is revoked; facetally-fleet replace renews it"
        for row, device in zip(rows, planned, strict=True)
        if device.state == "revoked"
    ]
    cameras = {each.host_identity: each for each in others if each.host and each.state == "enrolled"}
    errors += [f"{table}: line {row.line}, column {error}" for row in rows for error in _camera_errors(row, cameras)]
    with tempfile.TemporaryDirectory() as drafts:
        paths = [Path(drafts) / f"{row.line}.toml" for row in rows]
        for path, row, device in zip(paths, rows, planned, strict=True):
            path.write_bytes(compose(folder, device, row.zones))
        for row, checked in zip(rows, check(paths), strict=True):
            if checked.error is not None:
                column = COLUMN_OF.get(checked.error.partition("key '")[2].partition("'")[0].partition(".")[0])
                where = f"line {row.line}, column '{column}'" if column else f"line {row.line}"
                errors.append(f"{table}: {where}: configuration of {row.identity}: {checked.error}")
    if errors:
        raise Refused("\n".join(errors))


def _camera_errors(row: Row, cameras: dict[str, Device]) -> Iterator[str]:
    """Yield why a row does not fit a further camera that only the inventory has; ``cameras`` are those, by host."""
    if (camera := cameras.get(row.identity)) is None:
        return
    if row.host:
        yield f"'host': must be empty, because {camera.identity} is a further camera of this device, is {row.host!r}"
    elif row.group != camera.group:
        yield f"'group': must be that of its further camera {camera.identity}, {camera.group!r}, is {row.group!r}"


def _add_revoked(issuer: Issuer, devices: list[Device]) -> None:
    folder = issuer.folder
    revoked = read_revoked(folder.revoked)
    known = {each.serial for each in revoked}
    added = [Revoked(int(each.serial, 16), each.identity, issuer.now.replace(microsecond=0)) for each in devices]
    revoked += [each for each in added if each.serial not in known]
    write_revoked(folder.revoked, revoked)
    write_revocation_list(issuer, revoked)


def _write(folder: Folder, inventory: Inventory, devices: list[Device]) -> None:
    write_inventory(folder.inventory, inventory | {device.identity: device for device in devices})
