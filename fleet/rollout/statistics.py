"""Tell a change of visits from the error of counting."""

import math
from statistics import NormalDist

EXACT_UP_TO = 2000
"""Events in both periods up to which the binomial distribution is summed; beyond, the normal one is as good."""


def rate_differs(now: tuple[int, float], before: tuple[int, float], bounds: tuple[float, float], level: float) -> bool:
    """Whether events come at a rate whose ratio to the rate before lies outside bounds, beyond counting error.

    ``now`` and ``before`` are events and exposure in seconds. Given their sum, the events of now are binomial
    (Przyborowski and Wilenski 1940). ``level`` is the probability of a false alarm at each bound.
    """
    (events, exposure), (past_events, past_exposure) = now, before
    total = events + past_events
    if not total or exposure <= 0 or past_exposure <= 0:
        return False
    low, high = (ratio * exposure / (ratio * exposure + past_exposure) for ratio in bounds)
    return _at_most(events, total, low) < level or _at_most(past_events, total, 1 - high) < level


def share_rises(now: tuple[int, int], before: tuple[int, int], bound: float, level: float) -> bool:
    """Whether a share is larger than before by more than ``bound``, beyond counting error.

    ``now`` and ``before`` are events and trials. Both shares are moved towards a half by one event (Agresti and Caffo
    2000), which keeps the error right with few trials.
    """
    (events, trials), (past_events, past_trials) = now, before
    if not trials or not past_trials:
        return False
    share, past = (events + 1) / (trials + 2), (past_events + 1) / (past_trials + 2)
    error = math.sqrt(share * (1 - share) / (trials + 2) + past * (1 - past) / (past_trials + 2))
    return (share - past - bound) / error > NormalDist().inv_cdf(1 - level)


def _at_most(events: int, trials: int, probability: float) -> float:
    """The probability of at most so many events of a binomial distribution."""
    if trials > EXACT_UP_TO:
        deviation = math.sqrt(trials * probability * (1 - probability))
        return NormalDist().cdf((events + 0.5 - trials * probability) / deviation)
    success, failure = math.log(probability), math.log1p(-probability)
    whole = math.lgamma(trials + 1)
    return sum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * success + (trials - k) * failure)
        for k in range(events + 1)
    )
