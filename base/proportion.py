"""The interval of a proportion: how far it can be trusted."""

import math

Z_95 = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval of 95 %."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a proportion, 0 to 1, for at least one trial."""
    z2 = Z_95**2
    centre = (successes + z2 / 2) / (trials + z2)
    half = Z_95 * math.sqrt(successes * (trials - successes) / trials + z2 / 4) / (trials + z2)
    low = 0.0 if successes == 0 else centre - half
    return low, 1.0 if successes == trials else centre + half
