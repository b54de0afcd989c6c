"""Instances: the daemons of one device, one per camera. Each has a configuration, a state directory and a unit.

::

    instance   configuration               state directory              unit
    edge       /etc/facetally/edge.toml    /var/lib/facetally           facetally-edge
    till       /etc/facetally/till.toml    /var/lib/facetally-till      facetally-edge@till
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import asdict, replace

from base.errors import SettingsError
from contract.release import INSTANCE_PATTERN, INSTANCES
from edge.camera_settings import Capture, File, V4l2
from edge.settings import AUTO, Settings, read

ETC, STATE = Path("/etc/facetally"), Path("/var/lib")
CURRENT = Path("/opt/facetally/current")
"""Where the configurations of the installed release are. The first one is a link to the file in `ETC` at first."""
DEFAULT = "edge"
"""The instance of a device with one camera."""
RESERVED = ("collector", "update")
"""Names of other configurations in the same folder."""
TUNING = (
    "width",
    "height",
    "fps",
    "format",
    "open_limit_s",
    "read_limit_s",
    "username",
    "password_file",
    "transport",
    "ca",
)
"""Keys of the camera section that do not choose the camera."""


def check_name(name: str) -> str:
    """Return the name of an instance unchanged. Raise SettingsError if it cannot be one."""
    if not _is_name(name):
        path = " (name a file with --config)" if "/" in name or "." in name else ""
        raise SettingsError(
            "the name of a camera must be 1 to 21 lower-case letters, digits, '-' or '_', beginning with a letter or"
            f" digit, and not {' or '.join(RESERVED)}, is {name!r}{path}"
        )
    return name


def config_path(name: str) -> Path:
    """Path of an instance's configuration: that of the installed release, if there is one."""
    released = _released(name)
    return released if released.exists() else ETC / f"{name}.toml"


def state_folder(name: str) -> Path:
    """Path of an instance's state directory, which systemd creates."""
    return STATE / ("facetally" if name == DEFAULT else f"facetally-{name}")


def unit(name: str) -> str:
    """Name of an instance's unit, without ``.service``."""
    return "facetally-edge" if name == DEFAULT else f"facetally-edge@{name}"


def name_of(config: Path) -> str | None:
    """Name of the instance whose configuration this is, or a link to it; None for a configuration in another folder."""
    if config == _released(config.stem):
        return config.stem
    for path in (config, config.resolve()):
        if path.parent == ETC and path.suffix == ".toml" and _is_name(path.stem):
            return path.stem
    return None


def read_settings(config: Path, overrides: tuple[str, ...] = ()) -> Settings:
    """Read a configuration. A relative ``spool.path`` of an instance is relative to its state directory.

    So a command finds the spool of the service, whatever the working directory is. Raise SettingsError as
    `edge.settings.read`.
    """
    settings, name = read(config, overrides), name_of(config)
    return settings if name is None else in_state_folder(settings, name)


def in_state_folder(settings: Settings, name: str) -> Settings:
    """Return the settings of an instance with the absolute path of its spool."""
    return replace(settings, spool=replace(settings.spool, path=str(state_folder(name) / settings.spool.path)))


def other_instances(config: Path) -> dict[str, Settings | SettingsError]:
    """Settings of the other instances of this device, by name, or why they cannot be read."""
    found: dict[str, Settings | SettingsError] = {}
    own, names = name_of(config), {name_of(path) for path in ETC.glob("*.toml")}
    for name in sorted(name for name in names if name is not None and name != own):
        try:
            found[name] = read_settings(config_path(name))
        except SettingsError as error:
            found[name] = error
    return found


def conflicts(one: Settings, other: Settings) -> Iterator[str]:
    """What two instances of a device must not share, but do."""
    if (one.site, one.device) == (other.site, other.device):
        yield f"site and device {one.site}/{one.device}"
    if (camera := _camera(one.capture)) is not None and camera == _camera(other.capture):
        yield f"camera {one.capture.name}"
    if os.path.realpath(one.spool.path) == os.path.realpath(other.spool.path):
        yield f"spool {one.spool.path}"


def core_fraction(instances: Iterable[Settings]) -> float:
    """How many cores the detectors of instances may use together; one that is set by name counts as 0."""
    budgets = (each.detect.max_core_fraction for each in instances if each.detect.bundle == AUTO)
    return round(sum(budgets), 3)


def _is_name(name: str) -> bool:
    return name == DEFAULT or re.fullmatch(INSTANCE_PATTERN, name) is not None


def _released(name: str) -> Path:
    """Path of an instance's configuration in the installed release, which need not have one."""
    return CURRENT / "edge.toml" if name == DEFAULT else CURRENT / INSTANCES / f"{name}.toml"


def _camera(capture: Capture) -> tuple[object, ...] | None:
    """What identifies a camera; None for a file, which any number of instances may read."""
    if isinstance(capture, File):
        return None
    if isinstance(capture, V4l2):  # /dev/v4l/by-id has links to /dev/video0
        return (V4l2, os.path.realpath(capture.path))
    return (type(capture), *(value for key, value in asdict(capture).items() if key not in TUNING))
