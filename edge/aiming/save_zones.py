"""Save staff zones into a configuration file: only that key changes, and only if the result is valid."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError

from base.errors import SettingsError
from base.toml_settings import from_tree
from edge.settings import RENAMED, Polygon, Settings

BACKUP_SUFFIX = ".before-zones"
"""Ending of the copy of the configuration as it was before the last change."""
DECIMALS = 3
"""Corners are rounded to a thousandth of the image."""


def zones_line(zones: Sequence[Polygon]) -> str:
    """The line of the configuration that states these zones."""
    polygons = ["[" + ", ".join(f"[{x:.{DECIMALS}f}, {y:.{DECIMALS}f}]" for x, y in zone) + "]" for zone in zones]
    return f"staff_zones = [{', '.join(polygons)}]"


def save_zones(path: Path, zones: Sequence[Polygon]) -> Path:
    """Replace ``admit.staff_zones`` in a configuration file atomically; comments and all other lines stay.

    Returns the path of the copy of the former file. Raises SettingsError, and changes nothing, if the file cannot be
    read or written, or if it would not be a valid configuration afterwards.
    """
    path = path.resolve()  # a link stays a link
    try:
        former = path.read_bytes()
        changed = _changed(former, zones)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    tree = msgspec.toml.decode(changed)
    from_tree(tree, Settings, str(path), RENAMED)
    if _without_zones(msgspec.toml.decode(former)) != _without_zones(tree):
        raise SettingsError(f"{path}: more than admit.staff_zones would change; write the line by hand")
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    try:
        _replace(backup, former, like=path)
        _replace(path, changed, like=path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}; write the line by hand") from error
    return backup


def _changed(content: bytes, zones: Sequence[Polygon]) -> bytes:
    document = tomlkit.parse(content.decode())
    value = tomlkit.value(zones_line(zones).partition(" = ")[2])
    admit = document.setdefault("admit", tomlkit.table())
    if not hasattr(admit, "append"):
        raise TOMLKitError("admit must be a table")
    admit["staff_zones"] = value
    return tomlkit.dumps(document).encode()


def _without_zones(tree: dict[str, Any]) -> dict[str, Any]:
    admit = {key: value for key, value in tree.get("admit", {}).items() if key != "staff_zones"}
    return {**tree, "admit": admit}


def _replace(path: Path, content: bytes, *, like: Path) -> None:
    """Replace a file atomically, with owner and mode of the file ``like``; it is synced before it is renamed."""
    kept = like.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, kept.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(descriptor, kept.st_uid, kept.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
