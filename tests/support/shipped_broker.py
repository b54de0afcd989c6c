"""The shipped rules of access with users of a test, and a broker with all shipped files."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.mosquitto import program
from tests.support.brokers import free_port, listens, wait_until

ROOT = Path(__file__).parents[2]


def shipped_rules(folder: Path, *names: str) -> tuple[tuple[str, ...], str]:
    """Return lines of mosquitto.conf with these users and the shipped ACL, and the file of their password."""
    passwords, secret = folder / "users", folder / "secret"
    passwords.touch(mode=0o600)
    secret.write_text("secret\n")
    for name in names:
        subprocess.run(["mosquitto_passwd", "-b", passwords, name, "secret"], check=True, capture_output=True)
    shipped = (ROOT / "systemd" / "broker" / "mosquitto-tls.conf").read_text()
    assert shipped.count("use_username_as_clientid true") == shipped.count("\nlistener ")
    acl = ROOT / "systemd" / "broker" / "mosquitto.acl"
    lines = ("allow_anonymous false", f"acl_file {acl}", f"password_file {passwords}", "use_username_as_clientid true")
    return lines, str(secret)


@dataclass(frozen=True, slots=True)
class ShippedBroker:
    """A running broker with the shipped configuration. The password of each user is ``secret``."""

    tls_port: int
    """Port with TLS, for ``localhost``."""
    plain_port: int
    """Port without TLS, on loopback."""
    ca: str
    """File of the certificate that clients trust."""
    secret: str
    """File of the password."""


@contextmanager
def shipped_broker(folder: Path, *names: str) -> Iterator[ShippedBroker]:
    """Run Mosquitto with the shipped configuration for passwords and the shipped ACL, with other paths and ports."""
    from tests.support.certificates import Authority

    authority = Authority(folder, "broker")
    issued = authority.issue("localhost")
    _, secret = shipped_rules(folder, *names)
    tls_port, plain_port = free_port(), free_port()
    shipped = ROOT / "systemd" / "broker"
    text = (shipped / "mosquitto.conf").read_text() + (shipped / "mosquitto-tls.conf").read_text()
    for theirs, ours in (
        ("listener 8883", f"listener {tls_port} 127.0.0.1"),
        ("listener 1883", f"listener {plain_port}"),
        ("/etc/mosquitto/certs/facetally.pem", issued["certificate"]),
        ("/etc/mosquitto/certs/facetally.key", issued["key"]),
        ("/etc/mosquitto/facetally.passwords", str(folder / "users")),
        ("/etc/mosquitto/facetally.acl", str(shipped / "mosquitto.acl")),
    ):
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    user = "user root\n" if os.getuid() == 0 else ""  # otherwise it cannot read the folder
    config = folder / "shipped.conf"
    config.write_text(f"{text}{user}persistence_location {folder}/\n")
    command = program()
    assert command is not None
    with (folder / "mosquitto.log").open("wb") as log, subprocess.Popen([command, "-c", config], stderr=log) as process:
        try:
            wait_until(lambda: listens(tls_port) and listens(plain_port), "mosquitto listens")
            yield ShippedBroker(tls_port, plain_port, authority.ca, secret)
        finally:
            process.terminate()
