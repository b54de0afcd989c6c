"""``devices.json`` -> devices, and back. A damaged file is noticed, kept, and replaced by the one before it.

The file is one JSON object: ``schema``, ``content``, and ``sha256`` of the bytes of ``content``. The file before the
last stays beside it as ``devices.json.before``. Version 1 had no checksum, and one list of classifiers for all devices.
"""

import hashlib
import logging
import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from base.logs import line
from collector.devices.device import Device, bounded
from collector.errors import StoreFailed
from collector.store.damage import Damage
from collector.store.writer import sync_folder
from contract.message import BundleIdentity

BEFORE = ".before"
DAMAGED = ".damaged"
"""Endings of the file before the last, and of a file that was found damaged and is kept for whoever wants to look."""

_log = logging.getLogger(__name__)


class Kept(Struct, frozen=True, kw_only=True):
    """What one writer knows of the devices."""

    devices: tuple[Device, ...] = ()
    refused: dict[str, int] = {}
    """Messages set aside that are of no known device, by reason."""


class _Sealed(Struct, frozen=True, kw_only=True):
    """The file, version 2."""

    schema: Literal[2]
    sha256: str
    content: msgspec.Raw


class _First(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file, version 1."""

    schema: Literal[1]
    devices: tuple[Device, ...] = ()
    bundles: tuple[BundleIdentity, ...] = ()


class _Broken(Exception):
    """A file whose content is not what was written."""


def write(path: Path, kept: Kept) -> None:
    """Replace the file, on disk when this returns; StoreFailed if that cannot be done."""
    content = msgspec.json.encode(kept)
    sealed = _Sealed(schema=2, sha256=hashlib.sha256(content).hexdigest(), content=msgspec.Raw(content))
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(sealed))
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            link = path.with_suffix(f".{os.getpid()}.link")
            link.unlink(missing_ok=True)
            link.hardlink_to(path)
            link.replace(path.with_name(path.name + BEFORE))
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}") from error


def read(path: Path) -> tuple[Kept, Damage | None]:
    """A file of devices -> what it says; if it is damaged, what the one before it says, and the damage.

    Nothing if there is no such file.
    """
    try:
        return _decode(path.read_bytes()), None
    except FileNotFoundError:
        return Kept(), None
    except (OSError, _Broken) as error:
        damage = Damage(path.name, 0, f"{error}; {path.name}{BEFORE} is read in its place")
    try:
        return _decode(path.with_name(path.name + BEFORE).read_bytes()), damage
    except (OSError, _Broken) as error:
        return Kept(), replace(damage, reason=f"{damage.reason}, and it cannot be read either ({error})")


def open_own(path: Path) -> Kept:
    """As `read`, for the writer of the file: a damaged one is put aside, ending in `DAMAGED`, and said in the log."""
    kept, damage = read(path)
    if damage is not None:
        _log.warning(line("devices_damaged", file=path, reason=damage.reason, kept_as=path.name + DAMAGED))
        try:
            path.replace(path.with_name(path.name + DAMAGED))
        except OSError as error:
            raise StoreFailed(f"{path}: {error.strerror}") from error
    return kept


def damages(root: Path) -> tuple[Damage, ...]:
    """What is or was wrong with the files of devices of a store; a damaged one that is kept stays in the list."""
    found = [damage for path in sorted(root.glob("devices*.json")) if (damage := read(path)[1]) is not None]
    aside = sorted(root.glob(f"devices*.json{DAMAGED}"))
    return (*found, *(Damage(path.name, 0, "was damaged; what is shown is from the file before it") for path in aside))


def _decode(data: bytes) -> Kept:
    """Bytes of a file of either version -> what it says; _Broken if they are not what was written."""
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _decode_first(data, str(error))
    if hashlib.sha256(bytes(sealed.content)).hexdigest() != sealed.sha256:
        raise _Broken("its checksum does not fit")
    try:
        return msgspec.json.decode(sealed.content, type=Kept)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Broken(str(error)) from error


def _decode_first(data: bytes, otherwise: str) -> Kept:
    """Version 1 -> the same; each device takes the list of classifiers, for nobody knows which ones were its own."""
    try:
        first = msgspec.json.decode(data, type=_First)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Broken(otherwise) from error
    return Kept(devices=tuple(_with(device, first.bundles) for device in first.devices))


def _with(device: Device, bundles: tuple[BundleIdentity, ...]) -> Device:
    """A device with former classifiers, without its present one."""
    own = device.model.expression.sha256 if device.model else None
    return replace(device, bundles=bounded(bundle for bundle in bundles if bundle.sha256 != own))
