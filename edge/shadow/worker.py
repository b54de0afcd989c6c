"""Run the shadow classifier in a thread of its own, so that nothing of it can delay or stop the counting."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from base.errors import FacetallyError
from base.logs import line
from contract.card import ClassifierCard
from contract.errors import BundleError
from edge.counting.tally import Sums, predicted
from edge.shadow.compared import Compared
from edge.values import Pixels
from edge.vision.classify import Classifier

log = logging.getLogger(__name__)
MAX_WAITING = 256
"""Maximum number of faces that wait; a full queue takes no more."""
MAX_PIXELS = 128 * 128
"""Largest input of a classifier in shadow, pixels: the faces that wait fill at most 4 MB."""
FAILURES = (
    FacetallyError, OSError, ValueError, RuntimeError, MemoryError, TypeError, LookupError, ArithmeticError, cv2.error
)  # fmt: skip
"""What a wrong bundle or a runtime may raise; it ends the comparison only."""
MAX_REASON = 300
"""Longest reason of a failure, characters."""


def check_same_labels(counted: Sequence[str], labels: Sequence[str]) -> None:
    """Raise BundleError unless a classifier in shadow has the labels that are counted, in any order."""
    if set(labels) != set(counted):
        raise BundleError(f"labels must be those that are counted ({', '.join(counted)}), are {', '.join(labels)}")


def check_input(card: ClassifierCard) -> None:
    """Raise BundleError if faces in the input size of a classifier would fill too much memory while they wait."""
    pixels = card.input.width * card.input.height
    if pixels > MAX_PIXELS:
        raise BundleError(f"input: must have at most {MAX_PIXELS} pixels to run in shadow, has {pixels}")


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces of one frame."""

    tracks: tuple[int, ...]
    """Numbers of their tracks."""
    crops: tuple[Pixels, ...]
    """One crop per face, in the input size of the shadow classifier."""
    sizes: tuple[float, ...]
    """Face sizes in the frame, pixels."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a track of which all faces were handed over."""

    track: int
    active: str | None
    """Label under which it was counted; None if it was not counted or not all its faces were taken."""


class ShadowWorker:
    """Classifies the faces handed over, and compares the predictions of whole visits.

    ``load`` returns the classifier; it runs in the thread, and so does everything that can fail. A failure is logged
    once, kept in ``failed``, and ends the thread. The thread rests after each batch, so that it uses at most
    ``max_core_fraction`` of a core. With ``is_patient`` it does not rest and callers wait for it, as for a file, which
    loses nothing by it.
    """

    def __init__(
        self, load: Callable[[], Classifier], labels: tuple[str, ...], max_core_fraction: float, *, is_patient: bool
    ) -> None:
        self._load, self._labels, self._max_core_fraction = load, labels, max_core_fraction
        self._is_patient = is_patient
        self.classifier: Classifier | None = None
        """The classifier, once it is loaded."""
        self.failed: str | None = None
        """Why it does not run."""
        self._queue: deque[Faces | Ended] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._sums: dict[int, Sums] = {}
        self._compared = Compared()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)

    def start(self) -> None:
        """Start the thread; if patient, wait until the classifier is loaded."""
        self._thread.start()
        self._wait_while(lambda: self.classifier is None)

    def stop(self) -> None:
        """Ask the thread to end, and wait a second for it."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(1.0)

    def offer(self, faces: Faces) -> bool:
        """Hand over the faces of a frame; False if too many wait."""
        self._wait_while(lambda: self._waiting >= MAX_WAITING)
        with self._changed:
            if self._waiting + len(faces.tracks) > MAX_WAITING:
                return False
            self._waiting += len(faces.tracks)
            self._queue.append(faces)
            self._changed.notify_all()
            return True

    def end(self, ended: Ended) -> None:
        """Hand over the end of a track whose faces were handed over."""
        with self._changed:
            if self.failed is None:
                self._queue.append(ended)
                self._changed.notify_all()

    def take(self) -> Compared:
        """Return what was compared since the last call; if patient, after all that waits."""
        self._wait_while(lambda: bool(self._queue) or self._waiting > 0)
        with self._changed:
            taken, self._compared = self._compared, Compared()
        return taken

    def _wait_while(self, busy: Callable[[], bool]) -> None:
        """Wait for the thread, if patient, while it is busy and works."""
        if self._is_patient:
            with self._changed:
                self._changed.wait_for(lambda: not busy() or self.failed is not None or self._stopped)

    def _run(self) -> None:
        """Load the classifier, and work until it fails or is stopped."""
        try:
            classifier = self._load()
            check_same_labels(self._labels, classifier.card.labels)
            check_input(classifier.card)
            with self._changed:
                self.classifier = classifier
                self._changed.notify_all()
            log.info(line("shadow_runs", bundle=classifier.card.identity))
            while (item := self._next()) is not None:
                self._work(classifier, item)
        except FAILURES as error:
            log.warning(line("shadow_failed", reason=error))
            with self._changed:
                self.failed = (str(error) or type(error).__name__)[:MAX_REASON]
        finally:
            with self._changed:
                if self.failed is None and not self._stopped:
                    self.failed = "ended unexpectedly"
                self._queue.clear()
                self._waiting = 0
                self._changed.notify_all()

    def _next(self) -> Faces | Ended | None:
        """Wait for the next item; None to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or bool(self._queue))
            return None if self._stopped else self._queue.popleft()

    def _work(self, classifier: Classifier, item: Faces | Ended) -> None:
        if isinstance(item, Faces):
            self._classify(classifier, item)
            return
        sums = self._sums.pop(item.track, None)
        with self._changed:
            if item.active is not None:
                self._compared.pairs[item.active, predicted(classifier.card.labels, sums)] += 1
            self._changed.notify_all()

    def _classify(self, classifier: Classifier, faces: Faces) -> None:
        """Add the probabilities of faces to their tracks, then rest."""
        began = time.thread_time()
        expressions = classifier.expressions(faces.crops, faces.sizes)
        for track, expression in zip(faces.tracks, expressions, strict=True):
            if expression.good:
                sums = self._sums.setdefault(track, np.zeros(len(classifier.card.labels)))
                sums += expression.probabilities
        rest_s = (time.thread_time() - began) * (1 / self._max_core_fraction - 1)
        with self._changed:
            self._waiting -= len(faces.tracks)
            self._changed.notify_all()
            if not self._is_patient:
                self._changed.wait_for(lambda: self._stopped, rest_s)
