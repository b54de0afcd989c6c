"""The keys of the ``[broker]`` section that edge and collector share: address, login and encryption."""

import ssl
from typing import Annotated

from msgspec import Meta

from base.loopback import is_loopback
from base.secret_file import read_secret
from base.tls import Tls, tls_context
from base.toml_settings import Table, Text

NAME = r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?"
IPV6 = r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?"
Host = Annotated[str, Meta(pattern=f"^({NAME}|{IPV6})$(?!\\n)", description="a host name or an IP address")]
"""Anything else raises in the thread of the MQTT client, where nobody sees it, and nothing is sent."""
Port = Annotated[int, Meta(ge=1, le=65_535)]


class BrokerOptions(Table, frozen=True, kw_only=True):
    """How to reach an MQTT broker and log in.

    Nothing is sent unencrypted to another machine unless ``plain_text`` allows it.
    """

    host: Host = "localhost"
    port: Port = 1883
    username: Text | None = None
    password_file: Text | None = None
    """File whose first line is the password, so that the configuration itself holds no secret."""
    tls: Tls | None = None
    plain_text: bool = False
    keepalive_s: Annotated[int, Meta(ge=1, le=65_535)] = 60
    """Interval in which broker and client must hear from each other, seconds."""

    def __post_init__(self) -> None:
        """Reject an unencrypted connection to another machine unless ``plain_text`` allows it."""
        if self.tls is None and not self.plain_text and not is_loopback(self.host):
            raise ValueError(f"{self.host} is another machine: set tls, or plain_text = true to send unencrypted")

    def password(self) -> str | None:
        """Return the password, or None if no file is set. Raise SettingsError if the file cannot be read."""
        return None if self.password_file is None else read_secret(self.password_file, "broker.password_file")

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context, or None without ``tls``. Raise SettingsError if a file cannot be loaded."""
        return None if self.tls is None else tls_context(self.tls, "broker.tls")
