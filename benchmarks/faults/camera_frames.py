"""Read which frames the replaced camera has delivered, and derive the coverage that they allow.

All limits on the live daemon follow from the delivered frames, so that a slow machine does not count as a fault of the
daemon.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

MAX_FRAME_GAP_S = 0.4
"""A longer gap between two frames may split a visit in two: `track.gap_s` of the live daemon is 0.5."""
FRAME_COVERS_S = 1.0
"""A frame covers this time before it."""
EDGE_S = 0.1
"""A refusal this close to the end of a window may belong to the next one."""


@dataclass(frozen=True, slots=True)
class CameraFrames:
    """When the camera delivered or refused a frame: wall-clock seconds since 1970, ascending."""

    delivered: tuple[float, ...]
    refused: tuple[float, ...] = ()

    def covered_s(self, start: float, end: float) -> float:
        """Return the greatest coverage of an interval that these frames allow, seconds."""
        covered, until = 0.0, start
        for at in self.delivered:
            covered += max(0.0, min(at, end) - max(at - FRAME_COVERS_S, until))
            until = max(until, min(at, end))
        return covered

    def refused_within(self, start: float, end: float) -> int:
        """Return the number of refusals that the daemon must have noticed in an interval.

        A camera that the daemon has given up may refuse while the next one delivers already; that does not count.
        """
        inside = [at for at in self.refused if start + EDGE_S < at < end - EDGE_S]
        return sum(not any(at - FRAME_COVERS_S < delivered <= at for delivered in self.delivered) for at in inside)

    def gaps(self, begin: float, end: float) -> list[tuple[float, float]]:
        """Return the intervals between ``begin`` and ``end`` that are longer than `MAX_FRAME_GAP_S` without a frame."""
        times = [begin, *(at for at in self.delivered if begin < at < end), end]
        return [(before, after) for before, after in pairwise(times) if after - before > MAX_FRAME_GAP_S]


def read_camera_log(log: Path) -> CameraFrames:
    """Read the log of the replaced camera (``camera/picamera2.py``)."""
    answers: dict[str, list[float]] = {"delivered": [], "refused": []}
    for text in log.read_text().splitlines():
        at, answer = text.split()
        answers[answer].append(float(at))
    return CameraFrames(tuple(answers["delivered"]), tuple(answers["refused"]))
