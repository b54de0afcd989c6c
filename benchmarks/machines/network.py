"""Several hosts on one machine: network namespaces of Linux, joined by a bridge. Each has an address of its own.

The bridge is in the namespace of the process that makes the `Network`. `own_namespace` gives a benchmark such a
namespace, so that the machine's own network stays as it is.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

BRIDGE = "hosts"
PREFIX = "10.77.0"
PROGRAMS = ("ip", "unshare")
_INSIDE = "FACETALLY_OWN_NAMESPACE"


def missing_network() -> str:
    """Return why no hosts can be made on this machine; an empty string if they can be."""
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"not installed: {', '.join(missing)} (Debian: apt install iproute2 util-linux)"
    name = f"facetally-{os.getpid()}-probe"
    made = f"ip netns add {name} && ip link add {BRIDGE} type bridge"
    made += f" && ip link add end0 type veth peer name eth0 netns {name}"
    command = ["unshare", "--net", "sh", "-c", f"trap 'ip netns delete {name}' EXIT; {made}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"network namespaces are not permitted: {done.stderr.strip()}" if done.returncode else ""


def own_namespace(module: str) -> None:
    """Run this program again in a network namespace of its own, unless it is in one already.

    ``module`` is its name for ``python -m``. Exits with code 2 if that is not possible.
    """
    if os.environ.get(_INSIDE):
        return
    if reason := missing_network():
        print(reason, file=sys.stderr)
        raise SystemExit(2)
    command = ["unshare", "--net", sys.executable, "-m", module, *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})  # noqa: S606 - no shell


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the network."""

    namespace: str
    link: str
    """The end of its cable at the bridge."""
    address: str

    @property
    def prefix(self) -> list[str]:
        """What runs a command on the host, before the command."""
        return ["ip", "netns", "exec", self.namespace]

    def cut(self) -> None:
        """Pull the cable: nothing arrives any more, and no connection ends."""
        _ip("link", "set", self.link, "down")

    def join(self) -> None:
        """Plug the cable in again."""
        _ip("link", "set", self.link, "up")


@dataclass(slots=True)
class Network:
    """Hosts that reach each other, and the process that has made the network."""

    address: str
    """Of the process that has made the network."""
    stack: ExitStack
    hosts: list[Host] = field(default_factory=list)

    def add(self, name: str) -> Host:
        """Add a host."""
        number = len(self.hosts) + 2
        host = Host(f"facetally-{os.getpid()}-{name}", f"host{number}", f"{PREFIX}.{number}")
        _ip("netns", "add", host.namespace)
        self.stack.callback(_ip, "netns", "delete", host.namespace)
        _ip("link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        _ip("link", "set", host.link, "master", BRIDGE, "up")
        _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", host.namespace, "link", "set", device, "up")
        self.hosts.append(host)
        return host


@contextmanager
def network() -> Iterator[Network]:
    """Make a network without hosts in this process's namespace, and remove it at the end."""
    with ExitStack() as stack:
        _ip("link", "add", BRIDGE, "type", "bridge")
        stack.callback(_ip, "link", "delete", BRIDGE)
        _ip("address", "add", f"{PREFIX}.1/24", "dev", BRIDGE)
        for device in (BRIDGE, "lo"):
            _ip("link", "set", device, "up")
        yield Network(f"{PREFIX}.1", stack)


def _ip(*arguments: str) -> None:
    """Run iproute2's ``ip``; RuntimeError with its message if it fails."""
    command = ["ip", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
