"""Back-off with full jitter stays within its bounds."""

import random

import pytest

from base.backoff import full_jitter


@pytest.mark.parametrize(("failures", "most_s"), [(0, 1.0), (3, 8.0), (5, 20.0), (10_000, 20.0)])
def test_pause_is_uniform_up_to_a_bound_that_doubles(failures: int, most_s: float) -> None:
    """A thousand pauses spread over the whole interval, which doubles with each failure up to the longest pause."""
    rng = random.Random(1)
    pauses = [full_jitter(rng, failures, 1.0, 20.0) for _ in range(1000)]
    assert 0 <= min(pauses) < 0.05 * most_s
    assert 0.95 * most_s < max(pauses) <= most_s
