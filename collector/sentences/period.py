"""What is shown, what it is compared with, and which visits are not included, in words."""

from collections.abc import Sequence

from collector.analysis.label_sets import LabelSet
from collector.language.language import Language
from collector.page.controls.selection import Selection
from collector.sentences.figures import clear_change, names_of_sites


def shown(selection: Selection, language: Language) -> str:
    """Say which sites and period are shown: ``shop-1, 28 March 2026 00:00 to 29 March 2026 00:00 (Europe/Berlin)``."""
    return language.gettext(
        "{sites}, {period} ({zone})",
        sites=names_of_sites(selection.sites, language),
        period=language.days(selection.span, selection.zone),
        zone=selection.zone,
    )


def reference_name(selection: Selection, language: Language) -> str:
    """Name the period or the sites that a selection is compared with."""
    reference = selection.reference()
    if selection.controls.against == "site":
        return names_of_sites(reference.sites, language)
    return language.days(reference.span, reference.zone)


def compared_with(selection: Selection, language: Language) -> str:
    """Say which period is shown, what it is compared with, and by which rule."""
    values = {
        "sites": names_of_sites(selection.sites, language),
        "period": language.days(selection.span, selection.zone),
        "zone": selection.zone,
        "other": reference_name(selection, language),
    }
    if selection.controls.against == "site":
        text = language.gettext("{sites}: {period} ({zone}), compared with {other} in the same period.", **values)
    elif selection.controls.against == "weekdays":
        text = language.gettext("{sites}: {period} ({zone}), compared with {other} (the same weekdays).", **values)
    else:
        text = language.gettext("{sites}: {period} ({zone}), compared with {other}.", **values)
    return f"{text} {clear_change(language)}"


def not_included(sets: Sequence[LabelSet], language: Language) -> str:
    """Say which visits are not included because they have other labels; empty if all are."""
    if len(sets) < 2:
        return ""
    others = "; ".join(set_with_visits(each, language) for each in sets[1:])
    return language.gettext(
        "This period has {number} label sets, which have no common total. Shown: {shown}. Not included: {others}.",
        number=len(sets), shown=set_name(sets[0], language), others=others,
    )  # fmt: skip


def set_name(each: LabelSet, language: Language) -> str:
    """Name a label set by its labels."""
    if each.labels:
        return language.labels(each.labels)
    return language.gettext("label set {name}, without visits in this period", name=each.name)


def set_with_visits(each: LabelSet, language: Language) -> str:
    """Name a label set and its number of visits."""
    return language.gettext(
        "{labels} ({visits} visits)", labels=set_name(each, language), visits=language.number(each.visits)
    )
