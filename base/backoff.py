"""Back-off with full jitter: random pauses before the next attempt, so that many clients do not return at once."""

import random

MAX_DOUBLINGS = 30


def full_jitter(rng: random.Random, failures: int, first_s: float, longest_s: float) -> float:
    """Return a pause in seconds, uniform between 0 and ``first_s`` doubled ``failures`` times, at most ``longest_s``.

    "Exponential Backoff and Jitter", Marc Brooker, AWS Architecture Blog, 2015.
    """
    return rng.uniform(0, min(longest_s, first_s * 2.0 ** min(failures, MAX_DOUBLINGS)))
