"""Every command of docs/operator.md runs as printed, with real servers set up by the commands of the guide."""

import os
import re
import ssl
import subprocess
import sys
import urllib.request
from contextlib import ExitStack

import msgspec

from base.toml_settings import from_tree
from benchmarks.machines.fleet_servers import HOST
from benchmarks.machines.nginx import nginx
from collector.devices.groups import Groups
from collector.settings import Settings as CollectorConfiguration
from demo.mosquitto import mosquitto
from fleet.settings import CollectorSettings, PromotionSettings
from tests.support.brokers import free_port, needs_mosquitto
from tests.support.fleets import ROOT, light_wheel
from tests.support.followers import Follower, following
from tests.support.nginx import needs_nginx

pytestmark = [needs_mosquitto, needs_nginx]
GUIDE = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
ELSEWHERE = ("python3 -m venv", "env/bin/pip ", "python3 -m pip wheel", "systemctl ", "podman-compose ")
"""Beginnings of lines that others run: they install the package, build a wheel, or restart services.

`benchmarks/machines/compose.py` runs those of podman-compose."""
COMMAND = f"""\
#!/bin/sh
exec {sys.executable} -c '
import sys
from fleet.__main__ import main
from fleet.rollout import run
run.TICK_S, run.LEARN_S = 0.1, 1.0
sys.exit(main(sys.argv[1:]))' "$@"
"""
SHORTER = {"--bake 60m": "--bake 1s", "--wait 60": "--wait 0.1", " -o mosquitto": ""}
"""Times, and the owner of a key on machines without that user."""


def prepared(folder):
    """A folder with what the commands need from a checkout, and places for the files of the servers."""
    for place in ("env/bin", "dist", "bootfs", "etc/mosquitto/conf.d", "etc/mosquitto/certs", "etc/nginx/conf.d"):
        (folder / place).mkdir(parents=True)
    (folder / "systemd").symlink_to(ROOT / "systemd")
    (folder / "models").symlink_to(ROOT / "edge/models")
    for name in ("meta-data", "user-data"):
        (folder / "bootfs" / name).write_text("#cloud-config\n")
    light_wheel(folder / "dist")
    command = folder / "env/bin/facetally-fleet"
    command.write_text(COMMAND)
    command.chmod(0o755)
    return folder


def run(folder, language, block):
    """Run a block of the guide; fail with its output if a command of it fails."""
    for theirs, ours in {**SHORTER, "broker.example": HOST, "releases.example": HOST}.items():
        block = block.replace(theirs, ours)
    if language == "bash":  # as root, on a server
        block = block.replace("/etc/", f"{folder}/etc/").replace("/srv/", f"{folder}/srv/")
    lines = [line for line in block.splitlines() if not line.startswith(ELSEWHERE)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BOOT": str(folder / "bootfs")}
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", "\n".join(lines)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def the_broker(folder):
    """Mosquitto with the files that the guide's commands have installed."""
    port, etc = free_port(), folder / "etc/mosquitto"
    assert (etc / "conf.d/facetally.conf").read_bytes() == (ROOT / "systemd/broker/mosquitto.conf").read_bytes()
    shipped = (etc / "conf.d/facetally-certificates.conf").read_text().replace("/etc/", f"{folder}/etc/")
    lines = [line for line in shipped.splitlines() if line and not line.startswith(("#", "listener "))]
    settings = folder / "shops/fleet.toml"
    settings.write_text(settings.read_text().replace("port = 8883", f"port = {port}"))
    return mosquitto(folder, *lines, port=port)


def the_server(folder, port):
    """Nginx with the files that the guide's commands have installed."""
    replaced = {
        "/etc/nginx/facetally/": f"{folder}/etc/nginx/facetally/",
        "    listen 8443 ssl;": f"    listen {HOST}:{port} ssl;",
        "    listen [::]:8443 ssl;\n": "",
        "root /srv/facetally;": f"root {folder}/srv/facetally;",
    }
    return nginx(folder, "nginx-releases.conf", port, replaced)


def test_the_commands_lead_from_nothing_to_a_fleet_that_is_updated(tmp_path):
    """In the order of the guide: servers, devices, a release, cards, a rollout, a change, a revoked device, renewal."""
    folder, port, printed = prepared(tmp_path), free_port(), ""
    of = folder / "shops"
    with ExitStack() as stack:
        for language, block in BLOCKS:
            if language not in ("sh", "bash"):
                continue
            if "cat >devices.csv" in block:
                broker = stack.enter_context(the_broker(folder))
                stack.enter_context(the_server(folder, port))
            elif "rollout 1.1" in block:
                names = (("shop-1", "door"), ("shop-1", "till"), ("shop-2", "door"))
                devices = [Follower(of, *name, broker.port) for name in names]
                stack.enter_context(following(devices))
            printed += run(folder, language, block)
        context = ssl.create_default_context(cafile=of / "certificates/ca.pem")
        name = "devices/shop-1/door"
        context.load_cert_chain(of / f"certificates/{name}.pem", of / f"secrets/{name}.key")
        with urllib.request.urlopen(f"https://{HOST}:{port}/metadata/1.root.json", context=context) as answer:
            assert answer.read() == (of / "repository/metadata/1.root.json").read_bytes()
        assert [each.installed.release for each in devices] == ["1.0"] * 3
    for expected in (
        "enrolled 3, changed 0, unchanged 0",
        "1.0: software 1.0, for 3 devices",
        "removed 0 releases: none",
        "shop-1/door: written to",
        "1.1: done: 2 of 2 devices have it and 2 are well",
        "1.1: 3 devices get back what they ran before",
        "k-8: done",
        "3 devices, 0 need a person",
        "timestamp: signed until",
    ):
        assert expected in printed, f"{expected}\n{printed}"
    assert msgspec.json.decode((folder / "status.json").read_bytes())["devices"][0]["group"] == "north"
    assert Groups(of / "page/groups.csv").read()["shop-1", "till"] == "north"
    assert (of / ".gitignore").read_text().startswith("secrets/\n")


def test_the_settings_in_the_guide_are_valid():
    """The collector and the fleet read them."""
    blocks = [msgspec.toml.decode(block) for language, block in BLOCKS if language == "toml"]
    collector, fleet, promotion, page = blocks
    assert from_tree(collector, CollectorConfiguration, "collector.toml").broker.port == 8883
    assert from_tree(page, CollectorConfiguration, "collector.toml").page.groups == "/etc/facetally/groups.csv"
    assert from_tree(fleet["collector"], CollectorSettings, "fleet.toml").url.startswith("https://")
    assert from_tree(promotion["promotion"], PromotionSettings, "fleet.toml").min_visits == 500
