"""Count what the windows of a device add up to, for counters that never go down."""

from msgspec import UNSET, Struct

from contract.message import Counts

MAX_COUNTED_LABELS = 64
"""Labels of a device that are counted by name. Invented labels then cannot fill the memory of a monitoring system."""
OTHER = "other_labels"
"""Name under which the visits of further labels are counted together."""


class StoredTotals(Struct, frozen=True, kw_only=True):
    """Sums over the windows of a device that one collector has stored since it knows the device."""

    windows: int = 0
    """Number of windows."""
    window_s: float = 0.0
    """Their length, seconds."""
    watched_s: float = 0.0
    """Time in which the camera was watched, seconds: length times coverage."""
    visits: dict[str, int] = {}
    """Visits by label."""
    doubtful_low: int = 0
    """Visits that may be none."""
    doubtful_high: int = 0
    """Visits that may be two."""

    def plus(self, counts: Counts) -> "StoredTotals":
        """Return the sums with one more window."""
        length_s = (counts.end - counts.start).total_seconds()
        visits = self.visits.copy()
        if counts.visits.keys() <= visits.keys():
            for label, number in counts.visits.items():
                if number:
                    visits[label] += number
        else:
            for label, number in counts.visits.items():
                name = label if label in visits or len(visits) < MAX_COUNTED_LABELS else OTHER
                visits[name] = visits.get(name, 0) + number
        return StoredTotals(
            windows=self.windows + 1,
            window_s=self.window_s + length_s,
            watched_s=self.watched_s + length_s * counts.coverage,
            visits=visits,
            doubtful_low=self.doubtful_low + (0 if counts.doubtful_low is UNSET else counts.doubtful_low),
            doubtful_high=self.doubtful_high + (0 if counts.doubtful_high is UNSET else counts.doubtful_high),
        )

    def merged(self, other: "StoredTotals") -> "StoredTotals":
        """Return the sums of the windows of two collectors."""
        names = [*self.visits, *(name for name in other.visits if name not in self.visits)]
        return StoredTotals(
            windows=self.windows + other.windows,
            window_s=self.window_s + other.window_s,
            watched_s=self.watched_s + other.watched_s,
            visits={name: self.visits.get(name, 0) + other.visits.get(name, 0) for name in names},
            doubtful_low=self.doubtful_low + other.doubtful_low,
            doubtful_high=self.doubtful_high + other.doubtful_high,
        )
