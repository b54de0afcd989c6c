"""A sequence set detects repeats and needs memory per run of numbers."""

import random

from collector.store.sequence_set import SequenceSet


def test_sequence_numbers_are_kept_as_runs() -> None:
    """In any order, each number is new once, and consecutive numbers become one run."""
    numbers = [*range(200)] * 2
    random.Random(5).shuffle(numbers)
    sequence, seen = SequenceSet(), set()
    for number in numbers:
        assert sequence.add(number) == (number not in seen)
        seen.add(number)
    assert sequence.run_count == 1
    sequence.add(300)
    assert sequence.run_count == 2
