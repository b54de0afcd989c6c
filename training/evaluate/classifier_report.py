"""A trained classifier, float and int8, and the faces held back -> the report on it."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from base.errors import SettingsError
from contract.card import ClassifierCard
from edge.vision import bundle
from edge.vision.classify import Classifier
from training.data.face_cache import Faces, kept_share, plain
from training.data.fer2013 import FerFaces
from training.data.label_targets import OWN_LABELS
from training.data.photographs import Photographs
from training.evaluate import classifier_metrics
from training.evaluate.classifier_metrics import Predictions
from training.evaluate.contact_sheet import captioned, sheet
from training.evaluate.float_model import of_run
from training.evaluate.html_page import Page
from training.recipe import ClassifierRecipe

SHOWN = 10
"""Samples of each label in the sheet of what was prepared."""
WORST = 40
BINS = 10


def prepared(run: Path, fer: FerFaces, photos: Photographs) -> None:
    """What the cache holds -> ``run/prepared.html``: counts by label and part, repeats left out, samples; and the
    counts on the terminal.
    """
    page = Page("What was prepared")
    page.say("Faces by label and part", "`repeat`: like a face of the test or the tuning part, and not trained on.")
    own = np.array(OWN_LABELS)[fer.own]
    for name, labels, parts in (("FER2013", own, fer.part), ("photographs", photos.labels, photos.part)):
        kinds = sorted(set(parts.tolist()))
        rows = [
            [label, *(int(((labels == label) & (parts == kind)).sum()) for kind in kinds)] for label in _sorted(labels)
        ]
        rows.append(["all", *(int((parts == kind).sum()) for kind in kinds)])
        page.table([name, *kinds], rows)
        for row in (["", *kinds], *rows):
            print(f"{name:12}" + "".join(f"{cell!s:>12}" for cell in row))
    lost = int((photos.side == 0).sum())
    page.say("Photographs in which no face was found", f"{lost} of {len(photos.side)}; wrong by definition in tests.")
    page.say("Samples")
    tiles = []
    for pixels, labels in ((fer.pixels, own), (photos.crops[photos.side > 0], photos.labels[photos.side > 0])):
        for label in _sorted(labels):
            rows_of_it = np.flatnonzero(labels == label)[:SHOWN]
            row = [captioned(pixels[at], [label] if at == rows_of_it[0] else [], 80) for at in rows_of_it]
            tiles += [*row, *[np.zeros((80, 80, 3), np.uint8)] * (SHOWN - len(row))]
    if tiles:
        page.picture("samples", _png(sheet(tiles, SHOWN)))
    page.write(run / "prepared.html")


def evaluate(recipe: ClassifierRecipe, run: Path, card: Path | None, beside: Sequence[Path] = ()) -> None:
    """The model of a run on the part ``test`` -> ``report.html``, its pictures and ``report.json``; beside the int8
    model of a card, and the courses of other runs.
    """
    test = Faces.of(run / "cache.npz", recipe, "test")
    models = {"float": of_run(recipe, run)}
    if card:
        loaded = bundle.load(card, ClassifierCard)
        if loaded.card.labels != tuple(recipe.labels):
            raise SettingsError(f"{card}: its labels are {loaded.card.labels}, the recipe's {tuple(recipe.labels)}")
        models["int8"] = Classifier(loaded)
    sets = {kind: classifier_metrics.predictions(model.probabilities, test, recipe) for kind, model in models.items()}
    page = Page(f"{recipe.name}: faces it was not trained on")
    _figures(page, run, sets)
    last = sets[list(sets)[-1]]
    labels = list(recipe.labels)
    _by_label(page, last, labels)
    page.draw("confusion", _panels(last, lambda axes, each: _confusion(axes, each, labels)))
    page.draw("roc", _panels(last, lambda axes, each: _roc(axes, each, labels)))
    page.draw("calibration", _panels(last, _reliability))
    page.draw("risk", _risk(last))
    if "photos" in last:
        _photographs(page, models, test, recipe)
    page.draw("course", _courses([run, *beside]))
    name = "photos" if "photos" in last else next(iter(last))
    if tiles := _worst(last[name], _crops(name, test, recipe), labels):
        page.say("Wrong with most certainty", f"Of `{name}`: the answer above, the label below.")
        page.picture("worst", _png(sheet(tiles, 8)))
    else:
        page.say("Wrong with most certainty", f"Of `{name}`: none.")
        (run / "worst.png").unlink(missing_ok=True)
    page.write(run / "report.html")


def _figures(page: Page, run: Path, sets: dict[str, dict[str, Predictions]]) -> None:
    """The figures of all sets, float and int8 in columns, into the page, ``report.json`` and the terminal."""
    columns = {kind: classifier_metrics.figures(each) for kind, each in sets.items()}
    names = list(next(iter(columns.values())))
    (run / "report.json").write_text(
        json.dumps({kind: {name: round(value, 4) for name, value in each.items()} for kind, each in columns.items()})
    )
    page.say("Figures", "right_at_0.8: how many of the surest four in five are right; ece: expected calibration error.")
    page.table(["", *columns], [[name, *(each[name] for each in columns.values())] for name in names])
    print(f"{'':34}" + "".join(f"{kind:>9}" for kind in columns))
    for name in names:
        print(f"{name:34}" + "".join(f"{each[name]:9.4f}" for each in columns.values()))


def _by_label(page: Page, sets: dict[str, Predictions], labels: Sequence[str]) -> None:
    page.say("By label", "Recall, and the area under the receiver operating characteristic, one against the rest.")
    for name, each in sets.items():
        rows = np.bincount(each.truth, minlength=len(labels))
        cells = zip(labels, rows.tolist(), each.recalls().tolist(), each.auc().tolist(), strict=True)
        page.table([name, "faces", "recall", "AUC"], [list(row) for row in cells])


def _photographs(page: Page, models: dict[str, Classifier], test: Faces, recipe: ClassifierRecipe) -> None:
    """What becomes of photographs whose faces are small, or cut a little off."""
    for what, measure in (
        ("face size", classifier_metrics.by_size),
        ("shift of the crop", classifier_metrics.by_shift),
    ):
        found = {kind: measure(model.probabilities, test, recipe) for kind, model in models.items()}
        page.say(f"Photographs by {what}", "Accuracy; a face that was not found is wrong.")
        names = list(next(iter(found.values())))
        page.table(["", *found], [[name, *(each[name] for each in found.values())] for name in names])


def _panels(sets: dict[str, Predictions], draw: Callable[[Axes, Predictions], None]) -> Figure:
    """One drawing a set, side by side."""
    figure = Figure(figsize=(4.8 * len(sets), 4.4), layout="constrained")
    for axes, (name, each) in zip(np.atleast_1d(figure.subplots(1, len(sets))), sets.items(), strict=True):
        draw(axes, each)
        axes.set_title(f"{name}: {each.right.mean():.3f} of {len(each.truth)}")
    return figure


def _confusion(axes: Axes, each: Predictions, labels: Sequence[str]) -> None:
    matrix = each.matrix()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for row, column in np.ndindex(matrix.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="answer", ylabel="truth")


def _roc(axes: Axes, each: Predictions, labels: Sequence[str]) -> None:
    for label, area in enumerate(each.auc()):
        if np.isfinite(area):
            false, true, _ = roc_curve(each.truth == label, each.probabilities[:, label])
            axes.plot(false, true, label=f"{labels[label]} {area:.3f}")
    axes.set(xlabel="false positives", ylabel="true positives")
    axes.legend(fontsize=7)


def _reliability(axes: Axes, each: Predictions) -> None:
    """Share of right answers over certainty (Guo et al. 2017, reliability diagram)."""
    bins = np.minimum((each.certainty * BINS).astype(int), BINS - 1)
    used = np.unique(bins)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.bar([(at + 0.5) / BINS for at in used], [each.right[bins == at].mean() for at in used], width=0.9 / BINS)
    axes.set(xlabel="certainty", ylabel="share right", xlim=(0, 1), ylim=(0, 1))


def _risk(sets: dict[str, Predictions]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, (coverage, right) in zip(sets, classifier_metrics.risk(list(sets.values())), strict=True):
        axes.plot(coverage, right, label=name)
    axes.set(xlabel="share of faces with a verdict", ylabel="of those, share right", xlim=(0, 1), ylim=(0.5, 1.01))
    axes.legend()
    return figure


def _courses(runs: Sequence[Path]) -> Figure:
    """Loss and verdicts over steps, a line a run."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for run in runs:
        if not (run / "course.csv").exists():
            continue
        with (run / "course.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        axes[0].plot([int(row["step"]) for row in rows], [float(row["loss"]) for row in rows], label=run.name)
        judged = [(int(row["step"]), float(row["judged"])) for row in rows if row["judged"]]
        axes[1].plot([step for step, _ in judged], [value for _, value in judged], label=run.name)
    axes[0].set(xlabel="step", ylabel="loss")
    axes[1].set(xlabel="step", ylabel="accuracy on the part tune")
    for each in axes:
        each.legend() if each.lines else None
    return figure


def _crops(name: str, test: Faces, recipe: ClassifierRecipe) -> NDArray[np.uint8]:
    """The crops that the answers of a set are to."""
    if name == "photos":
        return plain(classifier_metrics.photos(test)[1], recipe.width, kept_share(recipe))
    return test.fer


def _worst(each: Predictions, crops: NDArray[np.uint8], labels: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Tiles of the faces answered wrongly with most certainty: answer over truth."""
    wrong = np.where(each.right, 0, each.certainty)
    order = [at for at in np.argsort(-wrong)[:WORST] if wrong[at] > 0]
    words = [[labels[int(each.probabilities[at].argmax())], labels[int(each.truth[at])]] for at in order]
    return [captioned(crops[at], texts, 120) for at, texts in zip(order, words, strict=True)]


def _sorted(labels: NDArray[np.str_]) -> list[str]:
    return sorted(set(labels.tolist()))


def _png(picture: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()
