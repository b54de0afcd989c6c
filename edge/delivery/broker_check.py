"""Check from outside the daemon whether the broker can be reached, accepts the login and grants the rights it needs."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from base.errors import FacetallyError
from edge.delivery.mqtt_client import NAMES, V5, V311, WRONG_VERSION, Answer, Probe
from edge.settings import BrokerSettings


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics that a client must be allowed to publish, and topic filters that it must be allowed to read."""

    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def check_access(settings: BrokerSettings, client_id: str, limit_s: float, rights: Rights = Rights()) -> str:
    """Log in, subscribe and publish like the daemon; return the MQTT version that the broker speaks, 5 or 3.1.1.

    Each request may take ``limit_s`` seconds. Raise FacetallyError or OSError, which say why the broker refuses. A
    broker of MQTT 3.1.1 cannot report that it refuses a publication.
    """
    where = f"{settings.host}:{settings.port}"
    for protocol in (V5, V311):
        probe = Probe(settings, client_id, protocol, limit_s)
        try:
            answer = probe.connect()
            if answer is not None and not answer.refused:
                for refusal in _refusals(probe, rights):
                    raise FacetallyError(f"{where} lets us in, but {refusal}")
                return NAMES[protocol]
        finally:
            probe.close()
        if answer is not None and answer.reason != WRONG_VERSION:
            raise FacetallyError(f"{where} refuses: {answer.reason}")
    raise FacetallyError(f"{where} gives no answer in MQTT; it may want tls, or a certificate of ours")


def check_reachable(settings: BrokerSettings, limit_s: float) -> None:
    """Open and close a connection, with TLS if configured. Raise OSError or SettingsError if that fails."""
    with socket.create_connection((settings.host, settings.port), limit_s) as plain:
        context = settings.tls_context()
        if context is not None:
            context.wrap_socket(plain, server_hostname=settings.host).close()


def _refusals(probe: Probe, rights: Rights) -> Iterator[str]:
    """What the broker does not allow this client."""
    for name in rights.reads:
        if _denied(answer := probe.subscribe(name)):
            yield f"does not let us read {name}: {answer.reason if answer else 'no answer'}"
    for name in rights.writes:
        if _denied(answer := probe.publish(name)):  # Mosquitto 2.0.11 may hang up instead
            yield f"does not let us publish {name}: {answer.reason if answer else 'it hung up'}"


def _denied(answer: Answer | None) -> bool:
    return answer is None or answer.refused
