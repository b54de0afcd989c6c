"""TLS options of edge and collector are loaded by one function."""

import ssl
from pathlib import Path

import pytest

from base.errors import SettingsError
from base.tls import Tls, tls_context


def test_an_empty_table_verifies_with_the_authorities_of_the_system() -> None:
    """Certificate and host name of the broker are verified by default."""
    context = tls_context(Tls(), "broker.tls")
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("option", ["ca", "certificate"])
@pytest.mark.parametrize("content", [None, b"not PEM\n"])
def test_file_that_cannot_be_loaded_is_named_with_its_key(tmp_path: Path, option: str, content: bytes | None) -> None:
    """A missing file or one that is not PEM raises SettingsError with the key and the path."""
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^key 'broker.tls': {file}: must be .*PEM format: "):
        tls_context(Tls(**{option: str(file)}), "broker.tls")
