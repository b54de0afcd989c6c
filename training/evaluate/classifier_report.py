"""Reports of an expression classifier: what was prepared, and how the float and int8 models do on the test set."""

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
from training.data.face_cache import Faces, centre_crops, crop_ratio
from training.data.fer2013 import FerFaces
from training.data.label_targets import FER2013_LABELS
from training.data.photographs import Photographs
from training.evaluate import classifier_metrics
from training.evaluate.classifier_metrics import Predictions
from training.evaluate.contact_sheet import captioned, sheet
from training.evaluate.float_model import classifier_of_run
from training.evaluate.html_page import Page
from training.fit import training_log
from training.recipe import ClassifierRecipe

SAMPLES = 10
"""Samples of each label in the sheet of prepared faces."""
WORST = 40
"""Faces in the sheet of confident errors."""
BINS = 10
"""Bins of the reliability diagram."""


def prepared(run: Path, fer: FerFaces, photos: Photographs) -> None:
    """Write ``prepared.html``, faces by label and part with samples, and print the counts."""
    page = Page("Prepared faces")
    page.add_section(
        "Faces by label and part", "`repeat`: nearly repeats a face of the test or validation set; not trained on."
    )
    own = np.array(FER2013_LABELS)[fer.labels]
    for name, labels, parts in (("FER2013", own, fer.part), ("photographs", photos.labels, photos.part)):
        kinds = sorted(set(parts.tolist()))
        rows = [
            [label, *(int(((labels == label) & (parts == kind)).sum()) for kind in kinds)] for label in _sorted(labels)
        ]
        rows.append(["all", *(int((parts == kind).sum()) for kind in kinds)])
        page.add_table([name, *kinds], rows)
        for row in (["", *kinds], *rows):
            print(f"{name:12}" + "".join(f"{cell!s:>12}" for cell in row))
    lost = int((photos.side == 0).sum())
    page.add_section("Photographs without a detected face", f"{lost} of {len(photos.side)}; wrong in tests.")
    page.add_section("Samples")
    found = photos.side > 0
    tiles = _samples(fer.pixels, own) + _samples(photos.crops[found], photos.labels[found])
    if tiles:
        page.add_image("samples", _png(sheet(tiles, SAMPLES)))
    page.write(run / "prepared.html")


def _samples(faces: NDArray[np.uint8], labels: NDArray[np.str_]) -> list[NDArray[np.uint8]]:
    """A row of `SAMPLES` tiles for each label."""
    tiles = []
    for label in _sorted(labels):
        chosen = np.flatnonzero(labels == label)[:SAMPLES]
        row = [captioned(faces[at], [label] if at == chosen[0] else [], 80) for at in chosen]
        tiles += [*row, *[np.zeros((80, 80, 3), np.uint8)] * (SAMPLES - len(row))]
    return tiles


def evaluate(recipe: ClassifierRecipe, run: Path, card: Path | None, beside: Sequence[Path] = ()) -> None:
    """Measure the model of a run, and the int8 model of a card if given, on the test set.

    Writes ``report.html``, its images and ``report.json``. The learning curves include those of the runs ``beside``.
    """
    test = Faces.load(run / "cache.npz", recipe, "test")
    models = {"float": classifier_of_run(recipe, run)}
    if card:
        loaded = bundle.load(card, ClassifierCard)
        if loaded.card.labels != tuple(recipe.labels):
            raise SettingsError(
                f"{card}: labels must be {tuple(recipe.labels)} as in the recipe, are {loaded.card.labels}"
            )
        models["int8"] = Classifier(loaded)
    sets = {kind: classifier_metrics.predictions(model.probabilities, test, recipe) for kind, model in models.items()}
    page = Page(f"{recipe.name}: test set")
    _add_figures(page, run, sets)
    last = sets[list(sets)[-1]]
    labels = list(recipe.labels)
    _add_labels(page, last, labels)
    page.add_figure("confusion", _panels(last, lambda axes, each: _draw_confusion(axes, each, labels)))
    page.add_figure("roc", _panels(last, lambda axes, each: _draw_roc(axes, each, labels)))
    page.add_figure("calibration", _panels(last, _draw_reliability))
    page.add_figure("coverage", _draw_coverage(last))
    if "photos" in last:
        _add_photographs(page, models, test, recipe)
    page.add_figure("learning_curve", _draw_learning_curves([run, *beside]))
    _add_errors(page, run, last, test, recipe)
    page.write(run / "report.html")


def _add_figures(page: Page, run: Path, sets: dict[str, dict[str, Predictions]]) -> None:
    """Add the metrics of all sets, float and int8 in columns; write ``report.json`` and print them."""
    columns = {kind: classifier_metrics.figures(each) for kind, each in sets.items()}
    (run / "report.json").write_text(
        json.dumps({kind: {name: round(value, 4) for name, value in each.items()} for kind, each in columns.items()})
    )
    names = list(next(iter(columns.values())))
    page.add_section("Metrics", "`right_at_0.8`: accuracy of the four fifths of the faces with the highest confidence.")
    page.add_table(["", *columns], [[name, *(each[name] for each in columns.values())] for name in names])
    print(f"{'':34}" + "".join(f"{kind:>9}" for kind in columns))
    for name in names:
        print(f"{name:34}" + "".join(f"{each[name]:9.4f}" for each in columns.values()))


