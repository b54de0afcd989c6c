"""Start the servers of a fleet with `systemd/compose/`, use each of them, and print what was found.

``python -m benchmarks.machines.compose``

It must run as root. It needs the Debian packages podman, crun, netavark, aardvark-dns, iptables and mmdebstrap, and
podman-compose from PyPI. Images are built on a Debian that mmdebstrap makes, with wheels of PyPI that pip downloads.
This program runs the health checks itself, because Podman leaves them to systemd.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.enrolment import run as fleet
from benchmarks.machines.debian import BUILD, ROOT, missing_requirements
from benchmarks.machines.nspawn import wait_until
from benchmarks.machines.podman import BASE, PROGRAMS, Podman, podman
from demo.clip import compose as render_clip

FILE = ROOT / "systemd" / "compose" / "compose.yaml"
BROKER, WEB = "broker.example", "releases.example"
SERVERS = ("broker", "collector", "page", "proxy", "releases")
LOGIN = "analyst:secret"
DOOR, TILL = "shop-1/door", "shop-1/till"
LIMIT_S = 60.0
DEVICE = """\
site = "shop-1"
device = "door"
[capture]
source = "file"
path = "{clip}"
[admit]
staff_zones = []
[tally]
window_s = 2
[privacy]
k = 1
[broker]
host = "{broker}"
port = 8883
[broker.tls]
ca = "{of}/certificates/ca.pem"
certificate = "{of}/certificates/devices/{name}.pem"
key = "{of}/secrets/devices/{name}.key"
[spool]
path = "{spool}"
unsynced_hold_h = 0
"""


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of a fleet in containers."""

    machine: Podman
    of: Path
    """Folder of the fleet."""

    def compose(self, *arguments: str, online: bool = False) -> str:
        """Run podman-compose on the shipped file; with this machine's network if ``online``."""
        variables = {"FLEET": str(self.of), "BROKER": BROKER, "BASE": BASE}
        program = str(Path(sys.executable).with_name("podman-compose"))
        return self.machine.run(program, "--file", str(FILE), *arguments, online=online, **variables)

    def inside(self, server: str, *arguments: str, check: bool = True) -> str:
        """Run a command in the container of a server, and return its output."""
        return self.machine.run("podman", "exec", f"facetally_{server}_1", *arguments, check=check)

    def log(self, server: str) -> str:
        """Return what a server has logged."""
        return self.machine.run("podman", "logs", f"facetally_{server}_1")

    def up(self) -> None:
        """Start the servers, and wait until they are healthy."""
        self.compose("up", "--detach")
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        """Run the health check of each server until it succeeds."""
        for server in SERVERS:
            wait_until(lambda server=server: self._is_healthy(server), LIMIT_S, f"healthy: {server}")  # type: ignore[misc]

    def _is_healthy(self, server: str) -> bool:
        printed = self.machine.run("podman", "healthcheck", "run", f"facetally_{server}_1", check=False)
        return printed in ("", "healthy")

    def status(self, *arguments: str) -> str:
        """Return the HTTP status of a request by curl, 000 if the connection is refused."""
        answer = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "20"]
        authority = str(self.of / "certificates" / "ca.pem")
        return self.machine.run(*answer, "--cacert", authority, *arguments, check=False)

    def metadata(self, identity: str | None) -> str:
        """Return the HTTP status with which the release server answers a device for its newest metadata."""
        shown = [] if identity is None else ["--cert", f"{self.of}/certificates/devices/{identity}.pem"]
        shown += [] if identity is None else ["--key", f"{self.of}/secrets/devices/{identity}.key"]
        return self.status(*shown, f"https://{WEB}:8443/metadata/timestamp.json")

    def devices(self, query: str = "") -> str:
        """Return the devices that the API lists behind the proxy, as JSON."""
        ask = ["curl", "--silent", "--fail", "--cacert", str(self.of / "certificates/ca.pem"), "--user", LOGIN]
        return json.dumps(json.loads(self.machine.run(*ask, f"https://{WEB}/api/v1/devices{query}"))["devices"])

    def rows(self) -> list[str]:
        """Return the rows of the store, without headers."""
        text = self.inside("collector", "sh", "-c", "cat /var/lib/facetally-store/date=*/site=*/*.csv || true")
        return sorted(line for line in text.splitlines() if ",shop-1,door," in f",{line},")

    def broker_accepts(self, identity: str) -> bool:
        """Whether a real login with the certificate of a device succeeds, by mosquitto_pub."""
        name = f"devices/{identity}"
        files = ["--cafile", f"{self.of}/certificates/ca.pem", "--cert", f"{self.of}/certificates/{name}.pem"]
        files += ["--key", f"{self.of}/secrets/{name}.key"]
        topic = ["-t", f"facetally/v1/{identity}/status", "-q", "1", "-m", "{}"]
        login = self.machine.command("mosquitto_pub", "-h", BROKER, "-p", "8883", *files, *topic)
        return subprocess.run(login, capture_output=True, check=False, timeout=30).returncode == 0


