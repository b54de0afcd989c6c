"""Draw the visits to compare, and hand their faces to the shadow classifier.

Whole visits are drawn, not frames. Both classifiers then see the same faces of a visit, so both predictions are of the
kind that is counted. Visits are nearly independent of each other; the faces of one visit are not, and an interval over
faces would be too narrow.
"""

import random
from collections.abc import Sequence

from edge.counting.admit import Admission
from edge.counting.tally import CountedVisit
from edge.shadow.compared import Compared
from edge.shadow.worker import Ended, Faces, ShadowWorker
from edge.stages import Observer
from edge.values import Expression, Frame, Track


class ShadowComparison(Observer):
    """Sees what the stages produced, in the pipeline's thread. It waits for the shadow classifier only for a file."""

    def __init__(self, worker: ShadowWorker, fraction: float, rng: random.Random) -> None:
        self.worker = worker
        self._fraction, self._rng = fraction, rng
        self._drawn: dict[int, bool] = {}
        """Whether a track is compared, by its number."""
        self._incomplete: set[int] = set()
        """Tracks that were drawn and of which a face was not taken."""
        self._handed_over: set[int] = set()
        """Tracks of which a face was taken."""
        self._skipped = 0

    def on_expressions(self, frame: Frame, tracks: Sequence[Track], expressions: Sequence[Expression]) -> None:
        """Hand the faces of drawn tracks to the shadow classifier."""
        classifier = self.worker.classifier
        if classifier is None or self.worker.failed is not None:
            self._draw_none(tracks)
            return
        chosen = [track for track in tracks if self._is_drawn(track.number)]
        if not chosen:
            return
        numbers = tuple(track.number for track in chosen)
        crops = tuple(classifier.crops(frame.pixels, [track.face for track in chosen]))
        if self.worker.offer(Faces(numbers, crops, tuple(track.face.size for track in chosen))):
            self._handed_over.update(numbers)
        else:
            self._incomplete.update(numbers)

    def on_admission(self, frame: Frame, admission: Admission) -> None:
        """Forget tracks that must not be analysed."""
        self._forget(admission.excluded)

    def on_visits(self, visits: Sequence[CountedVisit], gone: Sequence[int]) -> None:
        """Compare the drawn visits that were counted, and forget tracks that are gone."""
        for visit in visits:
            number = visit.track.number
            if not self._drawn.get(number, False):
                continue
            if number in self._incomplete:
                self._skipped += 1
            elif number in self._handed_over:
                self._handed_over.discard(number)
                self.worker.end(Ended(number, visit.label))
            self._forget([number])
            self._drawn[number] = False  # a long visit goes on after it was counted
        self._forget(gone)
        for number in gone:
            self._drawn.pop(number, None)

    def take(self) -> Compared:
        """Return what was compared since the last call."""
        taken = self.worker.take()
        taken.skipped, self._skipped = taken.skipped + self._skipped, 0
        return taken

    def _is_drawn(self, number: int) -> bool:
        if number not in self._drawn:
            self._drawn[number] = self._rng.random() < self._fraction
        return self._drawn[number]

    def _draw_none(self, tracks: Sequence[Track]) -> None:
        """Leave out tracks that are in view while there is no classifier: their faces would be incomplete."""
        for track in tracks:
            self._forget([track.number])
            self._drawn[track.number] = False

    def _forget(self, numbers: Sequence[int]) -> None:
        """Erase what is known of tracks; they are not compared."""
        for number in numbers:
            if number in self._handed_over:
                self.worker.end(Ended(number, None))
            self._handed_over.discard(number)
            self._incomplete.discard(number)
            if number in self._drawn:
                self._drawn[number] = False
