"""TLS options of a connection to a broker: certificate files, and the context loaded from them."""

import ssl

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
    try:
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key)
        if tls.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(tls.ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = ", ".join(file for file in (tls.ca, tls.certificate, tls.key) if file)
        raise SettingsError(f"key '{key}': {files}: {error}") from error
    return context
