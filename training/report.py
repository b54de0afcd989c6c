"""Figures and curves of a model -> ``report.json``, ``report.png`` and a sheet of its worst errors."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from training import score
from training.finding import Shown
from training.measure import Answers
from training.scenes import Scene

mpl.use("Agg")
from matplotlib import pyplot as plt

TILE = 260
WORST_AT = 0.4
"""Faces found with at least this score are looked at for the sheet of errors."""


def figures(run: Path, values: dict[str, float]) -> None:
    """Write the figures and print them."""
    (run / "report.json").write_text(json.dumps({name: round(value, 4) for name, value in values.items()}, indent=2))
    for name, value in values.items():
        print(f"{name:34}{value:9.4f}")


def precision_recall(run: Path, curves: dict[str, score.Curve]) -> None:
    """Draw precision over recall of each set."""
    figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
    for name, curve in curves.items():
        axes.plot(
            curve.recall, curve.precision, label=f"{name}: AP {curve.average_precision():.3f}, {curve.labels} faces"
        )
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    figure.savefig(run / "report.png", dpi=120)
    plt.close(figure)


def worst_pictures(run: Path, shown: Sequence[Shown], most: int = 24) -> None:
    """A sheet of the pictures with most wrong at `WORST_AT`: found red, labels green."""
    rows = []
    for each in shown:
        found = [face for face in each.found if face.score >= WORST_AT]
        matched = score.match(score.Picture(found, each.scene.boxes, each.scene.sure))
        false = sum(not right for _, right in matched)
        missed = int(each.scene.sure.sum()) - sum(right for _, right in matched)
        rows.append((false + missed, each.scene, found))
    rows.sort(key=lambda row: -row[0])
    tiles = [_drawn(scene, [face.box for face in found]) for _, scene, found in rows[:most]]
    cv2.imwrite(str(run / "worst.png"), _sheet(tiles))


def _drawn(scene: Scene, found: Sequence[tuple[float, float, float, float]]) -> NDArray[np.uint8]:
    scale = TILE / max(scene.pixels.shape)
    picture = cv2.cvtColor(cv2.resize(scene.pixels, None, fx=scale, fy=scale), cv2.COLOR_GRAY2BGR)
    for boxes, colour in ((scene.boxes[scene.sure], (80, 220, 80)), (found, (60, 60, 240))):
        for x, y, w, h in boxes:
            corners = [(round(float(a) * scale), round(float(b) * scale)) for a, b in ((x, y), (x + w, y + h))]
            cv2.rectangle(picture, *corners, colour, 1)
    tile = np.zeros((TILE, TILE, 3), np.uint8)
    tile[: picture.shape[0], : picture.shape[1]] = picture[:TILE, :TILE]
    return tile


def confusions(run: Path, sets: dict[str, Answers], labels: Sequence[str]) -> None:
    """Draw the confusion matrix of each set, rows the truth, as shares of it."""
    figure, all_axes = plt.subplots(1, len(sets), figsize=(5.4 * len(sets), 5), layout="constrained")
    for axes, (name, each) in zip(np.atleast_1d(all_axes), sets.items(), strict=True):
        matrix = each.matrix()
        shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for row, column in np.ndindex(matrix.shape):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, matrix[row, column], ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="answer", ylabel="truth", title=f"{name}: {each.right.mean():.3f} of {len(each.truth)}")
    figure.savefig(run / "report.png", dpi=110)
    plt.close(figure)


def worst_faces(run: Path, crops: NDArray[np.uint8], each: Answers, labels: Sequence[str], most: int = 40) -> None:
    """A sheet of the faces answered wrongly with most certainty: answer over truth."""
    sure = np.where(each.right, 0, each.probabilities.max(1))
    tiles = []
    for index in np.argsort(-sure)[:most]:
        tile = cv2.cvtColor(cv2.resize(crops[index], (120, 120)), cv2.COLOR_GRAY2BGR)
        words = (labels[int(each.probabilities[index].argmax())], labels[int(each.truth[index])])
        for word, y in zip(words, (12, 114), strict=True):
            cv2.putText(tile, word, (3, y), 0, 0.4, (80, 220, 80), 1, cv2.LINE_AA)
        tiles.append(tile)
    cv2.imwrite(str(run / "worst.png"), _sheet(tiles, 8))


def _sheet(tiles: Sequence[NDArray[np.uint8]], columns: int = 6) -> NDArray[np.uint8]:
    """Tiles of one size -> one picture, rows of so many."""
    filled = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % columns)]
    return np.vstack([np.hstack(filled[at : at + columns]) for at in range(0, len(filled), columns)])
