"""What the script says each start of the daemon must have counted, and the rows of the CSV -> a verdict.

Nothing here looks into the spool. How many windows a start has finished follows from how many pictures it had asked for
when it was killed; what each holds, from the script.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.faults.scripted_walks import Count, expected, finished

HAPPY = "happiness"
"""The label of the one who smiles; whatever else is said of the other is right."""


@dataclass(frozen=True, slots=True)
class Start:
    """A start of the daemon: its boot id, how many pictures it asked for, whether it saw the end of them, and how many
    finished windows it said it had in memory only, because the disk was full, when it was killed.
    """

    boot: str
    frames: int
    ended: bool = False
    in_memory: int = 0


@dataclass(slots=True)
class Verdict:
    """Of all starts together; everything but ``windows``, ``cut`` and ``dropped`` must be empty or 0."""

    windows: int = 0
    cut: int = 0
    dropped: int = 0
    lost: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the CSV is what the script says."""
        return not (self.lost or self.doubles or self.wrong)


def judge(starts: Iterable[Start], rows: Iterable[Mapping[str, str]]) -> Verdict:
    """Each finished window is one row with the script's counts, and there is no other row."""
    verdict, stored = Verdict(), defaultdict(dict)
    keys: Counter[tuple[str, int]] = Counter()
    for row in rows:
        key = row["boot"], int(row["seq"])
        keys[key] += 1
        stored[key[0]][key[1]] = _count(row)
    verdict.doubles = [f"{boot} {seq}: {times} times" for (boot, seq), times in keys.items() if times > 1]
    for start in starts:
        _judge_start(verdict, start, stored.pop(start.boot, {}))
    verdict.wrong += [f"{boot}: no such start" for boot in stored]
    return verdict


def _judge_start(verdict: Verdict, start: Start, stored: dict[int, Count]) -> None:
    may = finished(start.frames, ended=start.ended)
    verdict.windows += len(stored)
    verdict.cut += not start.ended and start.frames > 0
    verdict.dropped += start.in_memory
    kept = may[0] - start.in_memory
    verdict.lost += [f"{start.boot} {seq} of {kept}" for seq in range(kept) if seq not in stored]
    for seq, count in stored.items():
        if seq >= may[-1] - start.in_memory:
            verdict.wrong.append(f"{start.boot} {seq}: only {may[-1]} are over, {start.in_memory} of them in memory")
        if count != expected(seq):
            verdict.wrong.append(f"{start.boot} {seq}: {count}, the script says {expected(seq)}")


def _count(row: Mapping[str, str]) -> Count:
    """Return the visits of a row: the columns after those that every file has, without doubtful visits."""
    names = list(row)
    labels = [name for name in names[names.index("model_expression") + 1 :] if not name.startswith("doubtful_")]
    visits = {label: int(row[label]) for label in labels}
    return Count(visits[HAPPY], sum(visits.values()) - visits[HAPPY])
