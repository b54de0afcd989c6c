"""Settings of the broker -> a client that proves who it is, and asks the broker to: password, certificates; and
whether it is let in and may do what it must.
"""

import math
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from base.errors import FacetallyError, SettingsError
from edge.settings import BrokerSettings


def authenticate(client: mqtt.Client, settings: BrokerSettings) -> None:
    """Give the client its name, password and certificates; SettingsError for a file that cannot be read."""
    if settings.username is not None:
        client.username_pw_set(settings.username, _password(settings))
    if settings.tls is not None:
        _encrypt(client, settings)


def _password(settings: BrokerSettings) -> str | None:
    if settings.password_file is None:
        return None
    try:
        return Path(settings.password_file).read_text().strip()
    except OSError as error:
        raise SettingsError(f"key 'broker.password_file': {settings.password_file}: {error.strerror}") from error


def _encrypt(client: mqtt.Client, settings: BrokerSettings) -> None:
    assert settings.tls is not None
    try:
        client.tls_set(settings.tls.ca, settings.tls.certificate, settings.tls.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SettingsError(f"key 'broker.tls': {error}") from error


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics that a client must be allowed to publish, and filters that it must be allowed to read."""

    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def check_access(settings: BrokerSettings, client_id: str, limit_s: float, rights: Rights = Rights()) -> str:
    """The version of MQTT in which the broker lets such a client in and do what it must, within so many seconds for
    each; FacetallyError or OSError, which say why it does not. To ask, an empty message that is not retained is
    published on each topic, which no collector takes for one. A broker of 3.1.1 cannot say that it refuses it.
    """
    where = f"{settings.host}:{settings.port}"
    for protocol, name in ((MQTTProtocolVersion.MQTTv5, "5"), (MQTTProtocolVersion.MQTTv311, "3.1.1")):
        asked = _Asked(settings, client_id, protocol, limit_s)
        reason = asked.connect()
        if reason is not None and not reason.is_failure:
            for wrong in asked.refusals(rights):
                raise FacetallyError(f"{where} lets us in, but {wrong}")
            return name
        if reason is not None and str(reason) != "Unsupported protocol version":
            raise FacetallyError(f"{where} refuses: {reason}")
    raise FacetallyError(f"{where} gives no answer in MQTT; it may want tls, or a certificate of ours")


def check_reachable(settings: BrokerSettings, limit_s: float) -> None:
    """A connection to the broker, and TLS if that is set, opened and closed; OSError or SettingsError if that fails."""
    with socket.create_connection((settings.host, settings.port), limit_s) as plain:
        if settings.tls is not None:
            tls = settings.tls
            try:
                context = ssl.create_default_context(cafile=tls.ca)
                if tls.certificate is not None:
                    context.load_cert_chain(tls.certificate, tls.key)
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(f"key 'broker.tls': {error}") from error
            context.wrap_socket(plain, server_hostname=settings.host).close()


class _Asked:
    """A client that connects, asks and hangs up."""

    def __init__(self, settings: BrokerSettings, client_id: str, protocol: MQTTProtocolVersion, limit_s: float) -> None:
        self._settings, self._limit_s = settings, limit_s
        self._answers: list[ReasonCode] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol)
        authenticate(self._client, settings)
        self._client.on_connect = lambda _c, _u, _f, reason, _p: self._answers.append(reason)
        self._client.on_subscribe = lambda _c, _u, _m, reasons, _p: self._answers.extend(reasons)
        self._client.on_publish = lambda _c, _u, _m, reason, _p: self._answers.append(reason)
        self._client.connect_timeout = limit_s

    def connect(self) -> ReasonCode | None:
        """What the broker answers to CONNECT; None if it says nothing."""
        settings = self._settings
        keepalive = math.ceil(self._limit_s)  # it also bounds the handshake of TLS
        self._client.connect(settings.host, settings.port, keepalive=keepalive)
        answers = self._wait(1)
        if not answers or answers[0].is_failure:
            self._client.disconnect()
        return answers[0] if answers else None

    def refusals(self, rights: Rights) -> Iterator[str]:
        """What the broker does not let this client do; it hangs up afterwards."""
        try:
            for name in rights.reads:
                self._client.subscribe(name, qos=1)
                answers = self._wait(1)
                if not answers or answers[0].is_failure:
                    yield f"does not let us read {name}: {answers[0] if answers else 'no answer'}"
            for name in rights.writes:
                self._client.publish(name, b"", qos=1)
                answers = self._wait(1)
                if not answers or answers[0].is_failure:  # Mosquitto 2.0.11 may hang up instead
                    yield f"does not let us publish {name}: {answers[0] if answers else 'it hung up'}"
        finally:
            self._client.disconnect()

    def _wait(self, answers: int) -> list[ReasonCode]:
        """So many answers, or those that came until the limit or the end of the connection."""
        self._answers.clear()
        end = time.monotonic() + self._limit_s
        while len(self._answers) < answers and time.monotonic() < end:
            if self._client.loop(0.1) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        return list(self._answers)
