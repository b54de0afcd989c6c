"""Windows -> messages that may leave: fewer than k visits wait until they are k together."""

from collections import Counter

import msgspec
from msgspec import UNSET, UnsetType

from contract.labels import UNKNOWN
from contract.message import LONGEST, Clock, Counts

BELIEF: tuple[Clock, ...] = ("synced", "restamped", "replay", "unsynced")
"""From the clock believed most to the one believed least; of joined windows the least counts."""


def may_leave(counts: Counts) -> bool:
    """Whether a message may be sent: it holds no visit at all, or at least ``k``."""
    total = sum(counts.visits.values())
    return total == 0 or total >= counts.privacy.k


def join(held: Counts, later: Counts) -> Counts:
    """A held window and the next one -> one that spans both, under the later one's names.

    The later one may lie before: a device without a battery-backed clock starts in its own past. Visits add up (labels
    that the later bundle has not go to ``unknown``), coverage is weighted by time, so that a time between the two in
    which nobody looked counts as not looked at. Where only one's clock can be believed, or both are further apart than
    any window may be long, there is no such time: the believed, or the later one's, stays, and ``unsynced`` says that
    not all of the visits are of it.
    """
    visits = Counter(later.visits)
    for label, number in held.visits.items():
        visits[label if label in later.visits else UNKNOWN] += number
    start, end = min(held.start, later.start), max(held.end, later.end)
    clock, spans = max(held.clock, later.clock, key=BELIEF.index), [held, later]
    if (held.clock == "unsynced") != (later.clock == "unsynced") or end - start > LONGEST:
        believed = held if later.clock == "unsynced" and held.clock != "unsynced" else later
        clock, spans, start, end = "unsynced", [believed], believed.start, believed.end
    looked = sum(each.coverage * (each.end - each.start).total_seconds() for each in spans)
    return msgspec.structs.replace(
        later,
        start=start,
        end=end,
        clock=clock,
        coverage=round(min(1.0, looked / (end - start).total_seconds()), 4),
        degraded=tuple(dict.fromkeys([*held.degraded, *later.degraded])),
        visits={label: visits[label] for label in later.visits},
        merged=held.merged + later.merged,
        schema=max(held.schema, later.schema),
        doubtful_low=_sum(held.doubtful_low, later.doubtful_low),
        doubtful_high=_sum(held.doubtful_high, later.doubtful_high),
    )


def _sum(held: int | UnsetType, later: int | UnsetType) -> int | UnsetType:
    """The sum of an optional field of two messages; unset if neither has it."""
    numbers = [number for number in (held, later) if number is not UNSET]
    return sum(numbers) if numbers else UNSET
