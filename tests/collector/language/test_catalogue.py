"""Every message is translated, with the same placeholders; numbers and dates are as each language writes them."""

import subprocess
import sys
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from base.errors import SettingsError
from collector.language.catalogue import codes, source_of
from collector.language.language import accepted_code, english, language
from collector.report.day_chart import tick_step

ROOT = Path(__file__).parents[3]
TRANSLATED = [code for code in codes() if code != "en"]


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The messages of the code and the templates, collected by the command of docs/manager.md."""
    out = tmp_path_factory.mktemp("messages") / "facetally.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "extract"]
    options = ["-F", "pyproject.toml", "-k", "mark", "-o", str(out), "collector"]
    subprocess.run([*command, *options], cwd=ROOT, check=True, capture_output=True)
    return read_po(StringIO(out.read_text()))


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def texts(message: Message, of: str) -> list[str]:
    value: Any = getattr(message, of)
    return list(value) if isinstance(value, (tuple, list)) else [value]


def test_the_messages_are_collected(messages: Catalog) -> None:
    """Code, constants and the template are among them; without them the other tests would prove nothing."""
    known = {each for message in messages for each in texts(message, "id")}
    assert {"clear change", "happiness", "How the numbers were found", "Offline", "{number} windows"} <= known
    assert len(known) > 120


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated(messages: Catalog, code: str) -> None:
    """None is missing, none is left over, all forms of plurals are there, and none is marked as doubtful."""
    catalogue = read_po(StringIO(source_of(code)), locale=code)
    wanted = {str(message.id): message for message in messages if message.id}
    found = {str(message.id): message for message in catalogue if message.id}
    assert sorted(wanted.keys() - found.keys()) == [], "missing"
    assert sorted(found.keys() - wanted.keys()) == [], "no longer used"
    for message in found.values():
        strings = texts(message, "string")
        assert all(strings), message.id
        assert len(strings) == (catalogue.num_plurals if message.pluralizable else 1), message.id
        assert not message.fuzzy, message.id


@pytest.mark.parametrize("code", TRANSLATED)
def test_placeholders_are_those_of_the_message(code: str) -> None:
    """A placeholder that is missing loses a number; one too many would raise. ``{number}`` may be missing for one."""
    for message in read_po(StringIO(source_of(code)), locale=code):
        wanted = {name for text in texts(message, "id") for name in placeholders(text)}
        for text in texts(message, "string"):
            if message.id:
                assert placeholders(text) | ({"number"} if message.pluralizable else set()) == wanted | (
                    {"number"} if message.pluralizable else set()
                ), message.id


def test_numbers_are_written_as_the_language_does() -> None:
    de, en = language("de"), english()
    assert [each.number(1234.56, 1) for each in (en, de)] == ["1,234.6", "1.234,6"]
    assert [each.number(1234567) for each in (en, de)] == ["1,234,567", "1.234.567"]
    assert [each.percent(0.256) for each in (en, de)] == ["26 %", "26\N{NO-BREAK SPACE}%"]
    assert [en.percent(value) for value in (0.004, 0.0001, float("nan"))] == ["0.4 %", "0 %", "-"]
    assert [each.signed_percent(-0.123) for each in (en, de)] == ["−12 %", "−12\N{NO-BREAK SPACE}%"]  # noqa: RUF001
    assert [en.signed_percent(value) for value in (0.123, 0.001, float("nan"))] == ["+12 %", "0 %", ""]
    assert [each.points(-0.052) for each in (en, de)] == ["−5.2 points", "−5,2 Punkte"]  # noqa: RUF001


def test_dates_are_written_as_the_language_does() -> None:
    de, en = language("de"), english()
    assert [each.date(date(2026, 3, 29)) for each in (en, de)] == ["29 March 2026", "29. März 2026"]
    assert [each.day_and_month(date(2026, 3, 29)) for each in (en, de)] == ["29/03", "29.3."]
    assert [each.weekday(0) for each in (en, de)] == ["Monday", "Montag"]
    assert [en.duration(timedelta(hours=each)) for each in (0, 1.5, 3, 96)] == ["1 min", "90 min", "3 h", "4 d"]


def test_a_language_without_a_catalogue_is_named() -> None:
    with pytest.raises(SettingsError, match="must be one of en, de, is 'xx'"):
        language("xx")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("fr,en;q=0.3,de;q=0.7", "de"),
        ("fr", "en"),
        ("fr, de; q=0.8", "de"),
        ("de;q=0", "en"),
        ("", "en"),
        ("de;q=x, en", "en"),
        ("*" * 5000, "en"),
    ],
)
def test_the_browser_asks_for_a_language(header: str, code: str) -> None:
    assert accepted_code(header) == code


def test_only_the_labels_of_the_shipped_model_are_translated() -> None:
    """A label that is called like a message of the page stays what it is."""
    assert language("de").labels(("happiness", "Visits", "unknown")) == "Freude, Visits, unbekannt"


@pytest.mark.parametrize(("top", "step"), [(1, 1), (7, 2), (3473, 1000), (41, 20), (0.5, 1)])
def test_the_scale_of_a_chart_has_round_steps(top: float, step: float) -> None:
    assert tick_step(top) == step
