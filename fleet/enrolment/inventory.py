"""The devices of a fleet, in ``inventory.csv``, and their revoked certificates, in ``revoked.csv``."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from base.durable_file import replace_file
from base.errors import SettingsError
from base.toml_settings import Text
from base.validation_errors import explain
from contract.fields import Id
from fleet.enrolment.authority import Revoked
from fleet.enrolment.boards import Kind, kind_of
from fleet.errors import Refused

S = TypeVar("S", bound=Struct)
Moment = Annotated[datetime, Meta(tz=True)]


class Device(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the inventory."""

    site: Id
    device: Id
    group: Id
    board: Text
    """A name of `fleet.enrolment.boards.KINDS`, or ``PYTHON/MACHINE[/BOARD]``."""
    camera: str
    """``SOURCE:VALUE`` as in the table of devices; empty where the group's configuration says it."""
    state: Literal["enrolled", "revoked"]
    serial: Annotated[str, Meta(pattern=r"^[0-9a-f]+$(?!\n)")]
    """Serial number of its certificate, hexadecimal."""
    certificate_ends: Moment
    enrolled: Moment
    host: str = ""
    """Device of the same site to which it is a further camera: the instance ``facetally-edge@DEVICE`` there."""

    @property
    def identity(self) -> str:
        """``SITE/DEVICE``: its name in certificates, topics and arguments."""
        return f"{self.site}/{self.device}"

    @property
    def host_identity(self) -> str:
        """``SITE/DEVICE`` of the device on which it runs: its own, or that of its host."""
        return f"{self.site}/{self.host or self.device}"

    @property
    def kind(self) -> Kind:
        """Which wheels it installs."""
        return kind_of(self.board)


class Grouped(Struct, frozen=True, kw_only=True):
    """A line of ``groups.csv``."""

    site: Id
    device: Id
    group: Id


class _RevokedRow(Struct, frozen=True, kw_only=True):
    serial: Annotated[str, Meta(pattern=r"^[0-9a-f]+$(?!\n)")]
    identity: str
    time: Moment


Inventory = dict[str, Device]
"""Devices by identity, sorted."""


def read_inventory(path: Path) -> Inventory:
    """Read the inventory; empty if there is no file. Raise SettingsError, which names line and column."""
    return {each.identity: each for each in _read(path, Device)}


def write_inventory(path: Path, inventory: Inventory) -> None:
    """Replace the inventory, and beside it `groups.csv`, which has no camera's address: the collector may read it."""
    devices = [inventory[identity] for identity in sorted(inventory)]
    enrolled = (each for each in devices if each.state == "enrolled")
    groups = [Grouped(site=each.site, device=each.device, group=each.group) for each in enrolled]
    _write(path.with_name("groups.csv"), groups, Grouped)
    _write(path, devices, Device)


def read_revoked(path: Path) -> list[Revoked]:
    """Read the revoked certificates; none if there is no file. Raise SettingsError, which names line and column."""
    return [Revoked(int(row.serial, 16), row.identity, row.time) for row in _read(path, _RevokedRow)]


def write_revoked(path: Path, revoked: list[Revoked]) -> None:
    """Replace the table of revoked certificates."""
    _write(path, [_RevokedRow(serial=f"{r.serial:x}", identity=r.identity, time=r.time) for r in revoked], _RevokedRow)


def chosen(inventory: Inventory, identities: list[str]) -> list[Device]:
    """Return devices by ``SITE/DEVICE``. Raise Refused for one that is not in the inventory."""
    for identity in identities:
        if identity not in inventory:
            raise Refused(f"{identity}: must be a device of inventory.csv, written SITE/DEVICE, is none")
    return [inventory[identity] for identity in dict.fromkeys(identities)]


def check_groups(inventory: Inventory, groups: Iterable[str]) -> None:
    """Raise Refused if the inventory has no device of a group."""
    known = sorted({device.group for device in inventory.values()})
    for group in groups:
        if group not in known:
            raise Refused(f"--groups: must be of {', '.join(known) or 'none'}, has {group!r}")


def cameras_of(inventory: Inventory, hosts: Iterable[Device]) -> list[Device]:
    """Return the enrolled further cameras of devices."""
    identities = {each.identity for each in hosts if not each.host}
    hosted = (each for each in inventory.values() if each.host and each.state == "enrolled")
    return [each for each in hosted if each.host_identity in identities]


def _read(path: Path, kind: type[S]) -> list[S]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    rows = []
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        try:
            rows.append(msgspec.convert(row, kind, strict=False))
        except msgspec.ValidationError as error:
            raise SettingsError(f"{path}: line {number}: {explain(str(error), kind, row)}") from error
    return rows


def _write(path: Path, rows: list[S], kind: type[S]) -> None:
    out = io.StringIO()
    table = csv.DictWriter(out, kind.__struct_fields__, lineterminator="\n")
    table.writeheader()
    table.writerows(msgspec.to_builtins(rows))
    replace_file(path, out.getvalue().encode())
