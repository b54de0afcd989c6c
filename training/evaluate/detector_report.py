"""What a detector found in pictures held back -> ``report.json``, ``report.png`` and a sheet of its worst errors."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
from matplotlib.figure import Figure

from training.evaluate import precision_recall
from training.evaluate.contact_sheet import GREEN, RED, boxed, sheet
from training.evaluate.detector_metrics import SceneDetections

TILE = 260
WORST_AT = 0.4
"""Faces found with at least this score are looked at for the sheet of errors."""


def figures(run: Path, values: dict[str, float]) -> None:
    """Write the figures and print them."""
    (run / "report.json").write_text(json.dumps({name: round(value, 4) for name, value in values.items()}, indent=2))
    for name, value in values.items():
        print(f"{name:34}{value:9.4f}")


def precision_recall(run: Path, curves: dict[str, precision_recall.Curve]) -> None:
    """Draw precision over recall of each set."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        words = f"{name}: AP {curve.average_precision():.3f}, {curve.labels} faces"
        axes.plot(curve.recall, curve.precision, label=words)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    figure.savefig(run / "report.png", dpi=120)


def worst_pictures(run: Path, shown: Sequence[SceneDetections], most: int = 24) -> None:
    """A sheet of the pictures with most wrong at `WORST_AT`: found red, labels green."""
    rows = []
    for each in shown:
        found = [face for face in each.found if face.score >= WORST_AT]
        matched = precision_recall.match(precision_recall.ImageDetections(found, each.scene.boxes, each.scene.sure))
        false = sum(not right for _, right in matched)
        missed = int(each.scene.sure.sum()) - sum(right for _, right in matched)
        rows.append((false + missed, each.scene, [face.box for face in found]))
    rows.sort(key=lambda row: -row[0])
    tiles = [
        boxed(scene.pixels, [(scene.boxes[scene.sure].tolist(), GREEN), (found, RED)], TILE)
        for _, scene, found in rows[:most]
    ]
    cv2.imwrite(str(run / "worst.png"), sheet(tiles))
