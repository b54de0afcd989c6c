"""Test the correction of counts by a bundle's confusion matrix of visits, on simulated shops.

``python -m benchmarks.accuracy.visit_correction --fer FOLDER``

Faces of the PublicTest part of FER2013, which no model was trained on, are replayed as visits through the device's
classifier and tally. In each trial half of the faces give the confusion matrix; the other half is sampled to shops with
random mixes of expressions, which are counted and corrected. It prints how often the 90 % interval holds the truth, and
the errors of counted and corrected shares. ``--write`` writes the confusion matrix of all faces to the card.
"""

import argparse
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collector.analysis.correction import Confusion, shares
from collector.store.columns import FIXED_COLUMNS
from contract.card import ClassifierCard, write_card
from contract.labels import UNKNOWN
from convert.visit_confusion import confusion_matrix, majority_labels, simulate_visits
from edge.vision.bundle import SHIPPED, load
from edge.vision.classify import Classifier
from training.data.fer2013 import csv_path
from training.data.label_targets import FERPLUS_LABELS

VISITS = (100, 1000)
"""Visits of a shop; fewer if the faces of a label do not suffice."""
CONCENTRATION = 20.0
"""Concentration of the Dirichlet distribution of mixes around the mix of the faces."""
Ints = NDArray[np.intp]


def public_test(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return faces, uint8 (n, 48, 48), and FER+ votes, uint8 (n, 10), of PublicTest."""
    frame, votes = pd.read_csv(csv_path(folder)), pd.read_csv(folder / "fer2013new.csv")
    public = frame["Usage"] == "PublicTest"
    pixels = [np.array(text.split(), np.uint8).reshape(48, 48) for text in frame["pixels"][public]]
    return np.array(pixels), votes[FERPLUS_LABELS][public.to_numpy()].to_numpy(np.uint8)


def sample_shop(
    truth: Ints, predicted: Ints, visits: int, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], Ints, Ints]:
    """Sample visits without replacement from a random mix; return the mix, and truth and prediction of each visit."""
    available = np.bincount(truth, minlength=size)
    mix = rng.dirichlet(CONCENTRATION * available / available.sum())
    wanted = rng.multinomial(visits, mix)
    scale = min(1.0, float((available / np.maximum(wanted, 1))[wanted > 0].min()))
    wanted = rng.multinomial(int(visits * scale), mix)
    order = rng.permutation(len(truth))
    chosen = np.concatenate([order[truth[order] == label][:number] for label, number in enumerate(wanted)])
    return mix, truth[chosen], predicted[chosen]


def correct(counted: Ints, confusion: Confusion, rng: np.random.Generator) -> pd.DataFrame:
    """Correct visits by prediction, ``unknown`` last; return the table of `collector.analysis.correction.shares`."""
    frame = pd.DataFrame([[""] * len(FIXED_COLUMNS)], columns=list(FIXED_COLUMNS)).assign(model_expression="e")
    visits = dict(zip((*confusion.labels, UNKNOWN), counted.astype(float), strict=True))
    return shares(frame.assign(**visits), {"e": confusion}, rng)


def trial(
    truth: Ints, predicted: Ints, visits: int, card: ClassifierCard, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Run one trial; return for each label whether the interval holds the truth, and the errors."""
    size = len(card.labels)
    half = rng.permutation(len(truth)) < len(truth) // 2
    mix, sampled_truth, sampled_prediction = sample_shop(truth[~half], predicted[~half], visits, size, rng)
    counted = np.bincount(sampled_prediction, minlength=size + 1)
    measured = Confusion(card.labels, confusion_matrix(truth[half], predicted[half], size).astype(float), "visits")
    table = correct(counted, measured, rng)
    visit_shares = np.bincount(sampled_truth, minlength=size) / len(sampled_truth)
    return {
        "interval holds the shop's mix": ((table["low"] <= mix) & (mix <= table["high"])).to_numpy(float),
        "interval holds the visits' shares": (
            (table["low"] <= visit_shares) & (visit_shares <= table["high"])
        ).to_numpy(float),
        "width of the interval": (table["high"] - table["low"]).to_numpy(),
        "error of the counted share": (table["share"] - visit_shares).abs().to_numpy(),
        "error of the corrected share": (table["corrected"] - visit_shares).abs().to_numpy(),
    }


def main() -> None:
    """Run the trials and print their means."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.visit_correction", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--fer", type=Path, required=True, help="folder with fer2013.csv* and fer2013new.csv")
    parser.add_argument(
        "--card", type=Path, default=SHIPPED / "expression.json", help="card (default: the shipped one)"
    )
    parser.add_argument("--trials", type=int, default=300, help="trials for each size (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the matrix of all faces to the card")
    options = parser.parse_args()
    classifier = Classifier(load(options.card, ClassifierCard))
    card, rng = classifier.card, np.random.default_rng(1)
    pixels, votes = public_test(options.fer)
    truth, sure = majority_labels(votes, {label: {label: 1.0} for label in card.labels})
    truth, predicted = truth[sure], simulate_visits(classifier, pixels[sure], rng)
    confusion = confusion_matrix(truth, predicted, len(card.labels))
    print(pd.DataFrame(confusion, card.labels, [*card.labels, UNKNOWN]))
    for visits in VISITS:
        trials = [trial(truth, predicted, visits, card, rng) for _ in range(options.trials)]
        means = pd.DataFrame({name: np.mean([each[name] for each in trials], 0) for name in trials[0]}, card.labels).T
        means.insert(0, "all", means.mean(axis=1))
        print(f"shops of up to {visits} visits:\n{means.round(3).to_string()}")
    if options.write:
        updated = msgspec.structs.replace(card, schema=3, visit_confusion=tuple(map(tuple, confusion.tolist())))
        options.card.write_bytes(write_card(updated))


if __name__ == "__main__":
    main()
