"""The end of a certificate's validity is read from its file."""

from datetime import datetime, timezone

import pytest

from base.certificate import certificate_end
from base.errors import SettingsError

trustme = pytest.importorskip("trustme", reason="trustme makes the certificates")


@pytest.mark.parametrize("year", [1999, 2049, 2050, 2999])
@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_the_end_is_read_in_both_notations(tmp_path, year, kind):
    """Years up to 2049 have two digits, later ones four (RFC 5280, section 4.1.2.5)."""
    ends = datetime(year, 3, 28, 9, 30, 15, tzinfo=timezone.utc)
    began = datetime(1980, 1, 1, tzinfo=timezone.utc)
    issued = trustme.CA().issue_cert(
        "door.example", not_before=began, not_after=ends, key_type=getattr(trustme.KeyType, kind)
    )
    path = tmp_path / "door.pem"
    path.write_bytes(b"a comment\n" + b"".join(part.bytes() for part in issued.cert_chain_pems))
    assert certificate_end(str(path), "broker.tls.certificate") == ends


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    """No file, no certificate, and every certificate that is cut off."""
    whole = trustme.CA().cert_pem.bytes()
    path = tmp_path / "door.pem"
    for content, reason in (
        (None, "No such file"),
        (b"", "must be a certificate in PEM format: no certificate"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "must be a certificate in PEM format"),
        (whole[:100] + b"\n-----END CERTIFICATE-----\n", "must be a certificate in PEM format"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SettingsError, match=rf"key 'broker.tls.certificate': {path}: {reason}"):
            certificate_end(str(path), "broker.tls.certificate")
