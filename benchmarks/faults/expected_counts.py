"""Compare the rows of the CSV with what each start of the replay daemon must have counted.

The spool is not read. How many windows a start has finished follows from how many images it had opened when it was
killed; what each window holds follows from the scripted walks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.faults.scripted_walks import VisitCounts, expected_counts, finished_windows

HAPPY = "happiness"
"""Label of the smiling person. For the other person every other label is right."""


@dataclass(frozen=True, slots=True)
class DaemonStart:
    """One start of the daemon, from its launch until it ended or was killed."""

    boot: str
    frames: int
    """Images opened."""
    ended: bool = False
    """Whether it reached the last image."""
    in_memory: int = 0
    """Finished windows that were in memory only, because the disk was full, when it was killed. It had logged them."""


@dataclass(slots=True)
class Comparison:
    """The CSV of all starts beside the expected counts. ``lost``, ``duplicates`` and ``wrong`` must be empty."""

    windows: int = 0
    """Rows of known starts."""
    open_windows: int = 0
    """Windows that were still open when the daemon was killed; they are not expected in the CSV."""
    dropped: int = 0
    """Windows that were in memory when the daemon was killed while its disk was full; it had logged them."""
    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the CSV is as expected."""
        return not (self.lost or self.duplicates or self.wrong)


def compare(starts: Iterable[DaemonStart], rows: Iterable[Mapping[str, str]]) -> Comparison:
    """Check that each finished window is one row with the expected counts, and that there is no other row."""
    result = Comparison()
    stored: dict[str, dict[int, VisitCounts]] = defaultdict(dict)
    keys: Counter[tuple[str, int]] = Counter()
    for row in rows:
        boot, seq = row["boot"], int(row["seq"])
        keys[boot, seq] += 1
        stored[boot][seq] = _visits(row)
    result.duplicates = [f"{boot} {seq}: {times} rows" for (boot, seq), times in keys.items() if times > 1]
    for start in starts:
        _compare_start(result, start, stored.pop(start.boot, {}))
    result.wrong += [f"{boot}: unknown boot id" for boot in stored]
    return result


def _compare_start(result: Comparison, start: DaemonStart, stored: Mapping[int, VisitCounts]) -> None:
    finished = finished_windows(start.frames, ended=start.ended)
    result.windows += len(stored)
    result.open_windows += not start.ended and start.frames > 0
    result.dropped += start.in_memory
    least, most = finished[0] - start.in_memory, finished[-1] - start.in_memory
    result.lost += [f"{start.boot} {seq}: missing, of at least {least}" for seq in range(least) if seq not in stored]
    for seq, visits in stored.items():
        if seq >= most:
            result.wrong.append(f"{start.boot} {seq}: at most {most} windows can be on disk")
        if visits != expected_counts(seq):
            result.wrong.append(f"{start.boot} {seq}: {visits}, must be {expected_counts(seq)}")


def _visits(row: Mapping[str, str]) -> VisitCounts:
    """Return the visits of a row: the columns after those that every file has, without doubtful visits."""
    names = list(row)
    labels = [name for name in names[names.index("model_expression") + 1 :] if not name.startswith("doubtful_")]
    visits = {label: int(row[label]) for label in labels}
    return VisitCounts(visits[HAPPY], sum(visits.values()) - visits[HAPPY])
