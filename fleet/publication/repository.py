"""The release repository of The Update Framework: sign targets and publish them in one step.

Everything is written under new names, and ``timestamp.json`` last: a device sees the state before or after, never half
of it, and an interrupted command is repeated. Only the versions that ``timestamp.json`` leads to count.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from base.durable_file import make_folder, replace_file, sync_folder
from base.errors import SettingsError
from contract.release import File
from fleet.settings import RepositorySettings

TOP, DEVICES = ("root", "targets", "snapshot", "timestamp"), "devices"
ROLES = (*TOP, DEVICES)
OFFLINE = ("root", "targets")
DEVICE_PATHS = ["devices/*/*.json", "certificates/*/*/*.pem"]
"""What the key of the role ``devices`` may sign: which of the signed releases and configurations a device runs."""
KEPT_VERSIONS = 10
"""So many versions of each role's metadata are kept, for devices that are just reading."""

T = TypeVar("T", bound=Signed)
LoadKey = Callable[[str], Ed25519PrivateKey]
"""Returns the private key of a role; SettingsError if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """When the signatures of a role end."""

    role: str
    ends: datetime


@dataclass(slots=True)
class Changes:
    """Targets to add, replace or remove, in one step."""

    files: dict[str, Path] = field(default_factory=dict)
    """Targets by path, from files: wheels, bundles."""
    texts: dict[str, bytes] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def add_text(self, path: str, text: bytes) -> File:
        """Add a target with this content, and describe it."""
        self.texts[path] = text
        return File(path=path, sha256=hashlib.sha256(text).hexdigest(), length=len(text))

    def add_file(self, path: str, source: Path) -> File:
        """Add a target with the content of a file, and describe it."""
        self.files[path] = source
        described = TargetFile.from_file(path, str(source), ["sha256"])
        return File(path=path, sha256=described.hashes["sha256"], length=described.length)


class Repository:
    """The repository in a folder, its keys and the lifetimes of its signatures."""

    def __init__(self, folder: Path, key: LoadKey, settings: RepositorySettings, now: datetime) -> None:
        self._metadata, self._targets = folder / "metadata", folder / "targets"
        self._key, self._settings, self._now = key, settings, now.replace(microsecond=0)
        self._read_before: dict[Path, Targets] = {}

    def create(self) -> None:
        """Write the first version of all metadata; it lists no targets."""
        public = {role: SSlibKey.from_crypto(self._key(role).public_key()) for role in ROLES}
        root = Root(consistent_snapshot=True, expires=self._ends("root"))
        for role in TOP:
            root.add_key(public[role], role)
        targets = Targets(expires=self._ends("targets"))
        delegated = DelegatedRole(DEVICES, [], 1, terminating=True, paths=DEVICE_PATHS)
        targets.delegations = Delegations({}, {DEVICES: delegated})
        targets.add_key(public[DEVICES], DEVICES)
        devices = Targets(expires=self._ends(DEVICES))
        names = ("targets.json", f"{DEVICES}.json")
        snapshot = Snapshot(expires=self._ends("snapshot"), meta={name: MetaFile() for name in names})
        timestamp = Timestamp(expires=self._ends("timestamp"))
        for folder in (self._metadata, self._targets):
            make_folder(folder)
        for name, signed in (("root", root), ("targets", targets), (DEVICES, devices), ("snapshot", snapshot)):
            self._write(name, signed, f"1.{name}.json")
        self._write("timestamp", timestamp, "timestamp.json")

    def root(self) -> bytes:
        """Return the newest root metadata, which a device trusts from the beginning."""
        return self._newest_root()[0].read_bytes()

    def targets(self, role: str = "targets") -> Mapping[str, TargetFile]:
        """Return the targets that a role signs, by path."""
        path = self._metadata / self._name_of(role)
        if path not in self._read_before:
            self._read_before = {path: self._parsed(path, Targets)}
        return self._read_before[path].targets

    def read(self, path: str) -> bytes | None:
        """Return the content of a target, None if there is none."""
        role = DEVICES if self._is_of_devices(path) else "targets"
        target = self.targets(role).get(path)
        return None if target is None else self.stored(path, target.hashes["sha256"]).read_bytes()

    def expiries(self) -> list[Expiry]:
        """Return when the signatures of each role end."""
        signed: list[tuple[str, Signed]] = [("root", self._newest_root()[1])]
        signed += [(role, self._parsed(self._metadata / self._name_of(role), Targets)) for role in ("targets", DEVICES)]
        snapshot, timestamp = self._versions()
        signed += [("snapshot", snapshot), ("timestamp", timestamp)]
        return [Expiry(role, each.expires) for role, each in signed]

    def publish(self, targets: Changes | None = None, devices: Changes | None = None) -> None:
        """Publish changes of the offline role ``targets`` and of the online role ``devices`` in one step.

        Without changes only the online signatures are renewed. A role without changes keeps its version, except that
        ``devices`` is signed again, because its key is here anyhow.
        """
        snapshot, timestamp = self._versions()
        roles = {"targets": targets, DEVICES: devices or Changes()}
        for role, changes in roles.items():
            if changes is None:
                continue
            signed = self._parsed(self._metadata / self._name_of(role), Targets)
            self._store(signed, changes)
            signed.version += 1
            signed.expires = self._ends(role)
            self._write(role, signed, f"{signed.version}.{role}.json")
            snapshot.meta[f"{role}.json"] = MetaFile(signed.version)
        snapshot.version += 1
        snapshot.expires = self._ends("snapshot")
        self._write("snapshot", snapshot, f"{snapshot.version}.snapshot.json")
        timestamp.version += 1
        timestamp.expires = self._ends("timestamp")
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        self._write("timestamp", timestamp, "timestamp.json")
        self._forget_old_versions()

    def renew_root(self) -> None:
        """Sign a new version of the root metadata, valid from now."""
        root = self._newest_root()[1]
        root.version += 1
        root.expires = self._ends("root")
        self._write("root", root, f"{root.version}.root.json")

    def _store(self, signed: Targets, changes: Changes) -> None:
        """Copy the files of new targets, and list them."""
        for path in (*changes.removed, *changes.files, *changes.texts):
            self._note_end(path, signed.targets.pop(path, None))
        for path, source in changes.files.items():
            signed.targets[path] = target = TargetFile.from_file(path, str(source), ["sha256"])
            stored = self.stored(path, target.hashes["sha256"])
            if not stored.exists():
                make_folder(stored.parent)
                _copy(source, stored)
        for path, text in changes.texts.items():
            signed.targets[path] = target = TargetFile.from_data(path, text, ["sha256"])
            stored = self.stored(path, target.hashes["sha256"])
            make_folder(stored.parent)
            replace_file(stored, text)

    def delete_unlisted(self) -> tuple[int, int]:
        """Delete files that no target has had for as long as an older ``timestamp.json`` may be valid.

        Until then a device may be reading them, or a mirror may show it the older state. Return their number and size,
        bytes.
        """
        listed = {
            self.stored(path, target.hashes["sha256"])
            for role in ("targets", DEVICES)
            for path, target in self.targets(role).items()
        }
        until = (self._now - timedelta(days=self._settings.timestamp_days)).timestamp()
        sizes = []
        for path in sorted(self._targets.rglob("*")):
            if path.is_file() and path not in listed and path.stat().st_mtime < until:
                sizes.append(path.stat().st_size)
                path.unlink()
        return len(sizes), sum(sizes)

    def _note_end(self, path: str, target: TargetFile | None) -> None:
        """Let the time of a target's file say until when it was listed."""
        if target is not None:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.stored(path, target.hashes["sha256"]), (self._now.timestamp(),) * 2)

    def stored(self, path: str, sha256: str) -> Path:
        """Return the file that holds a target."""
        target = self._targets / path
        return target.with_name(f"{sha256}.{target.name}")

    @staticmethod
    def _is_of_devices(path: str) -> bool:
        return path.startswith(("devices/", "certificates/"))

    def _ends(self, role: str) -> datetime:
        days: int = getattr(self._settings, f"{role}_days")
        return self._now + timedelta(days=days)

    def _newest_root(self) -> tuple[Path, Root]:
        versions = sorted(self._metadata.glob("*.root.json"), key=lambda path: int(path.name.partition(".")[0]))
        if not versions:
            raise SettingsError(f"{self._metadata}: must have a root.json, has none; facetally-fleet init makes it")
        return versions[-1], self._parsed(versions[-1], Root)

    def _versions(self) -> tuple[Snapshot, Timestamp]:
        timestamp = self._parsed(self._metadata / "timestamp.json", Timestamp)
        version = timestamp.snapshot_meta.version
        return self._parsed(self._metadata / f"{version}.snapshot.json", Snapshot), timestamp

    def _name_of(self, role: str) -> str:
        """The file of the present version of ``targets`` or ``devices``. Once it is present it never changes."""
        return f"{self._versions()[0].meta[f'{role}.json'].version}.{role}.json"

    @staticmethod
    def _parsed(path: Path, kind: type[T]) -> T:
        try:
            signed = Metadata.from_file(str(path)).signed
        except (RepositoryError, OSError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}") from error
        if not isinstance(signed, kind):
            raise SettingsError(f"{path}: must be metadata of type {kind.__name__}, is {type(signed).__name__}")
        return signed

    def _write(self, role: str, signed: Signed, name: str) -> None:
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(CryptoSigner(self._key(role)))
        replace_file(self._metadata / name, metadata.to_bytes(JSONSerializer(compact=True)))

    def _forget_old_versions(self) -> None:
        """Delete old metadata except that of root, whose versions a device goes through one by one."""
        for role in ("snapshot", "targets", DEVICES):
            for path in sorted(self._metadata.glob(f"*.{role}.json"), key=_version)[:-KEPT_VERSIONS]:
                path.unlink()


def _copy(source: Path, stored: Path) -> None:
    """Copy a file so that it is there as a whole or not at all."""
    draft = stored.with_suffix(".tmp")
    shutil.copyfile(source, draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(stored)
    sync_folder(stored.parent)


def _version(path: Path) -> int:
    return int(path.name.partition(".")[0])
