"""The comparison of a second classifier: whole visits are compared, and nothing of it reaches the counting."""

import random
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from contract.errors import BundleError
from edge.build import classifier_bundle
from edge.shadow.comparison import ShadowComparison
from edge.shadow.worker import MAX_WAITING, Ended, Faces, ShadowWorker
from edge.values import Expression
from edge.vision.classify import Classifier
from tests.support.fakes import each_frame, swaying
from tests.support.scripted import ScriptedFaces, scripted_pipeline
from tests.support.waiting import wait_until

LABELS = ("happiness", "neutral")
FACE = np.zeros((8, 8), np.uint8)


class ScriptedClassifier:
    """Replaces a shadow classifier: each face is neutral; ``work`` is done for each batch."""

    def __init__(self, labels=LABELS, work=lambda: None, good=True):
        size = SimpleNamespace(width=8, height=8)
        self.card = SimpleNamespace(labels=labels, identity="new@cccccccccccc", input=size)
        self.work, self.good, self.faces = work, good, 0

    def crops(self, pixels, faces):
        return [FACE for _ in faces]

    def expressions(self, crops, sizes):
        self.work()
        self.faces += len(crops)
        at = self.card.labels.index("neutral")
        return [Expression(tuple(float(n == at) for n in range(2)), self.good) for _ in crops]


def passing(visitors):
    """People who stand in view one after the other, for three seconds of every six."""
    return lambda time: [swaying(320, 240, time)] if time < 6 * visitors and time % 6 < 3 else []


def counted(classifier, fraction=0.5, visitors=20, is_patient=True, **admit):
    """Count visitors; return happy visits, the comparison, and what it has compared."""
    worker = ShadowWorker(lambda: classifier, LABELS, 1.0, is_patient=is_patient)
    comparison = ShadowComparison(worker, fraction, random.Random(0))
    faces = ScriptedFaces(passing(visitors))
    pipeline, spool = scripted_pipeline(faces, faces.frames(each_frame(10, 0, 6 * visitors)), **admit)
    pipeline.analyzer.shadow = comparison
    worker.start()
    if not is_patient:
        wait_until(lambda: worker.classifier is not None, "the classifier is loaded")
    try:
        pipeline.run()
        return sum(spool.happy), comparison, comparison.take()
    finally:
        worker.stop()


def test_a_fraction_of_the_visits_is_compared_with_all_their_faces():
    """All visits count; the drawn ones are compared once each, under the label that was counted, and forgotten."""
    classifier = ScriptedClassifier()
    happy, comparison, compared = counted(classifier)
    rng = random.Random(0)
    drawn = sum(rng.random() < 0.5 for _ in range(20))
    assert (happy, 0 < drawn < 20) == (20, True)
    assert (dict(compared.pairs), compared.skipped) == ({("happiness", "neutral"): drawn}, 0)
    assert classifier.faces >= 25 * drawn  # of some 30 frames each
    assert (comparison._drawn, comparison._handed_over, comparison.worker._sums) == ({}, set(), {})


def test_labels_may_be_in_another_order():
    """They are compared by name."""
    _, _, compared = counted(ScriptedClassifier(LABELS[::-1]), visitors=8)
    assert set(compared.pairs) == {("happiness", "neutral")}


def test_a_visit_without_a_good_face_is_unknown():
    """The shadow classifier's own thresholds decide, as they would if it counted."""
    _, _, compared = counted(ScriptedClassifier(good=False), visitors=8)
    assert set(compared.pairs) == {("happiness", "unknown")}


def test_who_is_excluded_is_not_compared():
    """A person who stays longer than the dwell limit was handed over before it, and leaves no trace."""
    classifier = ScriptedClassifier()
    happy, comparison, compared = counted(classifier, fraction=1.0, visitors=2, dwell_limit_s=2.0)
    assert classifier.faces > 0
    assert (happy, compared.pairs.total(), compared.skipped) == (0, 0, 0)
    assert comparison.worker._sums == {}


def test_a_slow_classifier_does_not_delay_the_counting():
    """It blocks for ever in its first batch; all visits are counted, and those drawn are skipped or wait."""
    never = threading.Event()
    classifier = ScriptedClassifier(work=lambda: never.wait(600))
    began = time.monotonic()
    happy, comparison, compared = counted(classifier, fraction=1.0, is_patient=False)
    assert time.monotonic() - began < 300
    never.set()
    assert (happy, compared.pairs.total()) == (20, 0)
    assert compared.skipped > 5
    assert sum(len(item.tracks) for item in comparison.worker._queue if isinstance(item, Faces)) <= MAX_WAITING


def test_a_classifier_that_fails_ends_the_comparison_only(caplog):
    """One warning, the reason is kept, and all visits are counted."""

    def fail():
        raise BundleError("ai_edge_litert cannot run the model")

    happy, comparison, compared = counted(ScriptedClassifier(work=fail))
    assert (happy, compared.pairs.total()) == (20, 0)
    assert comparison.worker.failed == "ai_edge_litert cannot run the model"
    assert [record.getMessage() for record in caplog.records if "shadow_failed" in record.getMessage()] == [
        'event=shadow_failed reason="ai_edge_litert cannot run the model"'
    ]


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (lambda: Classifier(classifier_bundle("/none/expression.json")), "/none/expression.json: No such file"),
        (lambda: Classifier(classifier_bundle("face-320x240")), "face-320x240.json: must be a ClassifierCard"),
        (lambda: Classifier(classifier_bundle()), "labels must be those that are counted (happiness, neutral), are "),
        (lambda: 1 / 0, "division by zero"),
    ],
)
def test_a_bundle_that_cannot_be_compared_is_reported(load, reason):
    """No such file, another task, other labels, an error of the runtime."""
    worker = ShadowWorker(load, LABELS, 0.1, is_patient=True)
    worker.start()
    assert reason in worker.failed
    assert worker.take().pairs.total() == 0
    worker.stop()


def test_the_thread_keeps_to_its_fraction_of_a_core():
    """A tenth of a core allows 0.2 s of work in two seconds, which is not enough for all fifty batches of 20 ms."""
    began = time.monotonic()
    busy = []

    def work():
        began = time.thread_time()
        while time.thread_time() - began < 0.02:
            pass
        busy.append(time.thread_time() - began)

    worker = ShadowWorker(lambda: ScriptedClassifier(work=work), LABELS, 0.1, is_patient=False)
    worker.start()
    for number in range(50):
        worker.offer(Faces((number,), (FACE,), (40.0,)))
        worker.end(Ended(number, "happiness"))
    wait_until(lambda: len(busy) >= 5, "some batches are done")
    worker.stop()
    assert sum(busy) <= 0.1 * (time.monotonic() - began) + 0.03
