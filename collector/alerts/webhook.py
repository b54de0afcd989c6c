"""Send a signed message to a webhook.

The signature is in the header ``Facetally-Signature``, as ``v1=HEX``: HMAC-SHA256 by the secret over the value of
``Facetally-Timestamp`` (Unix time of this attempt, seconds), a full stop, and the body. A receiver compares it in
constant time, and refuses times that are more than five minutes away, so that nobody can replay an old message.
"""

import hashlib
import hmac
import http.client
import ssl
from urllib.parse import urlsplit

from base.errors import SettingsError
from collector.alert_settings import Webhook

TIMEOUT_S = 10.0
FIRST_ERROR = 300
"""Status from which an answer is a failure. Redirections are not followed."""


class NotDelivered(Exception):
    """The receiver did not take a message; try again."""


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """Return the value of ``Facetally-Signature``."""
    return "v1=" + hmac.new(secret, b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def send(webhook: Webhook, delivery: str, body: bytes, timestamp: int) -> None:
    """Send a message. Raises NotDelivered, also while the secret cannot be read."""
    try:
        secret = webhook.secret()
    except SettingsError as error:
        raise NotDelivered(str(error)) from error
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
        "Facetally-Signature": signature(secret, timestamp, body),
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, body, headers)
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotDelivered(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if status >= FIRST_ERROR:
        raise NotDelivered(f"status {status}")
