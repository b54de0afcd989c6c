"""Fleets for tests: the command, and a light wheel."""

import sysconfig
import zipfile
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.machines.fleet_servers import HOST
from fleet.__main__ import main
from fleet.enrolment.inventory import read_inventory
from fleet.folder import Folder
from fleet.found import Open
from fleet.publication.records import assignments, device_manifest, next_manifest, read_record

ROOT = Path(__file__).parents[2]
BOARD = "3.11/x86_64"
METADATA = """\
Metadata-Version: 2.4
Name: facetally
Version: {version}
License-Expression: Apache-2.0
Requires-Dist: msgspec>=0.19
Requires-Dist: paho-mqtt<3,>=2.1
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def fleet(*arguments: object, folder: Path | None = None, status: int = 0) -> None:
    """Run ``facetally-fleet`` in this process; its exit code must be ``status``."""
    options = [] if folder is None else ["--fleet", str(folder)]
    assert main([*map(str, arguments), *options]) == status, arguments


def light_wheel(folder: Path, version: str = "1.0") -> Path:
    """Write a wheel of this checkout without models, and without the packages of the extra ``edge``: 20 MB less."""
    path = folder / f"facetally-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in ("base", "contract", "edge"):
            for file in sorted((ROOT / package).rglob("*.py")):
                archive.write(file, file.relative_to(ROOT))
        archive.writestr(f"facetally-{version}.dist-info/METADATA", METADATA.format(version=version))
        archive.writestr(f"facetally-{version}.dist-info/WHEEL", WHEEL)
        archive.writestr(f"facetally-{version}.dist-info/RECORD", "")
    return path


def whole_wheel(folder: Path, version: str) -> Path:
    """Write a light wheel that a device can run, with models and commands; its packages are those of this Python."""
    path, about = light_wheel(folder, version), f"facetally-{version}.dist-info"
    commands = {"facetally-edge": "edge", "facetally-update": "edge.update"}
    lines = "".join(f"{name} = {module}.__main__:main\n" for name, module in commands.items())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((ROOT / "edge" / "models").iterdir()):
            archive.write(file, file.relative_to(ROOT))
        archive.writestr("facetally_shared_packages.pth", f"{sysconfig.get_path('purelib')}\n")
        archive.writestr(f"{about}/entry_points.txt", f"[console_scripts]\n{lines}")
    return path


def table(folder: Path, *rows: str) -> Path:
    """Write a table of devices with these rows: site, device, group, zones, camera, board, and a host where needed."""
    path = folder / "devices.csv"
    path.write_text("\n".join(["site,device,group,zones,camera,board,host", *rows]) + "\n")
    return path


def made(folder: Path, *rows: str) -> Path:
    """Make a fleet with these devices in a folder, for servers on this machine, and return its folder."""
    of = folder / "fleet"
    fleet("init", of, "--broker", HOST, "--repository", f"https://{HOST}:8443")
    if rows:
        fleet("enrol", table(folder, *rows), folder=of)
    return of


def give(of: Path, release: str) -> None:
    """Give all devices a release at once, without cards or a rollout."""
    opened = Open.read(Folder.of(of), lambda _path: b"", datetime.now(timezone.utc))
    repository, record = opened.repository, read_record(opened.folder, release)
    manifests = [
        next_manifest(record, each, device_manifest(repository, each))
        for each in read_inventory(opened.folder.inventory).values()
        if each.identity in record.configurations
    ]
    repository.publish(devices=assignments(manifests))
