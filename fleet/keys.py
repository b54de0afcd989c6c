"""Private keys of the fleet as PEM files that only their owner may read, with or without a passphrase."""

import getpass
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from base.durable_file import replace_file
from base.errors import SettingsError

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey
Passphrase = Callable[[Path], bytes]
"""Returns the passphrase for a key file."""


def ask(path: Path) -> bytes:
    """Ask for the passphrase of a key at the terminal. Raise SettingsError if there is none."""
    if not sys.stdin.isatty():
        raise SettingsError(f"{path}: is encrypted; name a file with its passphrase by --passphrase-file")
    return getpass.getpass(f"Passphrase of {path.name}: ").encode()


def new_certificate_key() -> EllipticCurvePrivateKey:
    """Return a new key for a certificate: P-256, which every TLS library knows."""
    return generate_private_key(SECP256R1())


def pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """Return a key as PKCS #8, encrypted if there is a passphrase."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; its folder is created alike."""
    _make_private_folder(path.parent)
    replace_file(path, content, mode=0o600)


def _make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only."""
    if not folder.is_dir():
        _make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def read_secret_file(path: Path) -> bytes:
    """Return the content of a secret file. Raise SettingsError if it cannot be read or if others may read it."""
    try:
        described = path.stat()
        if described.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.S_IMODE(described.st_mode)
            raise SettingsError(f"{path}: must be for its owner only, is mode {mode:03o}; run: chmod 600 {path}")
        if described.st_uid != os.geteuid() and os.geteuid() != 0:
            raise SettingsError(f"{path}: must belong to the user who runs this command, belongs to another")
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error


def read_certificate_key(path: Path, passphrase: Passphrase = ask) -> EllipticCurvePrivateKey:
    """Load the key of a certificate. Raise SettingsError if it cannot be read or the passphrase is wrong."""
    key = _read_key(path, passphrase)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise SettingsError(f"{path}: must be a key of type EC, is another")
    return key


def read_signing_key(path: Path, passphrase: Passphrase = ask) -> Ed25519PrivateKey:
    """Load the key of a role of the repository. Raise SettingsError as `read_certificate_key`."""
    key = _read_key(path, passphrase)
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: must be a key of type Ed25519, is another")
    return key


def _read_key(path: Path, passphrase: Passphrase) -> PrivateKeyTypes:
    content = read_secret_file(path)
    secret = passphrase(path) if b"ENCRYPTED" in content.partition(b"\n")[0] else None
    try:
        return load_pem_private_key(content, secret)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{path}: the passphrase is wrong, or the file is no private key") from error