def make_fleet(folder: Path) -> Path:
    """Make a fleet with two devices, as docs/operator.md does, and return its folder."""
    of, table = folder / "fleet", folder / "devices.csv"
    rows = ("site,device,group,zones,camera", "shop-1,door,north,none,v4l2:0", "shop-1,till,north,none,v4l2:0")
    table.write_text("\n".join(rows) + "\n")
    fleet("init", of, "--broker", BROKER, "--repository", f"https://{WEB}:8443")
    fleet("enrol", table, "--fleet", of)
    name, _, password = LOGIN.partition(":")
    hashed = subprocess.run(
        [shutil.which("openssl") or "openssl", "passwd", "-6", password], capture_output=True, text=True, check=True
    )
    secret = of / "secrets" / "page.passwords"
    secret.touch(mode=0o600)
    secret.write_text(f"{name}:{hashed.stdout}")
    return of


def count_a_clip(servers: Servers, folder: Path) -> None:
    """Run the real daemon on a clip with the certificate of a device, until it has sent all windows."""
    clip, settings = folder / "clip.mp4", folder / "edge.toml"
    render_clip(clip)
    spool = folder / "spool.sqlite"
    settings.write_text(DEVICE.format(clip=clip, broker=BROKER, of=servers.of, name=DOOR, spool=spool))
    servers.machine.run(sys.executable, "-m", "edge", "run", "--config", str(settings), "--clip", str(clip))


def check(what: str, is_true: object) -> None:
    """Print a fact; AssertionError if it is none."""
    assert is_true, what
    print(f"  {what}", flush=True)


