"""Windows -> messages that may leave: fewer than k visits wait until they are k together.

Windows with none wait as long as those with a few, until a quarter of an hour ends. If they left at once, each minute
that is missing would tell that somebody was there.
"""

from collections import Counter
from datetime import datetime, timedelta, timezone

import msgspec
from msgspec import UNSET, UnsetType

from contract.labels import UNKNOWN
from contract.message import LONGEST_WINDOW, Clock, Counts

BELIEF: tuple[Clock, ...] = ("synced", "restamped", "replay", "unsynced")
"""From the clock believed most to the one believed least; of joined windows the least counts."""


EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def may_leave(joined: Counts, latest: Counts, release_s: float) -> bool:
    """Whether a message may be sent: ``joined`` from windows of which ``latest`` is the last.

    At once, if that one alone holds ``k`` visits. At the end of each ``release_s`` seconds of the day (0: now), if all
    together hold none or at least ``k``. With ``k`` = 1 nothing is held back.
    """
    k, total = joined.privacy.k, sum(joined.visits.values())
    if k == 1 or sum(latest.visits.values()) >= k:
        return True
    return (total == 0 or total >= k) and (release_s == 0 or _ends_one(latest, release_s))


def _ends_one(window: Counts, release_s: float) -> bool:
    """Whether a window goes up to, or beyond, the end of a period that began at a multiple of ``release_s``."""
    period = timedelta(seconds=release_s)
    return (window.start - EPOCH) // period < (window.end - EPOCH) // period


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
    if (held.clock == "unsynced") != (later.clock == "unsynced") or end - start > LONGEST_WINDOW:
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
