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


def test_runs_are_added_like_their_numbers() -> None:
    """A run that touches, overlaps or spans other runs gives the same set as its numbers one by one."""
    rng = random.Random(7)
    for _ in range(300):
        runs, singly = SequenceSet(), SequenceSet()
        for _ in range(rng.randrange(1, 9)):
            first = rng.randrange(40)
            last = first + rng.randrange(9)
            runs.add_run(first, last)
            for number in range(first, last + 1):
                singly.add(number)
        assert list(runs) == list(singly)
