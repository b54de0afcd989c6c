"""Recipes: one TOML file describes one training run of a face detector, a face check or an expression classifier."""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from base.errors import SettingsError
from base.toml_settings import read_toml

Positive = Annotated[int, Meta(gt=0)]
NotNegative = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]

CHANGEABLE = ("version", "steps", "data", "licence")
"""Keys that may change while a run is under way: the words on its card, and how long it trains."""
RENAMED = {
    "like": "front_teacher",
    "enlarge": "upscale",
    "teacher_share": "teacher_weight",
    "photo_teacher_share": "photo_teacher_weight",
    "teachers_see": "teacher_input",
    "photo_share": "photo_fraction",
    "repeats": "near_duplicates",
    "vary": "augment_strength",
    "mine": "mine_with",
    "mixed": "average_of",
}
"""Former names of keys, and what they are called now."""


class Common(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Keys of all tasks."""

    name: str
    """Name of the model, of its bundle's files and on its card."""
    version: str = "1.0.0"
    """Version on the card."""
    width: Positive
    """Input width, pixels."""
    height: Positive
    """Input height, pixels."""
    steps: Positive
    """Number of optimiser steps."""
    batch: Positive
    """Images in a batch."""
    peak_rate: float
    """Highest learning rate, after warm-up and before cosine decay."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    ema: float = 0.998
    """Momentum of the exponential moving average of the weights, which is the model that a run ends with."""
    seed: int = 1
    """Seed of the initial weights and of all random choices."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Type of the activations during training; weights and losses are float32."""
    start: str | None = None
    """Initial weights: the folder of a run, or the card of a bundle of the same network. Random weights if not set."""
    data: str = "Not stated in the recipe."
    """Training data, their owners and licences, for the card."""
    licence: str = "Not stated in the recipe."
    """Licence of the weights, for the card."""

    def save_to(self, run: Path) -> None:
        """Write the recipe into a run's folder.

        SettingsError if the folder holds a checkpoint that was trained with another recipe. The keys of `CHANGEABLE`
        may differ.
        """
        run.mkdir(parents=True, exist_ok=True)
        if (run / "checkpoint.keras").exists() and (run / "recipe.json").exists():
            before, now = (msgspec.structs.asdict(each) for each in (read_run_recipe(run), self))
            other = [key for key in now if key not in CHANGEABLE and now[key] != before.get(key)]
            if other:
                was = ", ".join(f"model.{key} was {before.get(key)!r}" for key in other)
                raise SettingsError(f"{run}: holds the checkpoint of another recipe ({was}); use another folder")
        (run / "recipe.json").write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")


class DetectorRecipe(Common, frozen=True, tag_field="task", tag="detect", kw_only=True):
    """A face detector, trained on images with boxes."""

    teacher: str | None = None
    """ONNX file of YuNet, which labels the images without hand-drawn boxes when data are prepared, at several sizes and
    mirrored. If not set, the teacher's labels in ``faces.csv`` are used."""
    mine_with: tuple[str, ...] = ()
    """Cards of detectors. What they detect where no face is becomes a hard negative when data are prepared."""
    mine_heads: bool = False
    """Whether hand-drawn boxes of heads seen from behind are hard negatives, too."""
    mined_fraction: Fraction = 0.15
    """Fraction of the tiles of a collage that show a hard negative."""
    large_face_fraction: Fraction = 0.0
    """Fraction of the tiles scaled so that a face is 0.35 to 1.1 times as large as the input's shorter side."""
    steps: NotNegative
    """Number of optimiser steps. With 0 the initial weights are the model."""
    average_of: dict[str, Annotated[float, Meta(gt=0)]] = {}
    """Initial weights: the weighted mean of several runs or snapshots, path to weight (Wortsman et al. 2022, model
    soups). They must share a common start."""
    boxes_only: bool = False
    """Whether only the layers that predict boxes are trained; scores stay those of ``start``."""


class CheckRecipe(Common, frozen=True, tag_field="task", tag="check", kw_only=True):
    """A face check, trained on the detections of face detectors."""

    width: Positive = 64
    """Input width, pixels: a multiple of 32, as large as the height."""
    height: Positive = 64
    """Input height, pixels."""
    batch: Positive = 192
    """Detections in a batch, half of them of faces."""
    peak_rate: float = 2e-3
    """Highest learning rate, after warm-up and before cosine decay."""
    weight_decay: float = 5e-3
    """Weight decay of AdamW."""
    start: str | None = None
    """Initial weights of the first layers: the card of a detector, or the folder of a detector's run. Random weights if
    not set."""
    detectors: Annotated[tuple[str, ...], Meta(min_length=1)] = ("face-416x320", "face-640x480")
    """Cards of the detectors whose detections are checked, or names of shipped bundles."""
    teacher: str | None = None
    """ONNX file of YuNet, which labels detections in the images without hand-drawn boxes when data are prepared. If not
    set, these images are left out."""
    margin: Annotated[float, Meta(gt=-0.5, le=0.75)] = 0.55
    """Margin of the crop on each side, as a fraction of the box. Crops are cached with 0.75."""
    score_weight: Annotated[float, Meta(ge=0)] = 0.5
    """In training, the logit of the detector's score times this is added to the output: the network learns what the
    score does not say."""
    weight: Annotated[float, Meta(gt=0, le=10)]
    """Weight of the output in the face score, for the card."""
    bias: Annotated[float, Meta(ge=-20, le=20)]
    """Bias of the face score, for the card."""
    checked_below: Fraction
    """Detections with this score or more are not checked, for the card."""


class ClassifierRecipe(Common, frozen=True, tag_field="task", tag="classify", kw_only=True):
    """An expression classifier, trained on FER2013 with FER+ votes and on labelled images."""

    labels: dict[str, dict[str, float]]
    """Each label of the model, in output order, and the votes or labels of the data it is made of, with weights:
    ``satisfied = { happiness = 1, surprise = 0.5 }``."""
    network: Literal["cnn", "plain", "wide", "transfer", "dense"]
    """Architecture, see `training.networks.architectures`."""
    upscale: Positive = 1
    """Factor by which ``wide`` and ``transfer`` upscale their input, for teachers."""
    backbone: str | None = None
    """Face-recognition backbone of ``transfer`` and ``dense``: ``NAME.npz``, with ``NAME.json`` beside it."""
    pretrained: bool = True
    """Whether the backbone's weights are loaded, or only its architecture."""
    front: tuple[Positive, Positive, Positive, Positive] = (32, 64, 48, 2)
    """First layers of ``dense``: channels of the two strided convolutions, inner channels of the residual blocks, and
    number of blocks."""
    front_steps: NotNegative = 0
    """Steps in which the front of ``dense`` learns to reproduce the first layers of ``front_teacher``."""
    front_teacher: str | None = None
    """Run whose first layers the front imitates and whose later layers are copied: of ``dense``, or of ``transfer``
    with ``upscale = 2``. The backbone if not set."""
    frozen_steps: NotNegative = 0
    """Steps in which only the last layer is trained, before all layers are."""
    patience: NotNegative = 0
    """Epochs without better validation accuracy after which training stops and the best model is kept; 0: never."""
    teachers: tuple[str, ...] = ()
    """Runs or cards of bundles with the same labels, whose mean prediction is mixed into the targets (Hinton et al.
    2015, distillation)."""
    teacher_weight: Fraction = 0.5
    """Weight of the teachers' prediction in the targets of FER2013's faces."""
    photo_teacher_weight: Fraction = 0.0
    """Weight of the teachers' prediction in the targets of labelled images. A teacher that was trained on them has
    learnt their labels, too."""
    teacher_input: Literal["faces", "views"] = "faces"
    """Whether teachers predict once for each face, or for each augmented view that the model is shown (Beyer et al.
    2022, consistent teaching)."""
    mixup: Annotated[float, Meta(ge=0)] = 0.0
    """Both parameters of the beta distribution of mixup (Zhang et al. 2018); 0: no mixup."""
    margin: Annotated[float, Meta(gt=-0.5, le=0.3)]
    """Margin of the crop on each side, as a fraction of the box. Labelled images are cached with 0.3."""
    align: Literal["none"] = "none"
    """Alignment of the crop. Devices can rotate the eyes level; training cannot yet."""
    photo_fraction: Fraction = 0.25
    """Fraction of a batch that is labelled images; the others are faces of FER2013."""
    photo_fold: Annotated[int, Meta(ge=0, lt=5)] | None = None
    """Cross-validation: fold of the labelled images that is held out as the test set."""
    fer_labels: Literal["votes", "own"] = "votes"
    """Targets of FER2013's faces: FER+ votes, or FER2013's own label."""
    near_duplicates: Literal["exclude", "include"] = "exclude"
    """Whether training faces that nearly repeat one of the test or validation set are used. No bundle is made of such a
    run; it is for comparison with published tables."""
    balance: Fraction = 0.4
    """Class balance: a label is drawn in proportion to its frequency to the power of 1 minus this."""
    augment_strength: Fraction = 1.0
    """Strength and frequency of augmentation: 1 as in a shop's camera, 0 mirrored at most."""
    min_face_px: Positive = 24
    """Longer side of a face, pixels, below which a device predicts ``unknown``."""

    def require_same(self, key: str, run: Path, *keys: str) -> None:
        """SettingsError if the recipe of another run differs in one of ``keys``; ``key`` is the one that names the run.

        A recipe that excludes near-duplicates requires the same of the runs it builds on.
        """
        other = read_run_recipe(run)
        for each in (*keys, "near_duplicates") if self.near_duplicates == "exclude" else keys:
            wanted, given = (_comparable(getattr(made, each, None)) for made in (self, other))
            if given != wanted:
                raise SettingsError(f"{key}: {run} has model.{each} {given}, must be {wanted}")


Recipe = DetectorRecipe | CheckRecipe | ClassifierRecipe


def _comparable(value: object) -> object:
    """Labels by their names in order: how they are made of votes may differ."""
    return list(value) if isinstance(value, dict) else value


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    model: Recipe


def read(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe file, one table ``[model]``; SettingsError names the file, the key and what is allowed."""
    try:
        return read_toml(path, _File, overrides).model
    except SettingsError as error:
        unknown = re.search(r"unknown key 'model\.(\w+)'", str(error))
        if unknown and unknown[1] in RENAMED:
            new = RENAMED[unknown[1]]
            raise SettingsError(f"{path}: key 'model.{unknown[1]}' is now called 'model.{new}'") from error
        raise


def read_run_recipe(run: Path) -> Recipe:
    """Read the recipe that `Common.save_to` wrote; SettingsError if it is missing or not valid."""
    path = run / "recipe.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recipe)
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"{path}: {error}; `python -m training train` writes it") from error
