"""The agreement table of two classifiers: kept over restarts, published under the k rule, once an hour at most.

Visits wait until an hour ends and at least ``k`` of them have been compared. What waits is kept on disk too, so that a
small shop reaches ``k``. A power cut loses the comparisons of an hour and none of the counts.
"""

import logging
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from base.logs import line
from contract.fields import Matrix
from contract.labels import UNKNOWN
from contract.message import Shadow
from edge.delivery.spool import Spool
from edge.errors import SpoolError
from edge.shadow.compared import Compared

log = logging.getLogger(__name__)
RELEASE_S = 3600.0
"""Shortest time between two changes of the published table, seconds. Counts change four times an hour."""


class Kept(Struct, frozen=True):
    """What is kept over restarts."""

    published: Shadow
    """The last message."""
    waiting: Matrix
    """Compared visits that are not published yet, as `contract.message.Shadow.table`."""
    skipped: int
    """Skipped visits that are not published yet."""


class AgreementTable:
    """The table of one pair of bundles. ``empty`` is its message before the first visit; its boot begins a new table.

    A kept table goes on if it is of the same bundles and the same ``k``.
    """

    def __init__(self, empty: Shadow, spool: Spool, now_s: float) -> None:
        self._released_s, self._spool = now_s, spool
        self._kept = self._read(empty)

    @property
    def message(self) -> Shadow:
        """The table as it is published now."""
        return self._kept.published

    def update(self, compared: Compared, failed: str | None, now_s: float) -> Shadow:
        """Add what was compared; return the message to publish. ``now_s`` is the monotonic clock, seconds.

        Fewer than ``k`` compared visits wait; so do fewer than ``k`` skipped ones. With ``k`` = 1 nothing waits.
        """
        before = self._kept
        kept = Kept(
            replace(before.published, failed=failed),
            _plus(before.waiting, _matrix(compared, before.published.labels)),
            before.skipped + compared.skipped,
        )
        if before.published.privacy.k == 1 or now_s - self._released_s >= RELEASE_S:
            self._released_s = now_s
            self._kept = _released(kept)
            self.save()
        else:
            self._kept = kept
        return self._kept.published

    def save(self) -> None:
        """Keep the table on disk. A failure is no error: the next call keeps all of it.

        A table without a shadow bundle does not replace one, which may go on. It is kept where there is none, so that
        the published message is removed once the comparison is switched off.
        """
        try:
            if not self._kept.published.shadow and self._spool.agreement() is not None:
                return
            self._spool.keep_agreement(msgspec.json.encode(self._kept))
        except SpoolError as error:
            log.debug(line("agreement_not_kept", reason=error))

    def _read(self, empty: Shadow) -> Kept:
        """Read the kept table; begin another one if there is none of these bundles."""
        size = len(empty.labels) + 1
        new = Kept(empty, ((0,) * size,) * size, 0)
        try:
            payload = self._spool.agreement()
            kept = msgspec.json.decode(payload, type=Kept) if payload else new
        except (SpoolError, msgspec.DecodeError, ValueError) as error:
            log.warning(line("agreement_unreadable", reason=error))
            return new
        published = kept.published
        same = (published.active, published.shadow, published.labels, published.privacy)
        if same != (empty.active, empty.shadow, empty.labels, empty.privacy) or len(kept.waiting) != size:
            return new
        return Kept(replace(published, fraction=empty.fraction, failed=None), kept.waiting, kept.skipped)


def _released(kept: Kept) -> Kept:
    """Move what waits to the published table, as far as it may be published."""
    published, waiting, skipped = kept.published, kept.waiting, kept.skipped
    k, visits = published.privacy.k, sum(map(sum, kept.waiting))
    table = published.table
    if visits >= k:
        table, waiting = _plus(table, waiting), tuple((0,) * len(row) for row in waiting)
    if skipped >= k:
        published, skipped = replace(published, skipped=published.skipped + skipped), 0
    if (table, published.skipped) != (kept.published.table, kept.published.skipped):
        published = replace(published, table=table, seq=published.seq + 1)
    return Kept(published, waiting, skipped)


def _matrix(compared: Compared, labels: Sequence[str]) -> Matrix:
    """Compared visits as a matrix: rows are active labels, columns shadow labels."""
    names = (*labels, UNKNOWN)
    return tuple(tuple(compared.pairs[active, shadow] for shadow in names) for active in names)


def _plus(one: Matrix, other: Matrix) -> Matrix:
    return tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in zip(one, other, strict=True))