def check_confinement(servers: Servers) -> None:
    """No server runs as root, or can write its root file system, or has capabilities or another server's key."""
    for server in SERVERS:
        status = servers.inside(server, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == ["10001"] * 4, status
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, status
        assert fields["NoNewPrivs"] == "1", status
        assert "Read-only file system" in servers.inside(server, "touch", "/usr/written", check=False)
    check("no server has root, capabilities or a root file system that it can write", True)
    find = "find / -name '*.key' -type f 2>/dev/null || true"
    keys = {server: Path(servers.inside(server, "sh", "-c", find)).name for server in SERVERS}
    own = {"broker": "broker", "collector": "collector", "page": "", "proxy": "page", "releases": "web"}
    check("each server has its own key only", keys == {server: key and f"{key}.key" for server, key in own.items()})
    written = servers.inside("page", "sh", "-c", "touch /var/lib/facetally-store/written", check=False)
    check("the page cannot write the store", "Read-only file system" in written)


def check_page(servers: Servers, rows: int) -> None:
    """The page answers over TLS, asks for a login, and its API has the windows of the store."""
    address = f"https://{WEB}"
    check("the page asks for a login", servers.status(f"{address}/") == "401")
    check("the page answers over TLS", servers.status("--user", LOGIN, f"{address}/") == "200")
    check("the API behind it lists the device", "door" in servers.devices())
    check(f"the store has {rows} windows of the device", rows > 0)


def check_groups(servers: Servers) -> None:
    """The page runs without `groups.csv`, and knows the groups as soon as the file is there."""
    check("without groups.csv the device is in no group", '"group": null' in servers.devices())
    check("which is logged once", servers.log("page").count("groups_unread") == 1)
    place = servers.of / "page"
    for command in (["-d", "-m", "755", str(place)], ["-m", "644", str(servers.of / "groups.csv"), str(place)]):
        servers.machine.run("install", *command)
    wait_until(lambda: '"group": "north"' in servers.devices(), LIMIT_S, "the page knows the groups")
    check("with it the page filters by group", "door" in servers.devices("?group=north"))


def check_refusals(servers: Servers) -> None:
    """The release server serves the devices of the fleet, and nobody else; a revoked device is refused at once."""
    check("the release server serves timestamp.json to a device", servers.metadata(DOOR) == "200")
    check("it refuses a client without a certificate", servers.metadata(None) == "400")
    check("broker and release server accept another", servers.broker_accepts(TILL) and servers.metadata(TILL) == "200")
    fleet("revoke", TILL, "--fleet", servers.of)
    servers.compose("run", "--rm", "keys")
    servers.compose("restart", "broker", "releases")
    wait_until(lambda: servers.metadata(DOOR) == "200" and servers.broker_accepts(DOOR), LIMIT_S, "up again")
    check("once it is revoked, the broker refuses it", not servers.broker_accepts(TILL))
    check("and so does the release server", servers.metadata(TILL) == "400")


def check_restarts(servers: Servers) -> None:
    """A killed server starts again, and the page stays reachable after either of its two servers was killed."""
    for server in SERVERS:
        before = _started(servers, server)
        process = servers.machine.run("podman", "inspect", "--format", "{{.State.Pid}}", f"facetally_{server}_1")
        servers.machine.run("kill", "-KILL", process)  # `podman kill` counts as a stop by its user
        wait_until(lambda s=server, b=before: _started(servers, s) not in ("", b), LIMIT_S, f"{server} started again")  # type: ignore[misc]
    wait_until(lambda: servers.status("--user", LOGIN, f"https://{WEB}/healthz") == "200", LIMIT_S, "the page answers")
    check("each server that is killed starts again, and the page answers", True)


def check_reboot(servers: Servers) -> None:
    """All servers start again by the command of podman-restart.service, as after a reboot."""
    servers.machine.run("podman", "stop", "--all")
    servers.machine.run("podman", "start", "--all", "--filter", "restart-policy=always")
    servers.wait_until_healthy()
    check("after a stop of all, podman-restart.service would start all", True)


def _started(servers: Servers, server: str) -> str:
    shown = "{{if .State.Running}}{{.State.StartedAt}}{{end}}"
    return servers.machine.run("podman", "inspect", "--format", shown, f"facetally_{server}_1")


def prove(servers: Servers, folder: Path) -> None:
    """Go through all facts. AssertionError names the first that does not hold."""
    try:
        timed("up", servers.up)
        check_confinement(servers)
        count_a_clip(servers, folder)
        rows = servers.rows()
        check_page(servers, len(rows))
        check_groups(servers)
        check_refusals(servers)
        check_restarts(servers)
        check_reboot(servers)
        timed("down", lambda: servers.compose("down"))
        timed("up again", servers.up)
        check("the store is the same after down and up", servers.rows() == rows)
        check("the broker has kept the collector's session", "session=resumed" in servers.log("collector"))
    finally:
        servers.compose("down", "--volumes")


def timed(what: str, do: Callable[[], object]) -> None:
    """Do something, and print how long it took."""
    begin = time.monotonic()
    do()
    print(f"{what}: {time.monotonic() - begin:.0f} s", flush=True)


def main() -> int:
    """Print each fact; exit code 1 if a requirement is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--built", action="store_true", help="use the images of the last run")
    built = parser.parse_args().built
    if missing := missing_requirements(*PROGRAMS):
        print(missing, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        of = make_fleet(Path(folder))
        hosts = {BROKER: "127.0.0.1", WEB: "127.0.0.1"}
        with podman(BUILD / "podman", hosts) as machine:
            servers = Servers(machine, of)
            if not built:
                timed("base image", machine.import_base)
                timed("build", lambda: servers.compose("build", online=True))
            prove(servers, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
