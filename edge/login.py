"""Settings of the broker -> a client that proves who it is, and asks the broker to: password, certificates;
and whether it is let in.
"""

import math
import ssl
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from contract.errors import FacetallyError, SettingsError
from edge.settings import PublishSettings


def introduce(client: mqtt.Client, settings: PublishSettings) -> None:
    """Give the client its name, password and certificates; SettingsError for a file that cannot be read."""
    if settings.username is not None:
        client.username_pw_set(settings.username, _password(settings))
    if settings.tls is not None:
        _encrypt(client, settings)


def _password(settings: PublishSettings) -> str | None:
    if settings.password_file is None:
        return None
    try:
        return Path(settings.password_file).read_text().strip()
    except OSError as error:
        raise SettingsError(f"key 'publish.password_file': {settings.password_file}: {error.strerror}") from error


def _encrypt(client: mqtt.Client, settings: PublishSettings) -> None:
    assert settings.tls is not None
    try:
        client.tls_set(settings.tls.ca, settings.tls.certificate, settings.tls.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SettingsError(f"key 'publish.tls': {error}") from error


def answered(settings: PublishSettings, client_id: str, limit_s: float) -> str:
    """The version of MQTT in which the broker lets such a client in, within so many seconds for each; FacetallyError or
    OSError, which say why it does not.
    """
    for protocol, name in ((MQTTProtocolVersion.MQTTv5, "5"), (MQTTProtocolVersion.MQTTv311, "3.1.1")):
        reason = _asked(settings, client_id, protocol, limit_s)
        if reason is not None and not reason.is_failure:
            return name
        if reason is not None and str(reason) != "Unsupported protocol version":
            raise FacetallyError(f"{settings.host}:{settings.port} refuses: {reason}")
    raise FacetallyError(
        f"{settings.host}:{settings.port} gives no answer in MQTT; it may want tls, or a certificate of ours"
    )


def _asked(
    settings: PublishSettings, client_id: str, protocol: MQTTProtocolVersion, limit_s: float
) -> ReasonCode | None:
    """What the broker answers to a client that connects and hangs up at once; None if it says nothing."""
    answers: list[ReasonCode] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=protocol)
    introduce(client, settings)
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(reason)
    client.connect_timeout = limit_s
    client.connect(settings.host, settings.port, keepalive=math.ceil(limit_s))  # it also bounds the handshake of TLS
    end = time.monotonic() + limit_s
    while not answers and time.monotonic() < end and client.loop(0.1) == MQTTErrorCode.MQTT_ERR_SUCCESS:
        pass
    client.disconnect()
    return answers[0] if answers else None
