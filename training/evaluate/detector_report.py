"""Report of a face detector: ``report.json``, precision over recall, and a sheet of the worst images."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
from matplotlib.figure import Figure

from training.evaluate import precision_recall
from training.evaluate.contact_sheet import GREEN, RED, boxed, sheet
from training.evaluate.detector_metrics import SceneDetections

TILE = 260
"""Side of a tile in the sheet, pixels."""
MIN_SCORE = 0.4
"""Lowest score of the detections in the sheet of worst images."""


def write_figures(run: Path, values: dict[str, float]) -> None:
    """Write metrics to ``report.json`` and print them."""
    (run / "report.json").write_text(json.dumps({name: round(value, 4) for name, value in values.items()}, indent=2))
    for name, value in values.items():
        print(f"{name:34}{value:9.4f}")


def draw_precision_recall(run: Path, curves: dict[str, precision_recall.Curve]) -> None:
    """Plot precision over recall for each set of images to ``report.png``."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        label = f"{name}: AP {curve.average_precision():.3f}, {curve.labels} faces"
        axes.plot(curve.recall, curve.precision, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    figure.savefig(run / "report.png", dpi=120)


def draw_worst(run: Path, images: Sequence[SceneDetections], most: int = 24) -> None:
    """Write ``worst.png``: the images with most errors at `MIN_SCORE`, detections in red and labels in green."""
    rows = []
    for each in images:
        detections = [face for face in each.detections if face.score >= MIN_SCORE]
        matches = precision_recall.match(
            precision_recall.ImageDetections(detections, each.scene.boxes, each.scene.certain)
        )
        false = sum(not correct for _, correct in matches)
        missed = int(each.scene.certain.sum()) - sum(correct for _, correct in matches)
        rows.append((false + missed, each.scene, [face.box for face in detections]))
    rows.sort(key=lambda row: -row[0])
    tiles = [
        boxed(scene.pixels, [(scene.boxes[scene.certain].tolist(), GREEN), (boxes, RED)], TILE)
        for _, scene, boxes in rows[:most]
    ]
    cv2.imwrite(str(run / "worst.png"), sheet(tiles))
