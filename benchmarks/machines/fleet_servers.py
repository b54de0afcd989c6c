"""Broker and release server of a fleet, with the shipped configurations and the fleet's certificates."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machines.nginx import nginx
from demo.mosquitto import Mosquitto, free_port
from demo.mosquitto import mosquitto as run_mosquitto

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"


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
def release_server(of: Path, folder: Path, port: int | None = None) -> Iterator[str]:
    """Serve the repository of a fleet with the shipped configuration of nginx, and yield its address."""
    port, place = port or free_port(), folder / "etc-nginx"
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
