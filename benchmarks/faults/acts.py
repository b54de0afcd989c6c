"""What comes after the storm: an orderly end, everything away for a while and back, and a disk that stays full."""

import signal
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.faults import live, oracle, parts, script
from benchmarks.faults.asked import Asked
from benchmarks.faults.live import Live
from benchmarks.faults.oracle import Start, Verdict
from benchmarks.faults.parts import Part
from benchmarks.faults.plant import CLOSING, Plant, pictures
from edge.pipeline import MAX_BUFFERED_WINDOWS

PATIENCE_S = 120.0
FULL_FRAMES = MAX_BUFFERED_WINDOWS + 400
FULL_FROM, FULL_UNTIL = 50, FULL_FRAMES - 200


@dataclass(frozen=True, slots=True)
class Back:
    """Seconds from the return of broker and camera, None for never."""

    row_s: float | None
    """To the first new row in the CSV."""
    camera_s: float | None
    """To the first frame counted."""
    whole_s: float | None
    """Until the rows of the live daemon have no gap in ``seq``."""


@dataclass(frozen=True, slots=True)
class Full:
    """Windows that ended in the act of the full disk, rows of it, drops that the daemon told, and whether the rows
    that are missing are those: as many, side by side, and no other.
    """

    windows: int
    rows: int
    told: int
    exact: bool


def close(plant: Plant) -> None:
    """Kill ``door`` once more; then it counts a few pictures to their end, and so sends all that its spool holds."""
    plant.end_door()
    folder = plant.folder / "closing"
    script.repeat(plant.folder / "loop", folder, CLOSING)
    plant.starts.append(_to_the_end(plant, folder, script.FPS, None))


def settle(plant: Plant) -> Verdict:
    """Wait until the CSV is what the oracle says, or for so long that it will not be."""
    end = time.monotonic() + PATIENCE_S
    while True:
        rows = [row for row in parts.rows(plant.folder) if row["device"] == parts.DOOR]
        verdict = oracle.judge(plant.starts, rows)
        if not verdict.lost or time.monotonic() > end:
            return verdict
        time.sleep(0.5)


def away(plant: Plant, seconds: float) -> Back:
    """Broker and camera away together; both back: how soon rows come, and frames."""
    plant.broker.end()
    plant.camera.lose()
    time.sleep(seconds)
    before, since = len(list(parts.rows(plant.folder))), time.monotonic()
    plant.broker.start()
    plant.camera.give()
    row_s = camera_s = None
    while (row_s is None or camera_s is None) and time.monotonic() - since < PATIENCE_S:
        time.sleep(0.1)
        if row_s is None and len(list(parts.rows(plant.folder))) > before:
            row_s = time.monotonic() - since
        camera_s = live.camera_back_s(plant.pane.log, plant.camera.lost[-1][1])
    return Back(row_s, camera_s, whole_s(plant, since))


def whole_s(plant: Plant, since: float, waiting: Collection[int] = ()) -> float | None:
    """Wait until the live daemon's rows have no gap in ``seq`` and hold ``waiting`` -> seconds since then (monotonic);
    None after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while live.missing([int(row["seq"]) for row in pane_rows(plant)], waiting):
        if time.monotonic() > end:
            return None
        time.sleep(0.1)
    return time.monotonic() - since


def pane_rows(plant: Plant) -> list[dict[str, str]]:
    """The rows of the live daemon."""
    return [row for row in parts.rows(plant.folder) if row["device"] == parts.PANE]


def end_pane(plant: Plant) -> Live:
    """Stop the live daemon in order when all it sent is stored, wait for the rest, and judge what it counted.

    Its spool is looked into after its end, only to tell a late window from a lost one.
    """
    whole_s(plant, time.monotonic())
    plant.pane.end(signal.SIGTERM)
    word = parts.said(plant.pane.log)
    left = parts.waiting(plant.folder / "pane.sqlite", word.boot) if word.unsent else frozenset()
    whole_s(plant, time.monotonic(), left)
    seen = live.frames(plant.folder / "frames")
    return live.judge(pane_rows(plant), seen, left, time.time() - time.monotonic())


def full_disk(plant: Plant) -> Full | None:
    """More windows end while the disk is full than memory holds, each picture one window; then there is room again."""
    if plant.disk is None:
        return None
    folder = plant.folder / "full"
    script.repeat(plant.folder / "loop", folder, FULL_FRAMES)
    start = _to_the_end(plant, folder, 1 / script.WINDOW_S, plant)
    told = parts.said(plant.folder / "full-001.log").dropped
    windows = FULL_FRAMES - 1
    end = time.monotonic() + PATIENCE_S
    while True:
        rows = [row for row in parts.rows(plant.folder) if row["boot"] == start.boot]
        if len(rows) >= windows - told or time.monotonic() > end:
            break
        time.sleep(0.5)
    return _judge_full(windows, told, rows)


def _judge_full(windows: int, told: int, rows: list[dict[str, str]]) -> Full:
    starts = sorted(live.seconds(row["start"]) for row in rows)
    numbers = {round((each - starts[0]) / script.WINDOW_S) for each in starts}
    missing = [number for number in range(windows) if number not in numbers]
    together = not missing or missing[-1] - missing[0] == len(missing) - 1
    in_order = sorted(int(row["seq"]) for row in rows) == list(range(len(rows)))
    exact = len(missing) == told and together and in_order and len(rows) == windows - told
    return Full(windows, len(rows), told, exact)


def _to_the_end(plant: Plant, folder: Path, fps: float, fill: Plant | None) -> Start:
    """``door`` on a folder until it has seen all; meanwhile, if asked for, its disk is full."""
    source = "{" + pictures(folder, fps).replace("\n", ", ") + "}"
    sets = ("--set", f"capture={source}", *(("--set", "detect.every=1000000") if fill else ()))  # full: to save time
    part = replace(plant.door, name=folder.name, starts=0, command=(*plant.door.command, *sets))
    asked = Asked(folder)
    part.start()
    if fill and fill.disk:
        _until(asked, FULL_FROM, part)
        fill.disk.fill()
        _until(asked, FULL_UNTIL, part)
        fill.disk.empty()
    status = part.wait(PATIENCE_S)
    word = parts.said(part.log)
    plant.unexpected += word.unexpected
    if status or word.unsent:
        plant.unexpected.append(f"{part.log.name}: ended with {status}, {word.unsent} unsent")
    frames = asked.frames()
    asked.close()
    return Start(word.boot, frames, ended=True)


def _until(asked: Asked, frames: int, part: Part) -> None:
    while asked.frames() < frames and part.running:
        time.sleep(0.01)
