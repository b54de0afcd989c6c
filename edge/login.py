"""Settings of the broker -> a client that proves who it is, and asks the broker to: password, certificates."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from contract.errors import SettingsError
from edge.settings import PublishSettings

if TYPE_CHECKING:
    import paho.mqtt.client as mqtt


def introduce(client: "mqtt.Client", settings: PublishSettings) -> None:
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


def _encrypt(client: "mqtt.Client", settings: PublishSettings) -> None:
    assert settings.tls is not None
    try:
        client.tls_set(settings.tls.ca, settings.tls.certificate, settings.tls.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SettingsError(f"key 'publish.tls': {error}") from error
