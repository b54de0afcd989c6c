"""TLS options of a connection to a broker: certificate files, and the context loaded from them."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from base.errors import SettingsError
from base.toml_settings import Table, Text


class Tls(Table, frozen=True, kw_only=True):
    """Paths of PEM files. An empty table encrypts with the system's authorities and without a client certificate."""

    ca: Text | None = None
    """Certificate of the authority that signed the broker's; the system's authorities unless set."""
    certificate: Text | None = None
    """The client's own certificate, for brokers that require one."""
    key: Text | None = None
    """Private key of the client's certificate."""


def tls_context(tls: Tls, key: str) -> ssl.SSLContext:
    """Load certificates into a client context that verifies certificate and host name of the server.

    ``key`` is the configuration key of the table. Raise SettingsError, which names it, if a file cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.certificate is not None:
        own = ", ".join(file for file in (tls.certificate, tls.key) if file)
        with _named(key, own, "a certificate and its private key, in PEM format"):
            context.load_cert_chain(tls.certificate, tls.key)
    if tls.ca is None:
        context.load_default_certs()
    else:
        with _named(key, tls.ca, "certificates of authorities, in PEM format"):
            context.load_verify_locations(tls.ca)
    return context


@contextmanager
def _named(key: str, files: str, allowed: str) -> Iterator[None]:
    """Raise SettingsError, which says what the files must be, if they cannot be loaded."""
    try:
        yield
    except ssl.SSLError as error:  # an OSError without a text of the system
        raise SettingsError(f"key '{key}': {files}: must be {allowed}: {error.reason or error}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"key '{key}': {files}: must be {allowed}: {reason}") from error
