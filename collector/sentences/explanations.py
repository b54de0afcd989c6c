"""What the numbers of page and report mean, and how far they can be trusted."""

from collector.language.language import Language


def explanations(language: Language) -> list[str]:
    """Return one paragraph on expressions, one on visits and one on comparisons."""
    return [
        language.gettext(
            "An apparent expression is a model's guess from a face. It does not say what a person feels. The model"
            " confuses some expressions with others. How often it does was measured, and the shares are corrected for"
            " it. Each share has a 90 % interval: about ninety of a hundred such intervals contain the true share. A"
            " change is called clear where random variation alone would show it once in a hundred times. Otherwise it"
            " may be due to the small number of visits or to the model's confusions."
        ),
        language.gettext(
            "A visit is not a person. A person who comes back, or is lost from view and seen again, counts as two"
            " visits. A range such as 41 (38 to 45) appears where the device could not always tell one visit from two:"
            " 41 were counted, and there may have been 38 to 45."
        ),
        language.gettext(
            "Numbers of visits are compared camera by camera at equal watched time, with days as the units, so that a"
            " camera that was off for a day does not look like fewer visitors. Models with different labels have no"
            " common total: only one label set is shown at a time."
        ),
    ]