def _add_labels(page: Page, sets: dict[str, Predictions], labels: Sequence[str]) -> None:
    page.add_section("By label", "Recall, and area under the ROC curve of each label against the rest.")
    for name, each in sets.items():
        rows = np.bincount(each.truth, minlength=len(labels))
        cells = zip(labels, rows.tolist(), each.recalls().tolist(), each.auc().tolist(), strict=True)
        page.add_table([name, "faces", "recall", "AUC"], [list(row) for row in cells])


def _add_photographs(page: Page, models: dict[str, Classifier], test: Faces, recipe: ClassifierRecipe) -> None:
    """Add accuracy on labelled images by face size and by shift of the crop."""
    for what, measure in (
        ("face size", classifier_metrics.accuracy_by_face_size),
        ("shift of the crop", classifier_metrics.accuracy_by_shift),
    ):
        columns = {kind: measure(model.probabilities, test, recipe) for kind, model in models.items()}
        page.add_section(f"Photographs by {what}", "Accuracy; a face that was not detected is wrong.")
        names = list(next(iter(columns.values())))
        page.add_table(["", *columns], [[name, *(each[name] for each in columns.values())] for name in names])


def _add_errors(page: Page, run: Path, sets: dict[str, Predictions], test: Faces, recipe: ClassifierRecipe) -> None:
    """Add a sheet of the most confident errors, on labelled images if there are any."""
    name = "photos" if "photos" in sets else next(iter(sets))
    crops = (
        centre_crops(classifier_metrics.photos(test)[1], recipe.width, crop_ratio(recipe))
        if name == "photos"
        else test.fer
    )
    if tiles := _confident_errors(sets[name], crops, list(recipe.labels)):
        page.add_section("Most confident errors", f"Of `{name}`: prediction above, truth below.")
        page.add_image("worst", _png(sheet(tiles, 8)))
    else:
        page.add_section("Most confident errors", f"Of `{name}`: none.")
        (run / "worst.png").unlink(missing_ok=True)


def _confident_errors(each: Predictions, crops: NDArray[np.uint8], labels: Sequence[str]) -> list[NDArray[np.uint8]]:
    """Tiles of the wrong predictions with the highest confidence."""
    wrong = np.where(each.correct, 0, each.confidence)
    order = [at for at in np.argsort(-wrong)[:WORST] if wrong[at] > 0]
    captions = [[labels[int(each.predicted[at])], labels[int(each.truth[at])]] for at in order]
    return [captioned(crops[at], texts, 120) for at, texts in zip(order, captions, strict=True)]


def _panels(sets: dict[str, Predictions], draw: Callable[[Axes, Predictions], None]) -> Figure:
    """One panel for each set, side by side."""
    figure = Figure(figsize=(4.8 * len(sets), 4.4), layout="constrained")
    for axes, (name, each) in zip(np.atleast_1d(figure.subplots(1, len(sets))), sets.items(), strict=True):
        draw(axes, each)
        axes.set_title(f"{name}: {each.correct.mean():.3f} of {len(each.truth)}")
    return figure


def _draw_confusion(axes: Axes, each: Predictions, labels: Sequence[str]) -> None:
    matrix = each.confusion_matrix()
    ratios = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(ratios, vmin=0, vmax=1, cmap="Blues")
    for row, column in np.ndindex(matrix.shape):
        colour = "white" if ratios[row, column] > 0.5 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="prediction", ylabel="truth")


def _draw_roc(axes: Axes, each: Predictions, labels: Sequence[str]) -> None:
    for label, area in enumerate(each.auc()):
        if np.isfinite(area):
            false, true, _ = roc_curve(each.truth == label, each.probabilities[:, label])
            axes.plot(false, true, label=f"{labels[label]} {area:.3f}")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(fontsize=7)


def _draw_reliability(axes: Axes, each: Predictions) -> None:
    """Reliability diagram: accuracy over confidence (Guo et al. 2017)."""
    bins = np.minimum((each.confidence * BINS).astype(int), BINS - 1)
    used = np.unique(bins)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.bar([(at + 0.5) / BINS for at in used], [each.correct[bins == at].mean() for at in used], width=0.9 / BINS)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))


def _draw_coverage(sets: dict[str, Predictions]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    curves = classifier_metrics.accuracy_over_coverage(list(sets.values()))
    for name, (coverage, accuracy) in zip(sets, curves, strict=True):
        axes.plot(coverage, accuracy, label=name)
    axes.set(xlabel="fraction of faces not `unknown`", ylabel="accuracy of those", xlim=(0, 1), ylim=(0.5, 1.01))
    axes.legend()
    return figure


def _draw_learning_curves(runs: Sequence[Path]) -> Figure:
    """Training loss and validation accuracy over steps, one line for each run."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for run in runs:
        rows = training_log.read(run / training_log.NAME)
        for axes, column in ((loss, "loss"), (accuracy, training_log.METRIC + "accuracy")):
            if points := training_log.curve(rows, column):
                axes.plot(*zip(*points, strict=True), label=run.name)
    loss.set(xlabel="step", ylabel="training loss")
    accuracy.set(xlabel="step", ylabel="validation accuracy")
    for axes in (loss, accuracy):
        if axes.lines:
            axes.legend()
    return figure


def _sorted(labels: NDArray[np.str_]) -> list[str]:
    return sorted(set(labels.tolist()))


def _png(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()
