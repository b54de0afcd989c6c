"""What was left out of the figures, in words. The reasons are those of the reader, in English."""

from collections.abc import Sequence

from collector.language.language import Language
from collector.store.damage import Damage


def damage_texts(damages: Sequence[Damage], limit: int, language: Language) -> list[str]:
    """Return one text for each damaged file; of more than ``limit`` files, only how many more there are."""
    texts = [_text(each, language) for each in damages[:limit]]
    more = len(damages) - limit
    if more <= 0:
        return texts
    return [*texts, language.ngettext("and {number} more file", "and {number} more files", more)]


def _text(damage: Damage, language: Language) -> str:
    if damage.is_whole_file:
        return language.gettext("{file}: left out: {reason}", file=damage.file, reason=damage.reason)
    return language.ngettext(
        "{file}: {number} row left out: {reason}",
        "{file}: {number} rows left out: {reason}",
        damage.rows,
        file=damage.file,
        reason=damage.reason,
    )
