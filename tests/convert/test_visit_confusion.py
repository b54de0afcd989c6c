"""The confusion matrix of visits: on the card, in the model message, and as measured by the device's own code."""

import json

import msgspec
import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from collector.analysis.correction import confusions
from collector.devices.device import Device
from contract.card import ClassifierCard, DetectorCard, bundle_identity, model_of, read_card, write_card
from contract.errors import BadMessage, BundleError
from contract.message import Model, decode, encode
from edge.vision.bundle import SHIPPED, load
from tests.support.fakes import MODEL

SHIPPED_CARD = json.loads((SHIPPED / "expression.json").read_bytes())
VISITS = [[5] * 8] * 7


def card(**changes: object) -> ClassifierCard:
    """The shipped card with some keys changed."""
    read = read_card(json.dumps(SHIPPED_CARD | changes).encode(), "x.json")
    assert isinstance(read, ClassifierCard)
    return read


def test_a_card_with_visits_is_of_version_3_and_reads_back() -> None:
    """The card and the model message of its device have version 3 and hold the matrix, seven rows of eight."""
    with_visits = card(schema=3, visit_confusion=VISITS)
    assert read_card(write_card(with_visits), "x.json") == with_visits
    model = model_of(load(SHIPPED / "face-416x320.json", DetectorCard).card, with_visits)
    assert model.schema == 3
    assert decode(encode(model), Model) == model
    assert model.expression.visit_confusion == tuple(map(tuple, VISITS))


def test_without_visits_a_card_stays_at_version_1() -> None:
    """Card and message have no such key, so a collector of the first release can read them."""
    old = {key: value for key, value in SHIPPED_CARD.items() if key != "visit_confusion"} | {"schema": 1}
    read = read_card(json.dumps(old).encode(), "x.json")
    assert b'"visit_confusion"' not in write_card(read)
    assert b'"visit_confusion"' not in encode(
        Model(schema=1, detector=MODEL.detector, expression=bundle_identity(read))
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 1, "visit_confusion": VISITS}, "needs version 3"),
        ({"schema": 2, "visit_confusion": VISITS[:-1]}, "7 x 8"),
        ({"schema": 2, "visit_confusion": [[5] * 7] * 7}, "7 x 8"),
        ({"schema": 2, "visit_confusion": [[-1] * 8] * 7}, r"key 'visit_confusion\[0\]\[0\]'"),
        ({"schema": 4}, "key 'schema'"),
    ],
)
def test_a_matrix_of_another_size_is_refused(changes: dict[str, object], says: str) -> None:
    """A wrong size, a negative count and a wrong version are refused, on a card and in a message."""
    with pytest.raises(BundleError, match=says):
        card(**changes)
    expression = replace(MODEL.expression, labels=SHIPPED_CARD["labels"], confusion=SHIPPED_CARD["confusion"])
    tree = msgspec.to_builtins(replace(MODEL, expression=expression))
    tree["expression"] |= {key: value for key, value in changes.items() if key == "visit_confusion"}
    with pytest.raises(BadMessage):
        decode(json.dumps(tree | {"schema": changes["schema"]}).encode(), Model)


def test_the_matrix_of_visits_is_preferred_to_that_of_faces() -> None:
    """Counts are of visits, so they are corrected by the matrix of visits where there is one."""
    with_visits = replace(MODEL, schema=3, expression=replace(MODEL.expression, visit_confusion=((9, 0, 1), (1, 8, 2))))
    (confusion_matrix,) = confusions([Device(site="shop", device="door", model=with_visits)]).values()
    assert (confusion_matrix.of, confusion_matrix.counts.tolist()) == ("visits", [[9, 0, 1], [1, 8, 2]])
    assert MODEL.expression.visit_confusion is UNSET


def test_simulated_visits_are_counted_by_the_devices_own_code() -> None:
    """Each visit is counted once, under the same label every time, and the matrix holds all visits."""
    pytest.importorskip("sklearn", reason="training's packages are not installed (make train-setup)")
    from convert.visit_confusion import confusion_matrix, majority_labels, simulate_visits
    from edge.vision.classify import Classifier

    classifier = Classifier(load(SHIPPED / "expression.json", ClassifierCard))
    faces = np.random.default_rng(1).integers(0, 256, (12, 48, 48)).astype(np.uint8)
    first, again = (simulate_visits(classifier, faces, np.random.default_rng(2)) for _ in range(2))
    assert first.tolist() == again.tolist()
    truth = np.arange(12) % 7
    counts = confusion_matrix(truth, first, 7)
    assert counts.shape == (7, 8)
    assert counts.sum(1).tolist() == np.bincount(truth, minlength=7).tolist()
    votes = np.zeros((2, 10), np.uint8)
    votes[0, 1], votes[1, :5] = 9, 2
    label, sure = majority_labels(votes, {label: {label: 1.0} for label in classifier.card.labels})
    assert (classifier.card.labels[label[0]], sure.tolist()) == ("happiness", [True, False])
