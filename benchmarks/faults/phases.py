"""The phases that follow the random faults: drain, outage of broker and camera, and a disk that stays full."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.faults import expected_counts, live_windows, processes, scripted_walks
from benchmarks.faults.camera_frames import read_camera_log
from benchmarks.faults.expected_counts import Comparison, DaemonStart
from benchmarks.faults.live_windows import LiveResult
from benchmarks.faults.opened_files import OpenedFiles
from benchmarks.faults.processes import RestartableProcess, csv_rows, read_log, windows_in_spool
from benchmarks.faults.rig import CAMERA_LOG, Rig, folder_source
from benchmarks.faults.small_disk import SmallDisk
from edge.pipeline import MAX_BUFFERED_WINDOWS

LIMIT_S = 120.0
DRAIN_FRAMES = 2 * scripted_walks.FRAMES_PER_WINDOW + 5
"""Length of the drain phase. Nobody is in view in its last image, so no visit is cut off."""
MAX_DRAINS = 3
FULL_DISK_FRAMES = MAX_BUFFERED_WINDOWS + 400
FILL_AT_FRAME, EMPTY_AT_FRAME = 50, FULL_DISK_FRAMES - 200
NO_DETECTION = ("--set", "detect.every=1000000")
"""Counts are not compared while the disk is full; without detection the phase takes seconds."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from the return of broker and camera to the first sign of work; None if it never came."""

    row_s: float | None
    """To the first new row in the CSV."""
    camera_s: float | None
    """To the first frame that the live daemon counted."""
    complete_s: float | None
    """Until the stored windows of the live daemon have no gap in ``seq``."""


@dataclass(frozen=True, slots=True)
class FullDisk:
    """Windows that ended while the disk was full for longer than memory lasts."""

    windows: int
    """Windows that ended in the phase."""
    rows: int
    """Rows in the CSV."""
    dropped: int
    """Windows that the daemon logged as dropped."""
    exact: bool
    """Whether exactly ``dropped`` consecutive windows are missing, and nothing else."""


def drain(rig: Rig) -> int:
    """Kill the replay daemon once more, then let it count a few images to their end and so empty its spool.

    At the end of a file the daemon sends for a minute. A window that the collector missed twice in that time waits for
    the next start, as it would on a device. Return the number of starts that emptied the spool, at most `MAX_DRAINS`.
    """
    rig.kill_replay()
    for number in range(1, MAX_DRAINS + 1):
        images = rig.folder / f"drain-{number}"
        scripted_walks.link_loop(rig.folder / "loop", images, DRAIN_FRAMES)
        rig.starts.append(_run_to_end(rig, images, scripted_walks.FPS, may_leave_unsent=number < MAX_DRAINS))
        if not read_log(rig.folder / f"{images.name}-001.log").unsent:
            return number
    return MAX_DRAINS


def compare_store(rig: Rig) -> Comparison:
    """Compare the CSV with the expected counts; wait up to `LIMIT_S` for rows that are missing."""
    end = time.monotonic() + LIMIT_S
    while True:
        rows = [row for row in csv_rows(rig.folder) if row["device"] == processes.REPLAY_DEVICE]
        result = expected_counts.compare(rig.starts, rows)
        if not result.lost or time.monotonic() > end:
            return result
        time.sleep(0.5)


def outage(rig: Rig, duration_s: float) -> Recovery:
    """Take broker and camera away together, bring both back, and measure how soon rows and frames come."""
    rig.broker.kill()
    rig.camera.turn_off()
    time.sleep(duration_s)
    before, since = len(list(csv_rows(rig.folder))), time.monotonic()
    rig.broker.launch()
    rig.camera.turn_on()
    row_s = camera_s = None
    while (row_s is None or camera_s is None) and time.monotonic() - since < LIMIT_S:
        time.sleep(0.1)
        if row_s is None and len(list(csv_rows(rig.folder))) > before:
            row_s = time.monotonic() - since
        camera_s = live_windows.camera_back_s(rig.live.log, rig.camera.outages[-1][1])
    return Recovery(row_s, camera_s, _wait_for_live_windows(rig, since))


