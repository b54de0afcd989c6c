"""A broker's configuration with the shipped rules of access and users of its own."""

import subprocess
from pathlib import Path

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
