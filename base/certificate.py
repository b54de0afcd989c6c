"""Read the end of an X.509 certificate's validity. Python's own reader is private, and a device has no other."""

import re
import ssl
from datetime import datetime, timezone
from pathlib import Path

from base.broker_settings import BrokerOptions
from base.errors import SettingsError

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
EXPLICIT_VERSION, UTC_TIME, GENERALIZED_TIME = 0xA0, 0x17, 0x18
"""Tags of ASN.1 (RFC 5280, section 4.1)."""
FIELDS_BEFORE_VALIDITY = 3
"""Serial number, signature algorithm and issuer."""


def certificate_end(path: str, key: str) -> datetime:
    """End of the validity of the first certificate in a PEM file, UTC.

    ``key`` is the configuration key that names the file. Raise SettingsError, which names both, if the file cannot be
    read or holds no certificate.
    """
    try:
        found = PEM.search(Path(path).read_bytes())
        if found is None:
            raise ValueError("no certificate in PEM format")
        return _end(ssl.PEM_cert_to_DER_cert(found.group().decode("ascii")))
    except OSError as error:
        raise SettingsError(f"key '{key}': {path}: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise SettingsError(f"key '{key}': {path}: must be a certificate in PEM format: {error}") from error


def device_certificate_end(broker: BrokerOptions) -> datetime | None:
    """End of the validity of the certificate with which a device logs in; None without one, as `certificate_end`."""
    if broker.tls is None or broker.tls.certificate is None:
        return None
    return certificate_end(broker.tls.certificate, "broker.tls.certificate")


def parse_end(text: str) -> datetime:
    """Convert ``notAfter`` of `ssl.SSLSocket.getpeercert` to UTC."""
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), timezone.utc)


def _end(der: bytes) -> datetime:
    """``notAfter`` of a certificate in DER. Raise ValueError or IndexError if it is damaged."""
    _, at, _ = _element(der, 0)  # Certificate
    _, at, _ = _element(der, at)  # TBSCertificate
    tag, _, end = _element(der, at)
    if tag == EXPLICIT_VERSION:
        at = end
    for _ in range(FIELDS_BEFORE_VALIDITY):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)  # Validity
    _, _, at = _element(der, at)  # notBefore
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag == UTC_TIME:  # two digits of the year: 1950 to 2049
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError(f"its end has ASN.1 tag {tag:#x}")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag of the ASN.1 element at a position, and begin and end of its content."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length, start = int.from_bytes(der[start : start + octets], "big"), start + octets
    if start + length > len(der):
        raise ValueError("it is cut off")
    return tag, start, start + length
