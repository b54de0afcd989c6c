"""Message catalogues in gettext's format. The messages are in English; each other language has a file ``CODE.po``.

A catalogue is compiled when it is first used, so that a new language needs a file and no build step.
"""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO, StringIO

SOURCE = "en"
"""Language of the messages in the code."""


def mark(text: str) -> str:
    """Return a text unchanged; it marks a message that is translated later, for the tool that collects messages."""
    return text


@cache
def codes() -> tuple[str, ...]:
    """Return the codes of all languages, English first."""
    folder = files("collector.language").joinpath("catalogues")
    names = (each.name for each in folder.iterdir())
    return (SOURCE, *sorted(name.removesuffix(".po") for name in names if name.endswith(".po")))


def check_language(code: str) -> None:
    """Raise ValueError if there is no catalogue for a language."""
    if code not in codes():
        raise ValueError(f"language: must be one of {', '.join(codes())}, is {code!r}")


def source_of(code: str) -> str:
    """Return the text of the catalogue of a language other than English."""
    return files("collector.language").joinpath("catalogues", f"{code}.po").read_text(encoding="utf-8")


@cache
def translations(code: str) -> NullTranslations:
    """Return the messages of a language. A message without a translation stays English."""
    if code == SOURCE:
        return NullTranslations()
    from babel.messages.mofile import write_mo  # noqa: PLC0415 - a page in English does not need it
    from babel.messages.pofile import read_po  # noqa: PLC0415

    compiled = BytesIO()
    write_mo(compiled, read_po(StringIO(source_of(code)), locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)
