"""The fleet's certificate authority: certificates of servers, programs and devices, and the list of revoked ones."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from base.errors import SettingsError

MAX_IDENTITY = 64
"""Longest common name, characters (X.520, ub-common-name)."""
BACKDATED = timedelta(days=1)
"""Certificates are valid from a day before they are made: the clocks of devices and servers differ."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that is no longer accepted."""

    serial: int
    identity: str
    time: datetime
    """When it was revoked, UTC."""


def parse_certificate(certificate: bytes, where: str) -> x509.Certificate:
    """Parse a PEM certificate. Raise SettingsError, which names ``where``, if it is not one."""
    try:
        return x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise SettingsError(f"{where}: must be a certificate in PEM: {error}") from error


@dataclass(frozen=True, slots=True)
class Authority:
    """The key of the authority and its certificate."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, key: EllipticCurvePrivateKey, name: str, days: int, now: datetime) -> "Authority":
        """Return a new authority; it can issue certificates, and no other authority."""
        subject = _name(name)
        usage = _usage(key_cert_sign=True, crl_sign=True)
        made = (
            _builder(subject, subject, key.public_key(), days, now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, SHA256())
        )
        return cls(key, made)

    def server(self, public_key: EllipticCurvePublicKey, hosts: Iterable[str], days: int, now: datetime) -> bytes:
        """Issue the certificate of a server with these host names or IP addresses, PEM."""
        names = list(hosts)
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        builder = self._leaf(public_key, names[0][:MAX_IDENTITY], days, now, ExtendedKeyUsageOID.SERVER_AUTH)
        return self._signed(builder.add_extension(alternatives, critical=False))

    def client(self, public_key: EllipticCurvePublicKey, identity: str, days: int, now: datetime) -> bytes:
        """Issue the certificate of a device or program, PEM; broker and web server know it by ``identity``."""
        return self._signed(self._leaf(public_key, identity, days, now, ExtendedKeyUsageOID.CLIENT_AUTH))

    def revocation_list(self, revoked: Iterable[Revoked], now: datetime) -> bytes:
        """Return the signed list of revoked certificates, PEM.

        It is valid as long as the authority: a list that expires would shut out all devices at once, and both servers
        that read it are the operator's.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - BACKDATED)
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(self._key_identifier(), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(each.time)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)

    def _leaf(
        self, public_key: EllipticCurvePublicKey, name: str, days: int, now: datetime, use: x509.ObjectIdentifier
    ) -> x509.CertificateBuilder:
        return (
            _builder(_name(name), self.certificate.subject, public_key, days, now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM)

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: EllipticCurvePublicKey, days: int, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
