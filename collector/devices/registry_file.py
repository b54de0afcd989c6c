"""Read and write ``devices.json``. A damaged file is detected, kept, and replaced by the one before it.

The file is one JSON object: ``schema``, ``content``, and ``sha256`` of the bytes of ``content``. The file before it is
kept as ``devices.json.before``. Version 1 has no checksum, and one list of former classifiers for all devices.
"""

import hashlib
import logging
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from base.durable_file import replace_file
from base.logs import line
from collector.devices.device import Device, latest_bundles
from collector.errors import StoreFailed
from collector.language.catalogue import mark
from collector.store.damage import Damage, Fault
from contract.message import BundleIdentity

PREVIOUS_SUFFIX = ".before"
DAMAGED_SUFFIX = ".damaged"
READ_BEFORE = mark("{reason}; {before} is read instead")
READ_NEITHER = mark("{reason}; {before} is read instead, which cannot be read either ({error})")
WAS_DAMAGED = Fault(mark("was damaged; the devices come from the file before it"))

_log = logging.getLogger(__name__)


class RegistryContent(Struct, frozen=True, kw_only=True):
    """What one writer knows about the devices."""

    devices: tuple[Device, ...] = ()
    refused: dict[str, int] = {}
    """Number of dead letters of unknown devices, by reason."""


class _FileV2(Struct, frozen=True, kw_only=True):
    schema: Literal[2]
    sha256: str
    content: msgspec.Raw


class _FileV1(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: Literal[1]
    devices: tuple[Device, ...] = ()
    bundles: tuple[BundleIdentity, ...] = ()


class _CorruptFile(Exception):
    """The content of a file is not what was written."""


def write(path: Path, content: RegistryContent) -> None:
    """Replace the file, on disk when this returns; StoreFailed if that is not possible."""
    encoded = msgspec.json.encode(content)
    file = _FileV2(schema=2, sha256=hashlib.sha256(encoded).hexdigest(), content=msgspec.Raw(encoded))
    try:
        replace_file(path, msgspec.json.encode(file), previous=path.with_name(path.name + PREVIOUS_SUFFIX))
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}") from error


def read(path: Path) -> tuple[RegistryContent, Damage | None]:
    """Read a file; if it is damaged, read the one before it and return the damage too.

    The content is empty if there is no such file.
    """
    try:
        return _decode(path.read_bytes()), None
    except FileNotFoundError:
        return RegistryContent(), None
    except (OSError, _CorruptFile) as error:
        fault = Fault.of(READ_BEFORE, reason=error, before=path.name + PREVIOUS_SUFFIX)
    try:
        return _decode(path.with_name(path.name + PREVIOUS_SUFFIX).read_bytes()), _damage(path, fault)
    except (OSError, _CorruptFile) as error:
        return RegistryContent(), _damage(path, Fault.of(READ_NEITHER, **dict(fault.values), error=error))


def read_own(path: Path) -> RegistryContent:
    """Read a file as its writer: as `read`, but a damaged file is renamed to end in `DAMAGED_SUFFIX` and logged."""
    content, damage = read(path)
    if damage is not None:
        renamed = path.with_name(path.name + DAMAGED_SUFFIX)
        _log.warning(line("devices_damaged", file=path, reason=damage.reason, kept_as=renamed))
        try:
            path.replace(renamed)
        except OSError as error:
            raise StoreFailed(f"{path}: {error.strerror}") from error
    return content


def damages(root: Path) -> tuple[Damage, ...]:
    """Return what is wrong with the device files of a store, and the damaged files that were renamed."""
    found = [damage for path in sorted(root.glob("devices*.json")) if (damage := read(path)[1]) is not None]
    return (*found, *renamed_damages(root))


def renamed_damages(root: Path) -> tuple[Damage, ...]:
    """Return the damaged device files of a store that were renamed."""
    return tuple(_damage(path, WAS_DAMAGED) for path in sorted(root.glob(f"devices*.json{DAMAGED_SUFFIX}")))


def _damage(path: Path, fault: Fault) -> Damage:
    return Damage(path.name, 0, str(fault), fault=fault)


def _decode(data: bytes) -> RegistryContent:
    """Decode a file of either version. Raises _CorruptFile."""
    try:
        file = msgspec.json.decode(data, type=_FileV2)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _decode_v1(data, str(error))
    if hashlib.sha256(bytes(file.content)).hexdigest() != file.sha256:
        raise _CorruptFile(mark("the checksum does not match"))
    try:
        return msgspec.json.decode(file.content, type=RegistryContent)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _CorruptFile(str(error)) from error


def _decode_v1(data: bytes, v2_error: str) -> RegistryContent:
    """Decode a file of version 1. Each device gets all classifiers: the file does not record whose they were."""
    try:
        file = msgspec.json.decode(data, type=_FileV1)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _CorruptFile(v2_error) from error
    return RegistryContent(devices=tuple(_with_former_bundles(device, file.bundles) for device in file.devices))


def _with_former_bundles(device: Device, bundles: tuple[BundleIdentity, ...]) -> Device:
    """Set the former classifiers of a device to all but its present one."""
    present = device.model.expression.sha256 if device.model else None
    return replace(device, bundles=latest_bundles(bundle for bundle in bundles if bundle.sha256 != present))
