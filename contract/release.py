"""A release of a fleet: its manifest, the manifest of a device, and where both are found in the release repository.

The repository is one of The Update Framework (TUF), with consistent snapshots. Its targets have the paths that the
functions here return. TUF's signatures and hashes protect all of them, so the hashes in a manifest are a second check.

Targets and the roles that sign them::

    releases/RELEASE/release.json                 targets (offline key)   ReleaseManifest
    wheels/FILE.whl                               targets
    bundles/NAME-SHA256[:12].json and .tflite     targets                 model card and model, see `contract.card`
    configurations/SITE/DEVICE/SHA256.toml        targets
    sbom/RELEASE.json                             targets                 CycloneDX
    devices/SITE/DEVICE.json                      devices (online key)    DeviceManifest
    certificates/SITE/DEVICE/SHA256.pem           devices

A device reads its own manifest only, and follows it: the manifest names one release and one configuration. The role
``devices`` can only choose among releases and configurations that the offline key has signed.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, field

from contract.errors import ReleaseError
from contract.fields import SHA256_PATTERN, Count, Id, Time
from contract.json_text import read_json, write_json
from contract.strict import Strict

MAX_MANIFEST_BYTES = 1_000_000
"""Maximum length of a manifest, bytes. Longer ones are not decoded."""
PATH_PATTERN = r"^([A-Za-z0-9][A-Za-z0-9._+!-]{0,199}/){1,5}[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}$(?!\n)"
"""Pattern of a target path: no level begins with a dot, so that no path leaves its folder."""
PYTHON_PATTERN = r"^3\.[1-9][0-9]$(?!\n)"
BUNDLES = "/opt/facetally/current/bundles"
"""Folder on a device with the bundles of its release; a configuration names their cards here, by file name."""

INSTANCES = "instances"
"""Name of the folder, beside the ``edge.toml`` of a device, with the released configurations of its further cameras."""
INSTANCE_PATTERN = r"(?!(edge|collector|update)$)[a-z0-9][a-z0-9_-]{0,20}"
"""Name of a further camera's daemon, ``facetally-edge@NAME``: letters that a unit, a file and a user of the system may
have. The user is ``facetally-NAME``, of at most 31. The other names are those of configurations in the same folder."""
Instance = Annotated[
    str, Meta(pattern=rf"^{INSTANCE_PATTERN}$(?!\n)", description="1 to 21 lower-case letters, digits, '-' or '_'")
]
Sha256 = Annotated[str, Meta(pattern=SHA256_PATTERN, description="64 hexadecimal digits")]
Board = Literal["generic", "jetson"]
"""``jetson``: OpenCV and NumPy 1 are those of JetPack. ``generic``: every other board."""
Machine = Literal["aarch64", "x86_64"]
"""Processor, as ``uname -m`` prints it."""


class File(Strict, frozen=True, kw_only=True):
    """A target of the repository."""

    path: Annotated[str, Meta(pattern=PATH_PATTERN, description="a path of which no level begins with a dot")]
    """Path of the target, with ``/``."""
    sha256: Sha256
    length: Count
    """Bytes."""

    @property
    def name(self) -> str:
        """File name, the last level of the path."""
        return PurePosixPath(self.path).name


class WheelSet(Strict, frozen=True, kw_only=True):
    """All wheels that one kind of device installs, facetally's own among them; pip needs no index and no resolver."""

    python: Annotated[str, Meta(pattern=PYTHON_PATTERN, description="Python of the device, such as 3.13")]
    machine: Machine
    board: Board = "generic"
    wheels: Annotated[tuple[File, ...], Meta(min_length=1)]

    @property
    def key(self) -> tuple[str, str, str]:
        """Python, machine and board: what a device compares with its own."""
        return self.python, self.machine, self.board


class BundleFiles(Strict, frozen=True, kw_only=True):
    """A model bundle: its card and its model. The card holds the golden samples that the device replays."""

    name: Id
    """Name on the device: ``NAME.json`` and ``NAME.tflite`` in the folder `BUNDLES`."""
    card: File
    model: File


