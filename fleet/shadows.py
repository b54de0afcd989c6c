"""How classifiers in shadow agree with those that count, over all devices, and whether they may be promoted."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from base.proportion import wilson
from contract.fields import Matrix
from contract.labels import UNKNOWN
from contract.message import Shadow
from fleet.settings import PromotionSettings


class ShareChange(NamedTuple):
    """How the share of a label would change."""

    label: str
    change: float
    """Share of the shadow classifier less that of the active one, -1 to 1."""


class ShadowStatus(Struct, frozen=True, kw_only=True):
    """What the agreement tables of all devices with one pair of bundles say together."""

    active: str
    shadow: str
    devices: int
    """Devices that have sent a table."""
    labels: tuple[str, ...]
    table: Matrix
    """Visits: rows are labels of the active classifier, columns those of the other; ``unknown`` comes last."""
    visits: int
    skipped: int
    agreement: float | None
    """Share of the visits with the same label; ``low`` and ``high`` are its 95 % interval. None without a visit."""
    low: float | None
    high: float | None
    largest_change: ShareChange | None
    """The label whose share would change most."""
    promotion: str
    """``may be promoted``, or why not."""
    failed: dict[str, str]
    """Why it does not run, by device."""


def shadow_statuses(reported: Mapping[str, Shadow], rule: PromotionSettings) -> list[ShadowStatus]:
    """Add up the tables of the devices, by ``SITE/DEVICE``, for each pair of bundles. Labels may differ in order."""
    pairs: dict[tuple[str, str, frozenset[str]], dict[str, Shadow]] = {}
    for identity, shadow in sorted(reported.items()):
        pairs.setdefault((shadow.active, shadow.shadow, frozenset(shadow.labels)), {})[identity] = shadow
    return [_status(of, rule) for _, of in sorted(pairs.items(), key=lambda pair: pair[0][:2])]


def as_lines(found: Iterable[ShadowStatus]) -> list[str]:
    """Return one line for each pair, its table, and the devices on which it does not run."""
    lines = []
    for each in found:
        skipped = f", {each.skipped} skipped" if each.skipped else ""
        head = f"in shadow of {each.active}: {each.shadow or 'unknown bundle'}, {each.devices} devices,"
        lines.append(f"{head} {each.visits} visits compared{skipped}{_agreement(each)}; {each.promotion}")
        lines += _table(each) if each.visits else []
        lines += [f"  {identity}: does not run: {reason}" for identity, reason in each.failed.items()]
    return lines


def _status(tables: Mapping[str, Shadow], rule: PromotionSettings) -> ShadowStatus:
    first = next(iter(tables.values()))
    names = (*first.labels, UNKNOWN)
    table = tuple(tuple(sum(_cell(each, row, column) for each in tables.values()) for column in names) for row in names)
    visits, same = sum(map(sum, table)), sum(table[at][at] for at in range(len(names)))
    low, high = wilson(same, visits) if visits else (None, None)
    changes = [
        ShareChange(name, (sum(row[at] for row in table) - sum(table[at])) / visits)
        for at, name in enumerate(names)
        if visits
    ]
    largest = max(changes, key=lambda each: abs(each.change), default=None)
    return ShadowStatus(
        active=first.active,
        shadow=first.shadow,
        devices=len(tables),
        labels=names,
        table=table,
        visits=visits,
        skipped=sum(each.skipped for each in tables.values()),
        agreement=same / visits if visits else None,
        low=low,
        high=high,
        largest_change=largest,
        promotion=_promotion(visits, low, largest, rule),
        failed={identity: each.failed for identity, each in tables.items() if each.failed is not None},
    )


def _cell(shadow: Shadow, row: str, column: str) -> int:
    """Visits with a pair of labels."""
    names = (*shadow.labels, UNKNOWN)
    return shadow.table[names.index(row)][names.index(column)]


def _promotion(visits: int, low: float | None, largest: ShareChange | None, rule: PromotionSettings) -> str:
    """Whether the rule is met, or why not."""
    if visits < rule.min_visits or low is None or largest is None:
        return f"not yet: {visits} of {rule.min_visits} visits"
    if low < rule.min_agreement:
        return f"not: agreement must be at least {rule.min_agreement:.0%}, may be as low as {low:.0%}"
    if abs(largest.change) > rule.max_share_change:
        limit = f"{100 * rule.max_share_change:g}"
        return f"not: the share of {largest.label} must change by at most {limit} points, changes by {_points(largest)}"
    return "may be promoted"


def _agreement(status: ShadowStatus) -> str:
    if status.agreement is None or status.low is None or status.high is None or status.largest_change is None:
        return ""
    change = f"largest change: {status.largest_change.label} {_points(status.largest_change)} points"
    return f", {status.agreement:.1%} agree ({status.low:.1%} to {status.high:.1%}), {change}"


def _points(change: ShareChange) -> str:
    """A change of a share in percentage points."""
    return f"{100 * change.change:+.1f}"


def _table(status: ShadowStatus) -> list[str]:
    """The table as text: rows are labels that were counted, columns those of the classifier in shadow."""
    rows = [("counted as", *status.labels)]
    rows += [(name, *map(str, row)) for name, row in zip(status.labels, status.table, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
