"""Certificates for tests."""

from datetime import datetime
from pathlib import Path

import pytest

trustme = pytest.importorskip("trustme", reason="trustme makes the certificates")


class Authority:
    """A certificate authority, and the files of the certificates that it issues."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._made = folder, trustme.CA()
        self.ca = str(folder / f"{name}-ca.pem")
        self._made.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, not_after: datetime | None = None) -> dict[str, str]:
        """Issue certificate and key of a host or a client, valid until ``not_after`` or for a thousand years."""
        issued = self._made.issue_cert(name, not_after=not_after)
        certificate, key = (str(self._folder / f"{name}.{kind}") for kind in ("pem", "key"))
        Path(certificate).write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return {"certificate": certificate, "key": key}
