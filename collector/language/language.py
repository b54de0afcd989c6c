"""A language: its messages, and how it writes numbers, shares, dates and weekdays."""

import datetime as dt
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from gettext import NullTranslations
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_interval, format_skeleton, format_time, get_day_names
from babel.numbers import format_decimal, format_percent

from base.errors import SettingsError
from collector.language.catalogue import SOURCE, check_language, codes, mark, translations

if TYPE_CHECKING:  # a receiver needs no pandas
    from collector.analysis.intervals import Span

LABELS = (
    mark("anger"), mark("disgust"), mark("fear"), mark("happiness"), mark("sadness"), mark("surprise"), mark("neutral"),
    mark("unknown"),
)  # fmt: skip
"""The labels that have a translation: those of the shipped model."""
DASH = "-"
"""Shown where a value is unknown."""
MINUS = "\N{MINUS SIGN}"
TINY, SMALL = 0.0005, 0.0095
"""Shares between these have one digit more."""
MAX_TEXTS = 4096
"""Numbers whose texts are kept: a chart has the same numbers many times."""
MAX_HEADER = 1000
"""Characters of an ``Accept-Language`` header that are read."""
REGIONS = {SOURCE: "en_GB"}
"""Locale of a language whose code alone would mean another country's dates."""
PERCENT = {SOURCE: "#,##0 %"}
"""Percentages have a space in all languages, as ISO 80000 has it."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language and its locale."""

    code: str
    """Code of its catalogue, such as ``de``."""
    locale: Locale
    messages: NullTranslations

    @property
    def name(self) -> str:
        """Name of the language in itself, such as ``Deutsch``."""
        return str(Locale.parse(self.code).get_language_name() or self.code)

    def gettext(self, message: str, **values: object) -> str:
        """Return a message in this language, with its ``{placeholders}`` replaced."""
        return self.messages.gettext(message).format(**values)

    def text(self, message: str) -> str:
        """Return a message without placeholders in this language; a text that is none, or empty, as it is."""
        return self.messages.gettext(message) if message else ""

    def ngettext(self, one: str, many: str, number: int, **values: object) -> str:
        """Return the form of a message for a number, which is also the value of ``{number}``."""
        return self.messages.ngettext(one, many, number).format(number=self.number(number), **values)

    def label(self, name: str) -> str:
        """Return the name of an expression; labels of other models stay as they are."""
        return self.messages.gettext(name) if name in LABELS else name

    def labels(self, names: tuple[str, ...]) -> str:
        """Return the names of some labels, separated by commas."""
        return ", ".join(map(self.label, names))

    def number(self, value: float, digits: int = 0) -> str:
        """Format ``1234.4`` as ``1,234`` in English, and NaN as nothing."""
        if math.isnan(value):
            return ""
        zeros = "." + "0" * digits if digits else ""
        return _decimal(round(value, digits) + 0.0, f"#,##0{zeros}", self.locale)

    def percent(self, value: float, digits: int = 0) -> str:
        """Format ``0.256`` as ``26 %``, and NaN as a dash. Small values keep a digit: ``0.4 %``."""
        if math.isnan(value):
            return DASH
        pattern = PERCENT.get(self.code) or str(self.locale.percent_formats[None].pattern)
        digits = max(digits, 1 if TINY <= value < SMALL else 0)
        if digits:
            pattern = pattern.replace("#,##0", "0." + "0" * digits)
        return _percent(round(value, 2 + digits), pattern, self.locale)

    def signed(self, value: float, digits: int = 0) -> str:
        """Format ``12.3`` as ``+12``, with a true minus sign, and zero without a sign."""
        rounded = round(value, digits)
        if not rounded:
            return self.number(0, digits)
        return ("+" if rounded > 0 else MINUS) + self.number(abs(rounded), digits)

    def signed_percent(self, change: float) -> str:
        """Format a relative change: ``0.123`` is ``+12 %``; NaN is nothing."""
        if math.isnan(change):
            return ""
        rounded = round(change, 2)
        sign = "" if not rounded else "+" if rounded > 0 else MINUS
        return sign + self.percent(abs(rounded))

    def points(self, change: float) -> str:
        """Format a difference of shares: ``-0.052`` is ``-5.2 points`` with a minus sign; NaN is nothing."""
        if math.isnan(change):
            return ""
        return self.gettext("{number} points", number=self.signed(100 * change, 1))

    def duration(self, length: dt.timedelta) -> str:
        """Say how long something lasts: ``3 h``."""
        seconds = max(int(length.total_seconds()), 0)
        days, hours, minutes = (seconds // size for size in (86_400, 3600, 60))
        if days >= 2:
            return self.gettext("{number} d", number=days)
        if hours >= 2:
            return self.gettext("{number} h", number=hours)
        return self.gettext("{number} min", number=max(minutes, 1))

    def date(self, day: dt.date) -> str:
        """Format a day in full: ``29 March 2026``."""
        return str(format_date(day, "long", self.locale))

    def day_and_month(self, day: dt.date) -> str:
        """Format a day without its year shortly: ``29/03`` in English, ``29.3.`` in German."""
        return str(format_skeleton("Md", day, locale=self.locale))

    def short_date(self, day: dt.date) -> str:
        """Format a day with its year shortly: ``29 Mar 2026`` in English, ``29.03.2026`` in German."""
        return str(format_date(day, "medium", self.locale))

    def clock(self, moment: dt.datetime, width: Literal["short", "medium"] = "short") -> str:
        """Format the time of the day of a local time: ``02:00``; ``medium`` has the seconds."""
        return str(format_time(moment.time(), width, locale=self.locale))

    def moment(self, moment: dt.datetime) -> str:
        """Format a local time: ``29 March 2026 02:00``."""
        return f"{self.date(moment)} {self.clock(moment)}"

    def short_moment(self, moment: dt.datetime) -> str:
        """Format a local time shortly: ``29 Mar 2026 02:00``."""
        return f"{self.short_date(moment)} {self.clock(moment)}"

    def span(self, span: "Span", zone: ZoneInfo) -> str:
        """Say from when to when: ``28 March 2026 00:00 to 29 March 2026 00:00``."""
        first, last = (self.moment(moment.astimezone(zone)) for moment in span)
        return self.gettext("{first} to {last}", first=first, last=last)

    def days(self, span: "Span", zone: ZoneInfo) -> str:
        """Name whole local days shortly, ``23 - 29 Mar 2026``; a span of other length as `span` does."""
        first, past = (moment.astimezone(zone) for moment in span)
        if (first.time(), past.time()) != (dt.time(), dt.time()):
            return self.span(span, zone)
        last = past.date() - dt.timedelta(days=1)
        if last <= first.date():
            return self.date(first)
        return str(format_interval(first.date(), last, "yMMMd", locale=self.locale))

    def weekday(self, number: int, width: str = "wide") -> str:
        """Name a weekday, 0 for Monday; ``abbreviated`` is its short name."""
        return str(get_day_names(width, "stand-alone", self.locale)[number])  # type: ignore[arg-type]


@lru_cache(MAX_TEXTS)
def _decimal(value: float, pattern: str, locale: Locale) -> str:
    return str(format_decimal(value, pattern, locale))


@lru_cache(MAX_TEXTS)
def _percent(value: float, pattern: str, locale: Locale) -> str:
    return str(format_percent(value, pattern, locale))


@cache
def language(code: str) -> Language:
    """Return a language. Raises SettingsError if there is no catalogue for it."""
    try:
        check_language(code)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    return Language(code, Locale.parse(REGIONS.get(code, code)), translations(code))


def english() -> Language:
    """Return the language of the messages."""
    return language(SOURCE)


def chosen_language(code: str | None) -> Language:
    """Return the language that a reader has chosen; English if there is no such catalogue, or none was chosen."""
    return language(code if code is not None and code in codes() else SOURCE)


def requested_language(cookie: str | None, header: str, configured: str | None) -> Language:
    """Return the language of a reader: the one that was chosen (a cookie keeps it), else the configured one, else the
    browser's."""
    chosen = cookie if cookie in codes() else None
    return chosen_language(chosen or configured or accepted_code(header))


def accepted_code(header: str) -> str:
    """Return the first language of an ``Accept-Language`` header that has a catalogue; English if none has."""
    wanted = []
    for number, part in enumerate(header[:MAX_HEADER].split(",")):
        name, _, weight = part.replace(" ", "").partition(";q=")
        try:
            preference = float(weight or 1)
        except ValueError:
            continue
        if preference > 0:
            wanted.append((-preference, number, name.partition("-")[0].lower()))
    return next((code for _, _, code in sorted(wanted) if code in codes()), SOURCE)
