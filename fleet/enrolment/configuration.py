"""The configuration of a device: layers for all, its group and itself, with camera, zones and name on top.

The daemon's own reader checks the result, in another process: this package imports nothing of the daemon.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from msgspec import Struct

from base.errors import SettingsError
from fleet.enrolment.device_table import capture_of
from fleet.enrolment.inventory import Device
from fleet.errors import ToolFailed
from fleet.folder import Folder

ETC = "/etc/facetally"
CERTIFICATE = "/opt/facetally/current/device.pem"
"""Path on a device; a renewed certificate arrives there with a release and is rolled back with it."""
SPOOL = "/var/lib/facetally/spool.sqlite"
TLS = {"ca": f"{ETC}/ca.pem", "certificate": CERTIFICATE, "key": f"{ETC}/device.key"}
COMMON = """\
# Keys of every device's edge.toml. groups/GROUP.toml and devices/SITE/DEVICE.toml go on top. Site, device, camera and
# staff zones come from the table of devices. `facetally-edge config` lists all keys.

[broker]
host = "{broker}"
port = 8883
tls = {{ ca = "{ca}", certificate = "{certificate}", key = "{key}" }}

[spool]
path = "{spool}"
"""
LIMIT_S = 300.0
CHECK = """\
import json, sys
from pathlib import Path
from base.errors import SettingsError
from contract.release import DeviceManifest
from edge.settings import read
for path in json.load(sys.stdin):
    error, named = None, []
    try:
        settings = read(Path(path))
        tls, bundles = settings.broker.tls, (settings.detect.bundle, settings.classify.bundle)
        shadow = getattr(settings, "shadow", None)  # an earlier release has none, and no face check
        bundles += (shadow.bundle if shadow else None, getattr(settings.detect, "check", None))
        named = [settings.broker.password_file, *((tls.ca, tls.certificate, tls.key) if tls else ()), *bundles]
    except SettingsError as wrong:
        error = str(wrong).removeprefix(f"{path}: ")
    found = {"error": error, "named": [each for each in named if each and each.startswith("/")]}
    print(json.dumps(found | {"instances": "instances" in DeviceManifest.__struct_fields__}))
"""


class Checked(Struct, frozen=True):
    """What the daemon's reader says about a configuration."""

    error: str | None
    """What is wrong, with key, value and what is allowed; None if it is accepted."""
    named: tuple[str, ...]
    """Absolute paths that it names: certificates, password, bundles."""
    instances: bool
    """Whether the updater of this software reads manifests with further cameras."""


def common_layer(broker: str) -> str:
    """Return the layer of all devices, TOML."""
    return COMMON.format(broker=broker, spool=SPOOL, **TLS)


def compose(folder: Folder, device: Device, zones: str) -> bytes:
    """Return the configuration of a device, TOML. Raise SettingsError if a layer cannot be read.

    ``zones`` is TOML with the key ``staff_zones``.
    """
    layers = folder.configuration
    paths = (
        layers / "common.toml",
        layers / "groups" / f"{device.group}.toml",
        layers / "devices" / device.site / f"{device.device}.toml",
    )
    tree: dict[str, Any] = {"site": device.site, "device": device.device}
    for path in paths:
        tree = _merged(tree, _layer(path))
    if device.camera:
        others = {key: value for key, value in tree.get("capture", {}).items() if not _names_camera(key)}
        tree["capture"] = others | capture_of(device.camera)
    admit = tree.get("admit", {})
    tree["admit"] = msgspec.toml.decode(zones) | (admit if isinstance(admit, dict) else {})
    if device.host:
        tree = _with_own_paths(tree, device.device)
    header = f"# {device.identity}, made by facetally-fleet; change its layers or zones, not this file.\n"
    return (header + tomli_w.dumps(tree)).encode()


def check(paths: Iterable[Path], wheel: Path | None = None) -> list[Checked]:
    """Let the daemon's reader read configurations, that of a wheel if given. Raise ToolFailed if it does not run."""
    environment = os.environ | ({"PYTHONPATH": str(wheel.resolve())} if wheel else {})
    command = [sys.executable, "-c", CHECK]
    asked = json.dumps([str(path.resolve()) for path in paths])
    options: dict[str, Any] = {"env": environment, "capture_output": True, "text": True, "timeout": LIMIT_S}
    try:  # in another folder than a checkout, whose packages would win over those of a wheel
        done = subprocess.run(command, input=asked, cwd=sys.prefix, check=False, **options)
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"the reader of configurations: must end within {LIMIT_S:g} s, did not") from error
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise ToolFailed(f"{wheel or 'facetally'}: its reader of configurations does not run: {reason}")
    return [msgspec.json.decode(line, type=Checked) for line in done.stdout.splitlines()]


def _layer(path: Path) -> dict[str, Any]:
    """Return the content of a layer, empty if there is no file."""
    try:
        tree: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    for key in ("site", "device"):
        if key in tree:
            raise SettingsError(f"{path}: key '{key}' must be absent, the table of devices has it")
    return tree


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two layers as one: tables are merged, other values of the upper layer win."""
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _merged(before, value) if both and before is not None else value
    return merged


def _with_own_paths(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the tree of a further camera, whose certificate, key and spool are not those of its host."""
    own = {
        CERTIFICATE: f"{ETC}/{name}.pem",
        TLS["key"]: f"{ETC}/{name}.key",
        SPOOL: f"/var/lib/facetally-{name}/spool.sqlite",
    }
    changed = {key: own.get(value, value) if isinstance(value, str) else value for key, value in tree.items()}
    return {key: _with_own_paths(value, name) if isinstance(value, dict) else value for key, value in changed.items()}


def _names_camera(key: str) -> bool:
    return key in ("source", "device", "camera", "pipeline", "path", "url")
