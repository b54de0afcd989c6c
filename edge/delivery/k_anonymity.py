"""k-anonymity: windows with fewer than k visits are joined until they hold k together.

Empty windows wait as long as those with a few visits, until a release period (a quarter of an hour) ends. If they left
at once, each missing minute would reveal that somebody was there.
"""

from collections import Counter
from datetime import datetime, timedelta, timezone

import msgspec
from msgspec import UNSET, UnsetType

from contract.fields import LONGEST_WINDOW, Clock
from contract.labels import UNKNOWN
from contract.message import Counts

CLOCKS: tuple[Clock, ...] = ("synced", "restamped", "replay", "unsynced")
"""From the most to the least trusted; joined windows have the least trusted clock of both."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def may_leave(joined: Counts, latest: Counts, release_s: float) -> bool:
    """Whether ``joined``, made of windows of which ``latest`` is the last, may be sent.

    It may if ``latest`` alone holds ``k`` visits, or if a release period of ``release_s`` seconds ends and the joined
    windows hold none or at least ``k``. With ``release_s`` = 0 every window ends a period. With ``k`` = 1 nothing is
    held back.
    """
    k, total = joined.privacy.k, sum(joined.visits.values())
    if k == 1 or sum(latest.visits.values()) >= k:
        return True
    return (total == 0 or total >= k) and (release_s == 0 or _ends_period(latest, release_s))


def _ends_period(window: Counts, release_s: float) -> bool:
    """Whether a window reaches the next multiple of ``release_s`` seconds."""
    period = timedelta(seconds=release_s)
    return (window.start - EPOCH) // period < (window.end - EPOCH) // period


def join(held: Counts, later: Counts) -> Counts:
    """Join a held window and the next one into one window that spans both, with the device and model of the later one.

    Visits add up; labels that the later bundle does not have go to ``unknown``. Coverage is weighted by time, so the
    time between the two counts as not covered. ``later`` may lie before ``held``: without a battery-backed clock a
    device starts in the past.

    Where only one of the clocks can be trusted, or the two are further apart than the longest window, no span covers
    both. The time of the trusted one, else of the later one, is kept, and ``unsynced`` marks that not all visits belong
    to it.
    """
    visits = Counter(later.visits)
    for label, number in held.visits.items():
        visits[label if label in later.visits else UNKNOWN] += number
    start, end = min(held.start, later.start), max(held.end, later.end)
    clock, spans = max(held.clock, later.clock, key=CLOCKS.index), [held, later]
    if (held.clock == "unsynced") != (later.clock == "unsynced") or end - start > LONGEST_WINDOW:
        trusted = held if later.clock == "unsynced" and held.clock != "unsynced" else later
        clock, spans, start, end = "unsynced", [trusted], trusted.start, trusted.end
    covered_s = sum(each.coverage * (each.end - each.start).total_seconds() for each in spans)
    return msgspec.structs.replace(
        later,
        start=start,
        end=end,
        clock=clock,
        coverage=round(min(1.0, covered_s / (end - start).total_seconds()), 4),
        degraded=tuple(dict.fromkeys([*held.degraded, *later.degraded])),
        visits={label: visits[label] for label in later.visits},
        merged=held.merged + later.merged,
        schema=max(held.schema, later.schema),
        doubtful_low=_sum(held.doubtful_low, later.doubtful_low),
        doubtful_high=_sum(held.doubtful_high, later.doubtful_high),
    )


def _sum(held: int | UnsetType, later: int | UnsetType) -> int | UnsetType:
    """The sum of an optional field; unset if neither message has it."""
    numbers = [number for number in (held, later) if number is not UNSET]
    return sum(numbers) if numbers else UNSET
