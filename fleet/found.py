"""Found a fleet: keys, certificate authority, certificates of the servers, and an empty release repository."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import DNSName, IPAddress, SubjectAlternativeName

from base.durable_file import replace_file
from fleet.enrolment.authority import Authority, parse_certificate
from fleet.enrolment.configuration import common_layer
from fleet.enrolment.enrol import Issuer, write_revocation_list
from fleet.enrolment.inventory import write_inventory, write_revoked
from fleet.errors import Refused
from fleet.folder import GITIGNORE, Folder
from fleet.keys import Passphrase, new_certificate_key, pem, read_certificate_key, read_signing_key, write_secret
from fleet.publication.repository import OFFLINE, ROLES, Repository
from fleet.settings import SAMPLE, Settings, read_settings

SERVERS, PROGRAMS = ("broker", "web"), ("operator", "status", "collector")
"""Certificates that a fleet has besides those of devices."""


@dataclass(frozen=True, slots=True)
class Open:
    """An existing fleet with all that commands need; keys are read when they are used."""

    folder: Folder
    settings: Settings
    passphrase: Passphrase
    now: datetime

    @classmethod
    def read(cls, folder: Folder, passphrase: Passphrase, now: datetime) -> "Open":
        """Read the settings of a fleet. Raise Refused if there is none, and SettingsError if they are wrong."""
        folder.check()
        return cls(folder, read_settings(folder.root), passphrase, now)

    @property
    def repository(self) -> Repository:
        """The release repository."""
        return Repository(self.folder.repository, self._role_key(), self.settings.repository, self.now)

    @property
    def issuer(self) -> Issuer:
        """The authority, with its key. Raise SettingsError if that cannot be read."""
        path = self.folder.certificate("ca")
        key = read_certificate_key(self.folder.offline / "authority.pem", self.passphrase)
        authority = Authority(key, parse_certificate(path.read_bytes(), str(path)))
        return Issuer(self.folder, authority, self.settings.certificates.device_days, self.now)

    def _role_key(self) -> Callable[[str], Ed25519PrivateKey]:
        """Return a function that reads the key of a role, each file once."""
        known: dict[str, Ed25519PrivateKey] = {}

        def key(role: str) -> Ed25519PrivateKey:
            if role not in known:
                known[role] = read_signing_key(_role_file(self.folder, role), self.passphrase)
            return known[role]

        return key


def found(folder: Folder, url: str, broker: str, passphrase: bytes | None, now: datetime) -> Open:
    """Make a new fleet. Raise Refused if there is one.

    ``passphrase`` encrypts the offline keys. ``fleet.toml`` is written last: an interrupted command is repeated.
    """
    root = folder.root
    if (root / "fleet.toml").exists():
        raise Refused(f"{root}: must not be the folder of a fleet yet, is one")
    for path in (root, folder.secrets, folder.offline):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.secrets.chmod(0o700)
    replace_file(root / ".gitignore", GITIGNORE.encode())
    for role in ROLES:
        write_secret(
            _role_file(folder, role), pem(Ed25519PrivateKey.generate(), passphrase if role in OFFLINE else None)
        )
    authority_key = new_certificate_key()
    write_secret(folder.offline / "authority.pem", pem(authority_key, passphrase))
    (folder.configuration / "groups").mkdir(parents=True, exist_ok=True)
    replace_file(folder.configuration / "common.toml", common_layer(broker).encode())
    write_inventory(folder.inventory, {})
    write_revoked(folder.revoked, [])
    draft = root / "fleet.toml.tmp"
    replace_file(draft, SAMPLE.format(url=url, broker=broker).encode())
    made = Open(folder, read_settings(root, draft.name), lambda _path: passphrase or b"", now)
    _issue_first(made, authority_key, {"broker": broker, "web": urlsplit(url).hostname or broker})
    made.repository.create()
    draft.replace(root / "fleet.toml")
    return made


def renew_servers(fleet: Open) -> None:
    """Renew the certificates of servers and programs for the keys and names that they have."""
    issuer = fleet.issuer
    for name in (*SERVERS, *PROGRAMS):
        path = fleet.folder.certificate(name)
        before = parse_certificate(path.read_bytes(), str(path))
        key = before.public_key()
        assert isinstance(key, EllipticCurvePublicKey)
        if name in PROGRAMS:
            issued = issuer.authority.client(key, name, issuer.days, fleet.now)
        else:
            names = before.extensions.get_extension_for_class(SubjectAlternativeName).value
            hosts = [*names.get_values_for_type(DNSName), *map(str, names.get_values_for_type(IPAddress))]
            issued = issuer.authority.server(key, hosts, fleet.settings.certificates.server_days, fleet.now)
        replace_file(path, issued)


def _issue_first(fleet: Open, authority_key: EllipticCurvePrivateKey, hosts: dict[str, str]) -> None:
    """Write the certificates of authority, servers and programs, and an empty list of revoked ones."""
    folder, certificates = fleet.folder, fleet.settings.certificates
    authority = Authority.create(authority_key, "facetally fleet", certificates.authority_days, fleet.now)
    folder.certificate("ca").parent.mkdir(exist_ok=True)
    replace_file(folder.certificate("ca"), authority.certificate.public_bytes(Encoding.PEM))
    for name in (*SERVERS, *PROGRAMS):
        key = new_certificate_key()
        write_secret(folder.key(name), pem(key))
        public = key.public_key()
        if name in SERVERS:
            issued = authority.server(public, [hosts[name]], certificates.server_days, fleet.now)
        else:
            issued = authority.client(public, name, certificates.device_days, fleet.now)
        replace_file(folder.certificate(name), issued)
    write_revocation_list(Issuer(folder, authority, certificates.device_days, fleet.now), [])


def _role_file(folder: Folder, role: str) -> Path:
    return (folder.offline if role in OFFLINE else folder.secrets) / f"{role}.pem"
