"""Report of a face check: ``report.json``, ROC curves, and a sheet of the worst errors."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from training.data.check_candidates import Candidates
from training.data.labelled_images import Floats
from training.evaluate import check_metrics
from training.evaluate.contact_sheet import captioned, sheet
from training.evaluate.detector_report import write_figures

EACH = 24
"""Look-alikes with the highest face scores in the sheet, and as many faces with the lowest."""
TILE = 120
"""Side of a tile, pixels."""


def write(run: Path, part: Candidates, checked: Floats) -> None:
    """Write ``report.json``, ``report.png`` and ``worst.png`` for face scores ``checked`` (n,), and print figures."""
    write_figures(run, check_metrics.figures(part, checked))
    _draw_curves(run / "report.png", part, checked)
    _draw_worst(run / "worst.png", part, checked)


def _draw_curves(path: Path, part: Candidates, checked: Floats) -> None:
    """Plot the fraction of faces over that of look-alikes, for the detectors' scores and for face scores."""
    faces, backs, others = check_metrics.groups(part)
    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, (name, negatives) in zip(
        figure.subplots(1, 2), (("backs of heads", backs), ("other look-alikes", others)), strict=True
    ):
        for what, scores in (("detector's score", part.score), ("face score", checked)):
            if faces.any() and negatives.any():
                both = faces | negatives
                false, true, _ = roc_curve(faces[both], scores[both])
                axes.plot(false, true, label=what)
        axes.set(xlabel=f"fraction of {name}", ylabel="fraction of faces", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend()
    figure.savefig(path, dpi=120)


def _draw_worst(path: Path, part: Candidates, checked: Floats) -> None:
    """Draw the look-alikes with the highest face scores and the faces with the lowest, with both scores."""
    faces, backs, others = check_metrics.groups(part)
    order = np.argsort(-checked, kind="stable")
    look_alikes, missed = order[(backs | others)[order]][:EACH], order[faces[order]][::-1][:EACH]
    tiles = [
        captioned(part.crop(row), [what, f"{part.score[row]:.2f} > {checked[row]:.2f}"], TILE)
        for what, rows in (("no face", look_alikes), ("face", missed))
        for row in rows
    ]
    if tiles:
        cv2.imwrite(str(path), sheet(tiles, 8))
