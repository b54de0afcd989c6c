"""Addresses of this device, and who may connect to it."""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from base.loopback import is_loopback

SIOCGIFADDR = 0x8915
"""Linux ioctl that returns the IPv4 address of an interface, netdevice(7)."""
ADDRESS_AT = slice(20, 24)
"""Bytes of the address in the struct ifreq."""
Network = ipaddress.IPv4Network


def own_addresses() -> list[str]:
    """IPv4 addresses of this device, without the loopback."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # an interface without an IPv4 address
            found.append(socket.inet_ntoa(answer[ADDRESS_AT]))
    return [address for address in found if not is_loopback(address)]


def own_names() -> list[str]:
    """Names by which a browser may call this device."""
    name = socket.gethostname().lower()
    return ["localhost", name, f"{name.partition('.')[0]}.local"]


@dataclass(frozen=True, slots=True)
class Peers:
    """Which addresses may connect: this machine, private and link-local networks (RFC 1918, RFC 3927), and others."""

    others: Sequence[Network] = ()
    """Networks that the installer allows besides."""

    def allows(self, address: str) -> bool:
        """Whether a peer with this IPv4 address may connect."""
        peer = ipaddress.IPv4Address(address)
        return any(peer in network for network in (*PRIVATE, *self.others))


PRIVATE = tuple(
    map(ipaddress.IPv4Network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"))
)


def is_own_host(header: str, address: str, port: int) -> bool:
    """Whether the header ``Host`` of a request names this server: the address it was sent to, or one of our names.

    A web site whose name resolves to this device (DNS rebinding) is refused by that.
    """
    name, _, given = header.rpartition(":") if ":" in header else (header, "", "443")
    return given == str(port) and (name == address or name.lower().rstrip(".") in own_names())
