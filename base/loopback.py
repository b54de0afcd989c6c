"""Tell whether a host name or address is this machine only."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine only: the name ``localhost``, or a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
