"""A signed release repository in a folder, made with tuf directly: for tests that attack it, and for rollouts."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from contract.release import (
    BundleFiles,
    DeviceManifest,
    File,
    ReleaseManifest,
    WheelSet,
    bundle_path,
    configuration_path,
    device_path,
    release_path,
    wheel_path,
    write_manifest,
)
from edge.update.slot import board

ROLES = ("root", "targets", "snapshot", "timestamp", "devices")
VALID = timedelta(days=7)


@dataclass(slots=True)
class ReleaseRepository:
    """Holds the keys of all roles. `publish` signs everything that was added since the last time."""

    folder: Path
    signers: dict[str, CryptoSigner] = field(
        default_factory=lambda: {role: CryptoSigner.generate_ed25519() for role in ROLES}
    )
    published: int = 0
    root: Metadata[Root] = field(init=False)
    targets: Metadata[Targets] = field(init=False)
    devices: Metadata[Targets] = field(init=False)
    snapshot: Metadata[Snapshot] = field(init=False)
    timestamp: Metadata[Timestamp] = field(init=False)

    def __post_init__(self) -> None:
        """Make the folders, and metadata that nothing was added to yet."""
        for name in ("metadata", "targets"):
            (self.folder / name).mkdir(parents=True)
        expires = datetime.now(timezone.utc).replace(microsecond=0) + VALID
        self.root = Metadata(Root(expires=expires, consistent_snapshot=True))
        for role in ("root", "targets", "snapshot", "timestamp"):
            self.root.signed.add_key(self.signers[role].public_key, role)
        key = self.signers["devices"].public_key
        role = DelegatedRole("devices", [key.keyid], 1, True, paths=["devices/*/*.json", "certificates/*/*/*.pem"])
        delegations = Delegations({key.keyid: key}, {"devices": role})
        self.targets = Metadata(Targets(expires=expires, delegations=delegations))
        self.devices = Metadata(Targets(expires=expires))
        self.snapshot = Metadata(Snapshot(expires=expires))
        self.timestamp = Metadata(Timestamp(expires=expires))
        self.root.sign(self.signers["root"])
        self.root.to_file(str(self.folder / "metadata" / "1.root.json"))

    @property
    def trusted_root(self) -> bytes:
        """The metadata that is installed with a device."""
        return (self.folder / "metadata" / "1.root.json").read_bytes()

    def add(self, path: str, data: bytes, role: str = "targets") -> File:
        """Add a target."""
        digest = sha256(data).hexdigest()
        metadata = self.devices if role == "devices" else self.targets
        metadata.signed.targets[path] = TargetFile.from_data(path, data, ["sha256"])
        file = self.folder / "targets" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name(f"{digest}.{file.name}").write_bytes(data)
        return File(path=path, sha256=digest, length=len(data))

    def add_release(
        self, name: str, wheels: Sequence[Path], bundles: Sequence[Path] = (), disk_mb: int = 1, python: str = ""
    ) -> None:
        """Add a release of wheels for this machine, and of bundles by the paths of their cards.

        ``python`` is the version for which the wheels are, this one's unless given.
        """
        files = tuple(self.add(wheel_path(wheel.name), wheel.read_bytes()) for wheel in wheels)
        added = tuple(self._add_bundle(card) for card in bundles)
        own, machine, kind = board()
        manifest = ReleaseManifest(
            schema=1,
            release=name,
            created=datetime.now(timezone.utc),
            version="0",
            minimum_disk_mb=disk_mb,
            wheel_sets=(WheelSet(python=python or own, machine=machine, board=kind, wheels=files),),  # type: ignore[arg-type]
            bundles=added,
        )
        self.add(release_path(name), write_manifest(manifest))

    def _add_bundle(self, card: Path) -> BundleFiles:
        parts = {}
        for suffix in ("json", "tflite"):
            data = card.with_suffix(f".{suffix}").read_bytes()
            parts[suffix] = self.add(bundle_path(card.stem, sha256(data).hexdigest(), suffix), data)
        return BundleFiles(name=card.stem, card=parts["json"], model=parts["tflite"])

    def assign(
        self,
        site: str,
        device: str,
        number: int,
        release: str,
        configuration: bytes,
        instances: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """Let a device run a release with a configuration, and those of its further cameras by name."""

        def add(name: str, text: bytes) -> File:
            return self.add(configuration_path(site, name, sha256(text).hexdigest()), text)

        manifest = DeviceManifest(
            schema=2,
            site=site,
            device=device,
            number=number,
            release=release,
            configuration=add(device, configuration),
            instances={name: add(name, text) for name, text in instances.items()},
        )
        self.add(device_path(site, device), write_manifest(manifest), "devices")

    def publish(self) -> None:
        """Sign and write new versions of all metadata except the root."""
        folder = self.folder / "metadata"
        for name, metadata in (("targets", self.targets), ("devices", self.devices)):
            metadata.signed.version = self.published + 1
            metadata.sign(self.signers[name])
            metadata.to_file(str(folder / f"{metadata.signed.version}.{name}.json"))
            self.snapshot.signed.meta[f"{name}.json"] = MetaFile(version=metadata.signed.version)
        self.snapshot.signed.version = self.published + 1
        self.snapshot.sign(self.signers["snapshot"])
        self.snapshot.to_file(str(folder / f"{self.snapshot.signed.version}.snapshot.json"))
        self.timestamp.signed.snapshot_meta = MetaFile(version=self.snapshot.signed.version)
        self.publish_timestamp()
        self.published += 1

    def publish_timestamp(self) -> None:
        """Sign and write a new version of the timestamp only."""
        self.timestamp.signed.version += self.published > 0
        self.timestamp.sign(self.signers["timestamp"])
        self.timestamp.to_file(str(self.folder / "metadata" / "timestamp.json"))

    def copy_to(self, folder: Path) -> None:
        """Copy what a server would serve, such as an older state for a replay."""
        shutil.copytree(self.folder, folder)
