"""People in front of a camera, and what the tracker makes of them, frame by frame."""

import random

from edge.counting.track import Tracker
from edge.settings import TrackSettings
from tests.support.fakes import each_frame, face, swaying

SHAPE = (480, 640)
"""Height and width of the frames, pixels."""


def standing(x=320.0, y=240.0, size=40.0):
    """Centre and size of a standing person as a function of the second."""

    def at(time):
        return *swaying(x, y, time, size).centre, size

    return at


def follow(fps, end, *people, begin=0.0, settings=TrackSettings(), noise=0.0, missed=0.0):  # noqa: B008 (frozen)
    """Track people until a second. Returns (second, visit) of every visit, and (second, centre by track number) of
    every frame.

    ``noise`` is the standard deviation of each box's position, pixels; ``missed`` the fraction of faces not detected.
    """
    rng = random.Random(4)
    tracker, visits, seen = Tracker(settings), [], []
    for time in each_frame(fps, begin, end):
        faces = [found for person in people for found in person(time) if rng.random() >= missed]
        faces = [face(*(c + rng.gauss(0, noise) for c in one.centre), one.size) for one in faces]
        tracks = tracker.update(faces, time, SHAPE)
        visits += [(time, each) for each in tracks.visits]
        seen.append((time, {each.number: each.face.centre for each in tracks.seen}))
    visits += [(end, each) for each in tracker.finish().visits]
    return visits, seen


def numbers(seen):
    """All track numbers in the order of their first frames."""
    return list(dict.fromkeys(number for _, tracks in seen for number in tracks))
