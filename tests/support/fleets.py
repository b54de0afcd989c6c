"""Fleets for tests: the command, a light wheel, the broker and the release server with a fleet's certificates."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from demo.mosquitto import Mosquitto
from demo.mosquitto import mosquitto as run_mosquitto
from fleet.__main__ import main
from fleet.enrolment.inventory import read_inventory
from fleet.folder import Folder
from fleet.found import Open
from fleet.publication.records import assignments, device_manifest, next_manifest, read_record
from tests.support.brokers import free_port
from tests.support.nginx import nginx

ROOT = Path(__file__).parents[2]
BOARD = "3.11/x86_64"
HOST = "127.0.0.1"
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


def table(folder: Path, *rows: str) -> Path:
    """Write a table of devices with these rows: site, device, group, zones, camera, board."""
    path = folder / "devices.csv"
    path.write_text("\n".join(["site,device,group,zones,camera,board", *rows]) + "\n")
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


@contextmanager
def broker(of: Path, folder: Path, port: int | None = None) -> Iterator[Mosquitto]:
    """Run Mosquitto with the shipped configuration of a fleet and its certificates; settings then name its port."""
    systemd = ROOT / "systemd" / "broker"
    lines = (systemd / "mosquitto-certificates.conf").read_text().splitlines()
    places = {"ca": of / "certificates", "broker": of / "certificates", "crl": of / "certificates"}
    shipped = []
    for line in lines:
        if not line or line.startswith(("#", "listener ")):
            continue
        key, _, value = line.partition(" ")
        name = Path(value).name
        if key == "acl_file":
            value = str(systemd / "mosquitto.acl")
        elif key == "keyfile":
            value = str(of / "secrets" / name)
        elif value.startswith("/"):
            value = str(places[Path(name).stem] / name)
        shipped.append(f"{key} {value}")
    with run_mosquitto(folder, *shipped, port=port) as running:
        settings = of / "fleet.toml"
        lines = [
            f"port = {running.port}" if line.startswith("port = ") else line
            for line in settings.read_text().splitlines()
        ]
        settings.write_text("\n".join(lines) + "\n")
        yield running


@contextmanager
def release_server(of: Path, folder: Path) -> Iterator[str]:
    """Serve the repository of a fleet with the shipped configuration of nginx, and yield its address."""
    port, place = free_port(), folder / "etc-nginx"
    place.mkdir(exist_ok=True)
    for name in ("web.pem", "ca.pem", "crl.pem"):
        shutil.copy(of / "certificates" / name, place)
    shutil.copy(of / "secrets" / "web.key", place)
    replaced = {
        "/etc/nginx/facetally/": f"{place}/",
        "    listen 8443 ssl;": f"    listen {HOST}:{port} ssl;",
        "    listen [::]:8443 ssl;\n": "",
        "root /srv/facetally;": f"root {of / 'repository'};",
    }
    with nginx(folder, "nginx-releases.conf", port, replaced):
        yield f"https://{HOST}:{port}"