def stop_live(rig: Rig) -> LiveResult:
    """Stop the live daemon when all it has sent is stored, wait for the rest, and check what it counted.

    Its spool is read after its end, only to tell late windows from lost ones.
    """
    _wait_for_live_windows(rig, time.monotonic())
    rig.live.stop()
    log = read_log(rig.live.log)
    in_spool = windows_in_spool(rig.folder / "live.sqlite", log.boot) if log.unsent else frozenset()
    _wait_for_live_windows(rig, time.monotonic(), in_spool)
    frames = read_camera_log(rig.folder / CAMERA_LOG)
    return live_windows.check(_live_rows(rig), frames, in_spool, time.time() - time.monotonic())


def _wait_for_live_windows(rig: Rig, since: float, in_spool: Collection[int] = ()) -> float | None:
    """Wait until the windows of the live daemon have no gap and include ``in_spool``.

    Return the seconds since ``since`` (monotonic), or None after `LIMIT_S`.
    """
    end = time.monotonic() + LIMIT_S
    while live_windows.missing([int(row["seq"]) for row in _live_rows(rig)], in_spool):
        if time.monotonic() > end:
            return None
        time.sleep(0.1)
    return time.monotonic() - since


def _live_rows(rig: Rig) -> list[dict[str, str]]:
    return [row for row in csv_rows(rig.folder) if row["device"] == processes.LIVE_DEVICE]


def full_disk(rig: Rig) -> FullDisk | None:
    """Let more windows end while the disk is full than memory holds, one image a window; then free the disk.

    Return None if the rig has no disk.
    """
    if rig.disk is None:
        return None
    images = rig.folder / "full-disk"
    scripted_walks.link_loop(rig.folder / "loop", images, FULL_DISK_FRAMES)
    start = _run_to_end(rig, images, 1 / scripted_walks.WINDOW_S, rig.disk)
    dropped = read_log(rig.folder / f"{images.name}-001.log").dropped
    windows = FULL_DISK_FRAMES - 1
    end = time.monotonic() + LIMIT_S
    while True:
        rows = [row for row in csv_rows(rig.folder) if row["boot"] == start.boot]
        if len(rows) >= windows - dropped or time.monotonic() > end:
            return compare_full_disk(windows, dropped, rows)
        time.sleep(0.5)


def compare_full_disk(windows: int, dropped: int, rows: Sequence[Mapping[str, str]]) -> FullDisk:
    """Check that the windows missing from ``rows`` are as many as were logged as dropped, and consecutive."""
    starts = sorted(live_windows.seconds(row["start"]) for row in rows)
    present = {round((start - starts[0]) / scripted_walks.WINDOW_S) for start in starts}
    missing = [number for number in range(windows) if number not in present]
    consecutive = not missing or missing[-1] - missing[0] == len(missing) - 1
    in_order = sorted(int(row["seq"]) for row in rows) == list(range(len(rows)))
    exact = len(missing) == dropped and consecutive and in_order and len(rows) == windows - dropped
    return FullDisk(windows, len(rows), dropped, exact)


def _run_to_end(
    rig: Rig, images: Path, fps: float, disk: SmallDisk | None = None, *, may_leave_unsent: bool = False
) -> DaemonStart:
    """Run the replay daemon on a folder until its last image; with ``disk`` that disk is full in between."""
    source = "{" + folder_source(images, fps).replace("\n", ", ") + "}"
    settings = ("--set", f"capture={source}", *(NO_DETECTION if disk else ()))
    daemon = replace(rig.replay, name=images.name, starts=0, command=(*rig.replay.command, *settings))
    opened = OpenedFiles(images)
    daemon.start()
    if disk:
        _wait_for_frame(opened, FILL_AT_FRAME, daemon)
        disk.fill()
        _wait_for_frame(opened, EMPTY_AT_FRAME, daemon)
        disk.empty()
    status = daemon.wait(LIMIT_S)
    log = read_log(daemon.log)
    rig.unexpected += log.unexpected
    if status or (log.unsent and not may_leave_unsent):
        rig.unexpected.append(daemon.complaint(f"exit status {status}, {log.unsent} windows unsent"))
    frames = opened.count()
    opened.close()
    return DaemonStart(log.boot, frames, ended=True)


def _wait_for_frame(opened: OpenedFiles, frames: int, daemon: RestartableProcess) -> None:
    while opened.count() < frames and daemon.running:
        time.sleep(0.01)