class ReleaseManifest(Strict, frozen=True, kw_only=True):
    """What a release consists of: wheels for each kind of device, and bundles besides those in the wheel."""

    schema: Literal[1]
    release: Id
    created: Time
    version: Annotated[str, Meta(max_length=64, description="version of facetally's wheel")]
    minimum_disk_mb: Annotated[int, Meta(ge=1, description="free space that an installation needs, 10^6 bytes")]
    wheel_sets: Annotated[tuple[WheelSet, ...], Meta(min_length=1)]
    bundles: tuple[BundleFiles, ...] = ()

    def __post_init__(self) -> None:
        """Reject two wheel sets for one kind of device, and two bundles with one name."""
        keys = [each.key for each in self.wheel_sets]
        if len(set(keys)) < len(keys):
            raise ValueError(f"`wheel_sets` must be unique by python, machine and board, are {keys}")
        names = [each.name for each in self.bundles]
        if len(set(names)) < len(names):
            raise ValueError(f"`bundles` must have unique names, are {', '.join(names)}")

    @property
    def pythons(self) -> tuple[str, ...]:
        """Versions of Python for which there are wheels."""
        return tuple(dict.fromkeys(each.python for each in self.wheel_sets))

    def wheels_for(self, python: str, machine: str, board: str) -> tuple[File, ...]:
        """Return the wheels of one kind of device. Raise ReleaseError, which lists the kinds, if there are none."""
        for each in self.wheel_sets:
            if each.key == (python, machine, board):
                return each.wheels
        kinds = ", ".join(" ".join(each.key) for each in self.wheel_sets)
        raise ReleaseError(
            f"release {self.release}: must have wheels for Python {python} {machine} {board}, has {kinds}"
        )


class DeviceManifest(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """What one device shall run. Version 2 adds the optional field ``instances``."""

    schema: Literal[1, 2]
    site: Id
    device: Id
    number: Annotated[int, Meta(ge=1, le=2**53, description="one more with each change; a device refuses a lower one")]
    release: Id
    configuration: File
    """The configuration as it is, zones included; its hash is the ``configuration_sha256`` of health messages."""
    certificate: File | None = None
    """A renewed certificate for the key that the device has, PEM; None while the first one is valid."""

    instances: dict[Instance, File] = field(default_factory=dict)
    """Configurations of the daemons of further cameras, ``facetally-edge@NAME``. An instance without one keeps that in
    ``/etc/facetally``."""

    def __post_init__(self) -> None:
        """Reject a field that is newer than the version."""
        if self.instances and self.schema < 2:
            raise ValueError(f"instances need schema 2, `schema` is {self.schema}")

    @property
    def configurations(self) -> tuple[File, ...]:
        """The configurations of all daemons of the device."""
        return self.configuration, *self.instances.values()

    def has_program_of(self, other: "DeviceManifest") -> bool:
        """Whether two manifests name the same release and configurations."""
        return self._program == other._program

    @property
    def _program(self) -> tuple[str, str, dict[str, str]]:
        configurations = {name: file.sha256 for name, file in self.instances.items()}
        return self.release, self.configuration.sha256, configurations


Manifest = ReleaseManifest | DeviceManifest
M = TypeVar("M", ReleaseManifest, DeviceManifest)


def read_manifest(text: bytes, kind: type[M], where: str) -> M:
    """Decode the JSON of a manifest. Raise ReleaseError, which names ``where`` and the key, if it is not one."""
    if len(text) > MAX_MANIFEST_BYTES:
        raise ReleaseError(f"{where}: must be at most {MAX_MANIFEST_BYTES} bytes, is {len(text)}")
    manifest: M = read_json(text, kind, where, ReleaseError)
    return manifest


def write_manifest(manifest: Manifest) -> bytes:
    """Encode a manifest as indented JSON."""
    return write_json(manifest)


def release_path(release: str) -> str:
    """Return the target path of a release's manifest."""
    return f"releases/{release}/release.json"


def sbom_path(release: str) -> str:
    """Return the target path of a release's bill of materials."""
    return f"sbom/{release}.json"


def device_path(site: str, device: str) -> str:
    """Return the target path of a device's manifest."""
    return f"devices/{site}/{device}.json"


def configuration_path(site: str, device: str, sha256: str) -> str:
    """Return the target path of a configuration."""
    return f"configurations/{site}/{device}/{sha256}.toml"


def certificate_path(site: str, device: str, sha256: str) -> str:
    """Return the target path of a device's renewed certificate."""
    return f"certificates/{site}/{device}/{sha256}.pem"


def wheel_path(name: str) -> str:
    """Return the target path of a wheel."""
    return f"wheels/{name}"


def bundle_path(name: str, sha256: str, suffix: str) -> str:
    """Return the target path of one file of a bundle: ``suffix`` is ``json`` or ``tflite``."""
    return f"bundles/{name}-{sha256[:12]}.{suffix}"
