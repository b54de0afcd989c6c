"""Check from outside the daemon whether the broker can be reached, accepts the login and grants the rights it needs."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from base.certificate import parse_end
from base.errors import FacetallyError
from edge.delivery.mqtt_client import NAMES, V5, V311, WRONG_VERSION, Answer, Probe
from edge.settings import BrokerSettings

RETAINED_S = 0.5
"""How long a broker may take to send what it has kept of a topic, seconds."""


class BrokerSession:
    """A login that asks the broker for one right after another. A refusal is a FacetallyError that says of what."""

    def __init__(self, probe: Probe, version: str, who: str) -> None:
        self._probe, self._who = probe, who
        self.version = version
        """MQTT version that the broker speaks, 5 or 3.1.1. With 3.1.1 it cannot report that it refuses a message."""

    def require_read(self, topic_filter: str) -> None:
        """Subscribe to a topic filter."""
        self._require(self._probe.subscribe(topic_filter), f"read {topic_filter}")

    def require_write(self, topic: str, payload: bytes = b"") -> None:
        """Publish a message that is not retained. No subscriber takes an empty one for a message of the contract."""
        self._require(self._probe.publish(topic, payload), f"publish {topic}")  # Mosquitto 2.0.11 may hang up instead

    def retained(self, topic: str) -> bytes | None:
        """The message that the broker has kept of a topic that was subscribed to; None if there is none."""
        return self._probe.retained(topic, RETAINED_S)

    def _require(self, answer: Answer | None, right: str) -> None:
        if answer is None or answer.refused:
            reason = answer.reason if answer else "no answer, or it hangs up"
            raise FacetallyError(f"{self._who} must be allowed to {right}; the broker refuses: {reason}")


@contextmanager
def logged_in(settings: BrokerSettings, client_id: str, limit_s: float) -> Iterator[BrokerSession]:
    """Log in like the daemon, by MQTT 5, or 3.1.1 if the broker knows no other. Each request may take ``limit_s``.

    Raise FacetallyError or OSError, which say why the broker refuses.
    """
    where = f"{settings.host}:{settings.port}"
    who = f"{where}: user {settings.username}" if settings.username else f"{where}: a client without user name"
    for protocol in (V5, V311):
        probe = Probe(settings, client_id, protocol, limit_s)
        try:
            answer = probe.connect()
            if answer is not None and not answer.refused:
                yield BrokerSession(probe, NAMES[protocol], who)
                return
        finally:
            probe.close()
        if answer is not None and answer.reason != WRONG_VERSION:
            raise FacetallyError(f"{who} must be allowed to log in; the broker refuses: {answer.reason}")
    raise FacetallyError(f"{where} gives no answer in MQTT; it may want tls, or a certificate of ours")


def connect(settings: BrokerSettings, limit_s: float) -> datetime | None:
    """Open and close a connection, with TLS if configured. Returns the end of the broker's certificate, UTC.

    Raise OSError or SettingsError if that fails.
    """
    with socket.create_connection((settings.host, settings.port), limit_s) as plain:
        context = settings.tls_context()
        if context is None:
            return None
        with context.wrap_socket(plain, server_hostname=settings.host) as encrypted:
            found = encrypted.getpeercert()
            return parse_end(str(found["notAfter"])) if found else None
