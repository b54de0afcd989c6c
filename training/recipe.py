"""A TOML file -> how one model is made."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from base.errors import SettingsError
from base.toml_settings import read_toml

Positive = Annotated[int, Meta(gt=0)]
ABOUT = ("version", "steps", "data", "licence")
"""Keys that may change while a model is trained: what it is called, and for how long."""


class Common(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both tasks set: the name of the model, its input, and how long and with what it is trained."""

    name: str
    version: str = "1.0.0"
    width: Positive
    height: Positive
    steps: Positive
    batch: Positive
    peak_rate: float
    weight_decay: float = 1e-4
    ema: float = 0.998
    seed: int = 1
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """What activations are computed in while training; weights and losses are float32."""

    start: str | None = None
    """What to train on from: the folder of a run, or the card of a bundle of the same network; otherwise anew."""
    data: str = "Not said by the recipe."
    """What the model is trained on, whose it is and under which licences, for its card; and ``licence``, of its
    weights."""
    licence: str = "Not said by the recipe."

    def keep(self, run: Path) -> None:
        """Leave the recipe in the run's folder, beside what is made by it; SettingsError if there is a checkpoint of
        another one, which would be trained on. More steps are the same recipe.
        """
        run.mkdir(parents=True, exist_ok=True)
        if (run / "checkpoint.keras").exists() and (run / "recipe.json").exists():
            before, now = (msgspec.structs.asdict(made) for made in (read_run_recipe(run), self))
            other = [key for key in now if key not in ABOUT and now[key] != before.get(key)]
            if other:
                was = ", ".join(f"model.{key} was {before.get(key)!r}" for key in other)
                raise SettingsError(f"{run}: begun with another recipe ({was}); take another folder")
        (run / "recipe.json").write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")


class DetectorRecipe(Common, frozen=True, tag_field="task", tag="detect", kw_only=True):
    """A face detector from scenes with boxes."""

    teacher: str | None = None
    """A YuNet file: when data is prepared it looks for faces on what nobody drew boxes on, in several sizes; otherwise
    its one look in faces.csv counts."""
    mine: tuple[str, ...] = ()
    """Cards of detectors: what they take for faces where nothing is one, is trained on more often than other places."""
    steps: Annotated[int, Meta(ge=0)]
    mixed: dict[str, Annotated[float, Meta(gt=0)]] = {}
    """Folders of runs, or snapshots that they left, and what each weighs: training begins from the mean of their
    weights in place of ``start`` (Wortsman et al. 2022, model soups). They must come from one start. With ``steps = 0``
    the mean is the model."""
    boxes_only: bool = False
    """Whether only the layers that place boxes learn, and scores stay those of ``start``."""


class ClassifierRecipe(Common, frozen=True, tag_field="task", tag="classify", kw_only=True):
    """An expression classifier from FER2013 with FER+ votes and from photographs.

    ``labels`` maps each label of the model, in its order, onto weights of FER+ votes:
    ``happiness = {happiness = 1}``, or ``satisfied = {happiness = 1, surprise = 0.5}``.
    """

    labels: dict[str, dict[str, float]]
    network: Literal["cnn", "plain", "wide", "transfer", "dense"]
    upscale: Positive = 1
    """The networks ``wide`` and ``transfer`` see their input so many times larger: teachers may cost more."""
    backbone: str | None = None
    pretrained: bool = True
    """Whether the backbone's weights are taken, too, or its layers alone, to see what the weights are worth."""
    front: tuple[Positive, Positive, Positive, Positive] = (32, 64, 48, 2)
    """Of the network ``dense``: channels of its two convolutions that halve the side, channels inside its first
    residual blocks, and how many of those there are."""
    front_steps: Annotated[int, Meta(ge=0)] = 0
    """So many steps the front of ``dense`` learns to give what the first layers of ``like`` give, whose other layers it
    begins with: a run of ``dense``, or of ``transfer`` with ``enlarge = 2``; the backbone itself unless said."""
    like: str | None = None
    frozen_steps: Annotated[int, Meta(ge=0)] = 0
    """So many steps the head alone is trained, before the backbone, too."""
    patience: Annotated[int, Meta(ge=0)] = 0
    """Stop after so many verdicts (every 200 steps, on the part ``tune``) without a better one; 0: never."""
    teachers: tuple[str, ...] = ()
    """Runs of trained models, or cards of bundles, with the same labels, whose mean answer is mixed into the targets
    (Hinton et al. 2015)."""
    teacher_weight: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """How much of the targets of FER2013's faces the teachers' answer is, and ``photo_teacher_weight`` of photographs',
    whose one label each may be wrong; a teacher that was trained on a photograph has learnt its label, too."""
    photo_teacher_weight: Annotated[float, Meta(ge=0, le=1)] = 0.0
    teacher_input: Literal["faces", "views"] = "faces"
    """Whether teachers answer once to each face, or, while training goes on, to each picture that the model is shown
    (Beyer et al. 2022, consistent teaching)."""
    mixup: Annotated[float, Meta(ge=0)] = 0.0
    """Faces of a batch are blended in pairs, targets too, by shares from a beta distribution with both parameters this
    (Zhang et al. 2018); 0: never."""
    margin: Annotated[float, Meta(gt=-0.5, le=0.3)]
    """Of the crop; photographs are kept with no more around the box (`training.data.photographs.MARGIN`)."""
    align: Literal["none"] = "none"
    """A device could turn the eyes level (the card's ``align``); nothing here trains on faces so turned."""
    photo_fraction: Annotated[float, Meta(ge=0, le=1)] = 0.25
    photo_fold: Annotated[int, Meta(ge=0, lt=5)] | None = None
    """Cross-validation: the photographs of this fold are for the test, all others but those of ``tune`` for
    training."""
    fer_labels: Literal["votes", "own"] = "votes"
    """FER+ votes, or FER2013's own label."""
    repeats: Literal["out", "in"] = "out"
    """Whether faces that look like one of the test or of ``tune`` are trained on, as for published tables, which that
    flatters. No bundle is made of such a run."""
    balance: Annotated[float, Meta(ge=0, le=1)] = 0.4
    """A label is drawn in proportion to its frequency to the power of 1 minus this (0: as it comes, 1: all alike)."""
    vary: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """How far, and how often, the faces trained on are turned, moved, spoilt and covered: 1 as a camera in a shop might
    see them, 0 mirrored at most."""
    min_face_px: Positive = 24

    def alike(self, key: str, run: Path, *keys: str) -> None:
        """Whether another run's recipe says the same of some keys; SettingsError that names the first it does not.
        ``key`` is the one that names the run. None that trained on repeats stands behind one that leaves them out.
        """
        other = read_run_recipe(run)
        for each in (*keys, "repeats") if self.repeats == "out" else keys:
            wanted, given = (_comparable(getattr(made, each, None)) for made in (self, other))
            if given != wanted:
                raise SettingsError(f"{key}: {run} has model.{each} {given}, not {wanted}")


Recipe = DetectorRecipe | ClassifierRecipe


def _comparable(value: object) -> object:
    """Labels by their names in order: how they are made of votes may differ."""
    return list(value) if isinstance(value, dict) else value


class _Holder(Struct, frozen=True, forbid_unknown_fields=True):
    model: Recipe


def read(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """A recipe file (one table, ``[model]``) -> the recipe; SettingsError that names file, key and what is allowed."""
    return read_toml(path, _Holder, overrides).model


def read_run_recipe(run: Path) -> Recipe:
    """What `Common.keep` left in a run's folder; SettingsError if there is none or it is broken."""
    path = run / "recipe.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recipe)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}: {error}; python -m training train writes it") from error
