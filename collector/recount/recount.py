"""The result of a recount: visits by hand and visits counted in one span of a device, and how far they agree."""

from datetime import datetime

from msgspec import Struct

from base.proportion import wilson


class Agreement(Struct, frozen=True, kw_only=True):
    """Visits counted per visit by hand, with a 95 % interval."""

    ratio: float
    low: float
    high: float


class Recount(Struct, frozen=True, kw_only=True):
    """Two numbers of one span. No tap is kept. Times are UTC."""

    site: str
    device: str
    started: datetime
    """When the session began."""
    start: datetime
    """First start of the windows compared."""
    end: datetime
    """Last end of the windows compared."""
    windows: int
    """Number of windows compared. Time between them, for which no window arrived, is left out."""
    by_hand: int
    counted: int
    compared: datetime
    """When the two were compared."""

    @property
    def key(self) -> tuple[str, str, datetime]:
        """A device has one session at a time, so this identifies the session."""
        return self.site, self.device, self.started

    def ratio_interval(self) -> Agreement | None:
        """Return the ratio of counted visits to visits by hand; None if nobody came by hand."""
        return agreement(self.by_hand, self.counted)


def agreement(by_hand: int, counted: int) -> Agreement | None:
    """Return ``counted / by_hand`` with a 95 % interval; None for ``by_hand`` 0.

    The larger of the two numbers is taken as the visits that could agree, the smaller one as those that do. The
    interval of that proportion is Wilson's score interval (Wilson 1927; recommended for small numbers by Brown, Cai,
    DasGupta 2001, doi:10.1214/ss/1009213286). If more were counted than by hand, the interval is that of the inverse.
    A miss and a double count that cancel each other cannot be seen in two numbers.
    """
    if by_hand == 0:
        return None
    low, high = wilson(min(by_hand, counted), max(by_hand, counted))
    if counted > by_hand:
        low, high = 1 / high, 1 / low
    return Agreement(ratio=counted / by_hand, low=low, high=high)
