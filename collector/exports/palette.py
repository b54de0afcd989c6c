"""Colours of the labels, the same on the page and in the chart."""

from collections.abc import Iterable

from contract.labels import EXPRESSIONS, UNKNOWN

OKABE_ITO = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#8C8C8C")
"""Distinguishable with any colour vision (Okabe and Ito 2008), in the order of `EXPRESSIONS`; neutral is grey."""
OTHERS = (*OKABE_ITO[:6], "#7B4FA3", "#A6761D", "#666666")
GREY = "#C4C4C4"


def colours(labels: Iterable[str]) -> dict[str, str]:
    """Return the colour of each label: the shipped expressions have fixed ones, ``unknown`` is grey, others cycle."""
    fixed = dict(zip(EXPRESSIONS, OKABE_ITO, strict=True)) | {UNKNOWN: GREY}
    return {label: fixed.get(label, OTHERS[number % len(OTHERS)]) for number, label in enumerate(labels)}
