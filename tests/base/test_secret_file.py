"""Passwords and tokens are read from files."""

from pathlib import Path

import pytest

from base.errors import SettingsError
from base.secret_file import read_secret


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"word\n", "word"), (b"word", "word"), (b" word \r\n", "word"), (b"\nword\nnotes\n", "word"), (b"", "")],
)
def test_secret_is_the_first_line_that_is_not_blank(tmp_path: Path, content: bytes, secret: str) -> None:
    """Line endings, surrounding blanks and further lines do not belong to the secret."""
    file = tmp_path / "password"
    file.write_bytes(content)
    assert read_secret(str(file), "broker.password_file") == secret


def test_file_that_cannot_be_read_is_named_with_its_key(tmp_path: Path) -> None:
    """The error names key and file, never the content."""
    missing, binary = tmp_path / "none", tmp_path / "binary"
    binary.write_bytes(b"hush\xff")
    with pytest.raises(
        SettingsError, match=rf"^key 'broker.password_file': {missing}: must be a file that can be read: No such file"
    ):
        read_secret(str(missing), "broker.password_file")
    with pytest.raises(SettingsError, match=rf"^key 'api.token_file': {binary}: must be UTF-8 text") as error:
        read_secret(str(binary), "api.token_file")
    assert "hush" not in str(error.value)
