"""What was left out of the figures, in words."""

from collections.abc import Sequence

from collector.language.catalogue import mark
from collector.language.language import Language
from collector.store.damage import Damage

SYSTEM_ERRORS = (
    mark("Permission denied"), mark("Input/output error"), mark("No such file or directory"), mark("Is a directory"),
)  # fmt: skip
"""The errors of the system that have a translation."""


def damage_texts(damages: Sequence[Damage], limit: int, language: Language) -> list[str]:
    """Return one text for each damaged file; of more than ``limit`` files, only how many more there are."""
    texts = [_text(each, language) for each in damages[:limit]]
    more = len(damages) - limit
    if more <= 0:
        return texts
    return [*texts, language.ngettext("and {number} more file", "and {number} more files", more)]


def _text(damage: Damage, language: Language) -> str:
    if damage.is_whole_file:
        return language.gettext("{file}: left out: {reason}", file=damage.file, reason=_reason(damage, language))
    return language.ngettext(
        "{file}: {number} row left out: {reason}",
        "{file}: {number} rows left out: {reason}",
        damage.rows,
        file=damage.file,
        reason=_reason(damage, language),
    )


def _reason(damage: Damage, language: Language) -> str:
    """Return why something was left out. What other programs say is left as they say it."""
    fault = damage.fault
    if fault is None:
        return language.text(damage.reason)
    values = {name: language.text(value) if name == "reason" else value for name, value in fault.values}
    text = language.gettext(fault.message, **values)
    return language.gettext("line {line}: {reason}", line=fault.line, reason=text) if fault.line else text
