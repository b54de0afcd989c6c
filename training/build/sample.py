"""Copy a small sample of a data folder, for smoke tests of a whole chain."""

import shutil
import zipfile
from pathlib import Path

import pandas as pd

from training.data import everyday_images
from training.data.fer2013 import csv_path
from training.data.labelled_images import is_validation, validation_list

IMAGES = 8
"""Images of each kind, in the training and in the validation set."""
FACES = 200
"""Faces of FER2013 of each usage."""


def write(data: Path, out: Path) -> Path:
    """Copy the first images of each kind and faces of each usage from ``data`` to ``out``, and return ``out``.

    Nothing is done if ``out`` exists.
    """
    if out.exists():
        return out
    partial = out.with_name(out.name + ".writing")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if (data / "scenes.zip").exists():
        listed = validation_list()
        table = pd.read_csv(data / "images.csv", keep_default_na=False)
        table["held"] = [is_validation(name, listed) for name in table.image]
        table["part"] = table.held & (table.kind != "labelled-video")
        chosen = table.groupby(["kind", "part"], sort=False).head(IMAGES).drop(columns=["held", "part"])
        _copy_images(data, partial, chosen, ("scenes.zip", "images.csv", "faces.csv"))
    if (data / everyday_images.ARCHIVE).exists():
        table = pd.read_csv(data / everyday_images.IMAGES, keep_default_na=False)
        drawn = set(pd.read_csv(data / everyday_images.FACES).image)
        kinds = [table.kind, table.image.isin(drawn), table.part]
        chosen = table.groupby(kinds, sort=False).head(IMAGES)
        names = (everyday_images.ARCHIVE, everyday_images.IMAGES, everyday_images.FACES)
        _copy_images(data, partial, chosen, names)
    if (data / "fer2013").is_dir():
        _copy_fer2013(data / "fer2013", partial / "fer2013")
    partial.rename(out)
    return out


def _copy_images(data: Path, out: Path, chosen: pd.DataFrame, names: tuple[str, str, str]) -> None:
    """Write the archive, the list of images and the list of faces with the chosen images only."""
    archive, images, faces = names
    chosen.to_csv(out / images, index=False)
    table = pd.read_csv(data / faces)
    table[table.image.isin(set(chosen.image))].to_csv(out / faces, index=False)
    with zipfile.ZipFile(data / archive) as whole, zipfile.ZipFile(out / archive, "w") as part:
        held = set(whole.namelist())
        for name in chosen.image:
            if name in held:
                part.writestr(name, whole.read(name))


def _copy_fer2013(folder: Path, out: Path) -> None:
    """Write FER2013 and its votes with the first faces of each usage."""
    out.mkdir()
    table = pd.read_csv(csv_path(folder), dtype=str)
    rows = table.groupby("Usage", sort=False).head(FACES).index
    table.loc[rows].to_csv(out / "fer2013.csv", index=False)
    if (folder / "fer2013new.csv").exists():
        pd.read_csv(folder / "fer2013new.csv", dtype=str).loc[rows].to_csv(out / "fer2013new.csv", index=False)
