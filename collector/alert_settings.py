"""The section ``[alerts]`` of the collector's configuration."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from base.errors import SettingsError
from base.loopback import is_loopback
from base.secret_file import read_secret
from base.toml_settings import Table, Text
from collector.devices.attention import TITLES, Kind
from collector.mail.settings import Recipient
from contract.fields import Id, Label

MIN_SECRET_CHARACTERS = 16
QUIET: frozenset[Kind] = frozenset(("unknown", "model"))
"""Kinds that are not sent by default."""


class Webhook(Table, frozen=True, kw_only=True):
    """A server to which changes are sent, by POST."""

    url: Text
    """``https``, or ``http`` on this machine."""
    secret_file: Text
    """File whose first line is the secret that signs the messages, 16 characters or more."""

    def __post_init__(self) -> None:
        """Reject addresses that would send messages in plain text to another machine."""
        if not self.url.isascii():
            raise ValueError("url: must be ASCII; write other characters as %XX")
        parts = urlsplit(self.url)
        if parts.username is not None or parts.password is not None:
            raise ValueError("url: must not hold a user or a password")
        if parts.port == 0:  # reading it raises ValueError for a port above 65535
            raise ValueError("url: port must be from 1 to 65535, is 0")
        is_plain_here = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if not parts.hostname or not (parts.scheme == "https" or is_plain_here):
            raise ValueError(f"url: must be https, or http on this machine, is {self.url}")

    @property
    def host(self) -> str:
        """The server, for the log: the rest of the URL of a chat service is a secret."""
        return urlsplit(self.url).hostname or ""

    def secret(self) -> bytes:
        """Return the secret. Raise SettingsError if the file cannot be read or its first line is too short."""
        secret = read_secret(self.secret_file, "alerts.webhooks.secret_file")
        if len(secret) < MIN_SECRET_CHARACTERS:
            raise SettingsError(
                f"key 'alerts.webhooks.secret_file': {self.secret_file}: the first line must be at least"
                f" {MIN_SECRET_CHARACTERS} characters, has {len(secret)}"
            )
        return secret.encode()


class Threshold(Table, frozen=True, kw_only=True):
    """A bound of a figure of each device's last full hour."""

    name: Id
    figure: Literal["visits", "coverage", "share"]
    """``coverage`` and ``share`` are from 0 to 1."""
    label: Label | None = None
    """Label of a share, such as ``unknown``."""
    above: float | None = None
    below: float | None = None
    """Exactly one of the two."""
    margin: Annotated[float, Meta(ge=0)] = 0.0
    """The figure must be back within the bound by so much before the alert ends."""
    hours: Annotated[int, Meta(ge=1, le=168)] = 1
    """Number of consecutive hours beyond the bound before an alert is sent."""
    min_visits: Annotated[int, Meta(ge=1)] = 20
    """An hour with fewer visits says nothing about a share."""
    sites: tuple[Id, ...] = ()
    """Only these sites; all if empty."""

    def __post_init__(self) -> None:
        """Reject a threshold without a bound, and a share without a label."""
        if (self.above is None) == (self.below is None):
            raise ValueError("above, below: exactly one must be given")
        if (self.figure == "share") != (self.label is not None):
            raise ValueError("label: must be given for the figure share, and for no other")


class Alerts(Table, frozen=True, kw_only=True):
    """Which changes are sent to whom. Nothing is sent without a webhook or a recipient."""

    webhooks: tuple[Webhook, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    """Who gets mails, through the server of ``[mail]``."""
    kinds: tuple[Kind, ...] = tuple(kind for kind in TITLES if kind not in QUIET)
    """Kinds of concern that are sent; see `collector.devices.attention`."""
    hold_s: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    """Time that a concern must last before it is sent, and be over before its recovery is sent, seconds."""
    thresholds: tuple[Threshold, ...] = ()

    def __post_init__(self) -> None:
        """Reject thresholds or recipients that share a name, and what only the page finds out."""
        if "model" in self.kinds:
            raise ValueError("kinds: must not have 'model', which only the page and /metrics show")
        names = [threshold.name for threshold in self.thresholds]
        if len(set(names)) < len(names):
            raise ValueError(f"thresholds: names must be unique, are {', '.join(names)}")
        addresses = [each.address for each in self.recipients]
        if len(set(addresses)) < len(addresses):
            raise ValueError(f"recipients: addresses must be unique, are {', '.join(addresses)}")
