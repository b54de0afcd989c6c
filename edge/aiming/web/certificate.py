"""Make a self-signed certificate for a few hours; its key exists in memory only.

The command line tool ``openssl`` makes it: it is part of Raspberry Pi OS and JetPack, while the package cryptography
would add 15 MB to each device for this one call.
"""

import hashlib
import os
import ssl
import subprocess
from collections.abc import Sequence

from base.errors import FacetallyError

LIMIT_S = 30.0
COMMAND = (
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", "/CN=facetally-aim", "-keyout", "-", "-out", "-",
)  # fmt: skip


def self_signed(addresses: Sequence[str], names: Sequence[str]) -> tuple[ssl.SSLContext, str]:
    """Make a certificate for IP addresses and host names.

    Returns the context of a TLS server with it, and its SHA-256 fingerprint as browsers show it. Raises
    FacetallyError if openssl is missing or fails.
    """
    subjects = ",".join([*(f"IP:{address}" for address in addresses), *(f"DNS:{name}" for name in names)])
    command = [*COMMAND, "-addext", f"subjectAltName={subjects}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=True)
    except FileNotFoundError as error:
        raise FacetallyError("openssl must be installed (apt install openssl)") from error
    except subprocess.CalledProcessError as error:
        raise FacetallyError(f"openssl made no certificate: {error.stderr.decode(errors='replace')[-300:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FacetallyError(f"openssl made no certificate: {error}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, done.stdout)
    text = done.stdout.decode("ascii")
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE-----") :].strip())
    return context, _fingerprint(der)


def _fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate: 32 bytes in hexadecimal, separated by colons."""
    return hashlib.sha256(der).digest().hex(":").upper()


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load key and certificate from a file that exists in memory only: the module ssl takes nothing but paths."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
