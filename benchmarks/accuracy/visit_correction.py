"""Whether a bundle's matrix of visits puts shops right that it was not measured on.

``python -m benchmarks.accuracy.visit_correction --fer FOLDER`` replays faces of FER2013's PublicTest, which nothing was trained on, as
visits through the device's classifier and tally. Again and again, half of the faces give the matrix; of the other half
shops of random mixes are made, counted, and corrected. Printed is how often the 90 % interval holds the truth, and how
far counted and corrected shares are off. ``--write`` puts the matrix of all faces into the card.
"""

import argparse
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from collector.analysis.correction import Confusion, shares
from collector.store.rows import FIXED
from contract.card import ClassifierCard, write_card
from contract.labels import UNKNOWN
from convert.visit_confusion import confusion_matrix, majority_labels, simulate_visits
from edge.vision.bundle import SHIPPED, load
from edge.vision.classify import Classifier
from training.data.fer2013 import csv_path
from training.data.label_targets import FERPLUS_LABELS

VISITS = (100, 1000)
"""Visits of a shop; fewer where the other half has not so many faces of a label."""
NEAR = 20.0
"""How near the mixes of shops are to that of the faces: Dirichlet, so many visits of it."""
Ints = NDArray[np.intp]


def public_test(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Faces (n, 48, 48) and FER+ votes (n, 10) of PublicTest."""
    frame, votes = pd.read_csv(csv_path(folder)), pd.read_csv(folder / "fer2013new.csv")
    public = frame["Usage"] == "PublicTest"
    pixels = [np.array(text.split(), np.uint8).reshape(48, 48) for text in frame["pixels"][public]]
    return np.array(pixels), votes[FERPLUS_LABELS][public.to_numpy()].to_numpy(np.uint8)


def shop(
    truth: Ints, answered: Ints, visits: int, size: int, chance: np.random.Generator
) -> tuple[NDArray[np.float64], Ints, Ints]:
    """Visitors drawn from a random mix, nobody twice -> the mix, and truth and answers of each visit."""
    there = np.bincount(truth, minlength=size)
    mix = chance.dirichlet(NEAR * there / there.sum())
    wanted = chance.multinomial(visits, mix)
    scale = min(1.0, float((there / np.maximum(wanted, 1))[wanted > 0].min()))
    wanted = chance.multinomial(int(visits * scale), mix)
    order = chance.permutation(len(truth))
    chosen = np.concatenate([order[truth[order] == label][:number] for label, number in enumerate(wanted)])
    return mix, truth[chosen], answered[chosen]


def corrected(counted: Ints, confusion: Confusion, chance: np.random.Generator) -> pd.DataFrame:
    """Visits of each answer, ``unknown`` last -> the table of `collector.analysis.correction.shares`."""
    frame = pd.DataFrame([[""] * len(FIXED)], columns=list(FIXED)).assign(model_expression="e")
    visits = dict(zip((*confusion.labels, UNKNOWN), counted.astype(float), strict=True))
    return shares(frame.assign(**visits), {"e": confusion}, chance)


def trial(
    truth: Ints, answered: Ints, visits: int, card: ClassifierCard, chance: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """One division of the faces and one shop -> per label: held by the interval or not, and errors."""
    size = len(card.labels)
    half = chance.permutation(len(truth)) < len(truth) // 2
    mix, here, there = shop(truth[~half], answered[~half], visits, size, chance)
    counted = np.bincount(there, minlength=size + 1)
    measured = Confusion(card.labels, confusion_matrix(truth[half], answered[half], size).astype(float), "visits")
    table = corrected(counted, measured, chance)
    own = np.bincount(here, minlength=size) / len(here)
    return {
        "held: the mix of the shop": ((table["low"] <= mix) & (mix <= table["high"])).to_numpy(float),
        "held: the visits' own shares": ((table["low"] <= own) & (own <= table["high"])).to_numpy(float),
        "width of the interval": (table["high"] - table["low"]).to_numpy(),
        "error as counted": (table["share"] - own).abs().to_numpy(),
        "error as corrected": (table["corrected"] - own).abs().to_numpy(),
    }


def main() -> None:
    """Replay, divide, correct, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.visit_correction", description=__doc__)
    parser.add_argument("--fer", type=Path, required=True, help="folder with fer2013.csv* and fer2013new.csv")
    parser.add_argument("--card", type=Path, default=SHIPPED / "expression.json")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--write", action="store_true", help="put the matrix of all faces into the card")
    options = parser.parse_args()
    classifier = Classifier(load(options.card, ClassifierCard))
    card, chance = classifier.card, np.random.default_rng(1)
    pixels, votes = public_test(options.fer)
    truth, sure = majority_labels(votes, {label: {label: 1.0} for label in card.labels})
    truth, answered = truth[sure], simulate_visits(classifier, pixels[sure], chance)
    whole = confusion_matrix(truth, answered, len(card.labels))
    print(pd.DataFrame(whole, card.labels, [*card.labels, UNKNOWN]))
    for visits in VISITS:
        trials = [trial(truth, answered, visits, card, chance) for _ in range(options.trials)]
        means = pd.DataFrame({name: np.mean([each[name] for each in trials], 0) for name in trials[0]}, card.labels).T
        means.insert(0, "all", means.mean(axis=1))
        print(f"shops of up to {visits} visits:\n{means.round(3).to_string()}")
    if options.write:
        told = msgspec.structs.replace(card, schema=2, visits=tuple(map(tuple, whole.tolist())))
        options.card.write_bytes(write_card(told))


if __name__ == "__main__":
    main()
