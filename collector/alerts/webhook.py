"""Send a signed message to a webhook.

The signature is in the header ``Facetally-Signature``, as ``v1=HEX``: HMAC-SHA256 by the secret over the value of
``Facetally-Timestamp`` (Unix time of this attempt, seconds), a full stop, and the body. A receiver compares it in
constant time, and refuses times that are more than five minutes away, so that nobody can replay an old message.
"""

import hashlib
import hmac
import http.client
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from base.errors import SettingsError
from collector.alert_settings import Webhook
from collector.alerts.changes import Change
from collector.alerts.channel import NotDelivered
from collector.alerts.memory import Destination, Waiting
from collector.language.catalogue import SOURCE

TIMEOUT_S = 10.0
FIRST_ERROR = 300
"""Status from which an answer is a failure. Redirections are not followed."""


class SentChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change, as a webhook gets it."""

    site: str
    device: str
    kind: str
    threshold: str | None = None
    """Left out unless ``kind`` is ``threshold``."""
    state: str
    title: str
    detail: str
    since: datetime


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """The way to one webhook."""

    webhook: Webhook
    gather = timedelta(0)

    @property
    def destination(self) -> Destination:
        """Its messages in the queue."""
        return Destination(kind="webhook", address=self.webhook.url)

    @property
    def name(self) -> str:
        """The host alone, because the rest of a chat service's URL is a secret."""
        return self.webhook.host

    @property
    def server(self) -> str:
        """Host and port."""
        return urlsplit(self.webhook.url).netloc

    def wants(self, _change: Change) -> bool:
        """A webhook gets all changes."""
        return True

    def send(self, waiting: Waiting, now: datetime) -> None:
        """Send a message. Raises NotDelivered, also while the secret cannot be read."""
        post(self.webhook, waiting.id, body(waiting), int(now.timestamp()))


def body(waiting: Waiting) -> bytes:
    """Return a message as JSON, in English."""
    changes = [
        SentChange(
            site=each.subject.site, device=each.subject.device, kind=each.subject.kind,
            threshold=each.subject.threshold, state=each.state, title=each.texts[SOURCE].title,
            detail=each.texts[SOURCE].detail, since=each.since,
        )
        for each in waiting.changes
    ]  # fmt: skip
    return msgspec.json.encode({"schema": 1, "id": waiting.id, "changes": changes})


def signature(secret: bytes, timestamp: int, content: bytes) -> str:
    """Return the value of ``Facetally-Signature``."""
    return "v1=" + hmac.new(secret, b"%d." % timestamp + content, hashlib.sha256).hexdigest()


def post(webhook: Webhook, delivery: str, content: bytes, timestamp: int) -> None:
    """Send a message, signed. Raises NotDelivered, also while the secret cannot be read."""
    try:
        secret = webhook.secret()
    except SettingsError as error:
        raise NotDelivered(str(error), is_away=False) from error
    parts = urlsplit(webhook.url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    )
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "facetally-collector",
        "Facetally-Delivery": delivery,
        "Facetally-Timestamp": str(timestamp),
        "Facetally-Signature": signature(secret, timestamp, content),
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, content, headers)
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotDelivered(str(error) or type(error).__name__, is_away=isinstance(error, OSError)) from error
    finally:
        connection.close()
    if status >= FIRST_ERROR:
        raise NotDelivered(f"status {status}", is_away=False)
