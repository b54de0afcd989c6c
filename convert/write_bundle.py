"""A run of training -> a bundle: the int8 file, and the card that says all of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.card import Card, ClassifierCard, Crop, DetectorCard, Golden, Input, pack, write_card
from contract.errors import BundleError
from convert import gate, visit_confusion
from convert.golden_samples import drawn
from convert.quantise import floats, operators, quantise, write
from edge.vision import bundle
from edge.vision.bundle import Bundle, golden_output
from edge.vision.classify import Classifier
from edge.vision.detect import Detector, letterbox
from edge.vision.interpreter import Interpreter
from training import recipe
from training.data import labelled_images
from training.data.face_cache import Faces
from training.data.label_targets import Mapping
from training.evaluate import classifier_metrics, detector_metrics, float_model
from training.fit.detector_targets import STRIDES
from training.networks.architectures import exact, restored, sized
from training.recipe import ClassifierRecipe, DetectorRecipe

CALIBRATION = 200
TOLERANCE = 16
"""Steps of 256 by which a golden output may differ: ai-edge-litert 2.3 and tflite-runtime 2.14 were seen 9 apart."""
RAISED = "It was set higher by hand. "
UNKNOWN_SHARE = 0.05
"""``unknown_below`` is set so that this share of the tuning part's faces is left without a verdict."""
SEED = 1
"""Of the looks that visits are made of."""


@dataclass(frozen=True, slots=True)
class Run:
    """A folder of training: recipe, float model, cache."""

    folder: Path
    recipe: recipe.Recipe
    model: keras.Model
    threshold: float = 0.0


def open_run(folder: Path, size: tuple[int, int] | None = None, threshold: float = 0.0) -> Run:
    """A folder that `training train` has filled -> its parts; BundleError if one is missing.

    A detector's weights fit other sizes of input than the recipe's, too: (height, width), multiples of 8. Its name then
    says so. Its threshold is at least the one given.
    """
    for name in ("recipe.json", "model.keras", "cache.npz"):
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: not there; python -m training prepare and train come first")
    made = recipe.read_run_recipe(folder)
    model = restored(folder / "model.keras")
    if isinstance(made, DetectorRecipe):
        if size:
            name = f"{made.name}-{size[1]}x{size[0]}"
            made = msgspec.structs.replace(made, height=size[0], width=size[1], name=name)
        model = sized(model, made.height, made.width)
    elif size or threshold:
        raise BundleError(
            f"{folder}: --size and --threshold are for detectors; a classifier keeps what it was trained at"
        )
    elif made.repeats == "in":
        raise BundleError(f"{folder}: trained on repeats of the test's faces (model.repeats); no bundle is made of it")
    else:
        model = exact(model)
    return Run(folder, made, model, threshold)


def make(run: Run, out: Path) -> Card:
    """Quantise, measure float and int8, write ``NAME.tflite`` and ``NAME.json``; BundleError if the gate refuses."""
    detects = isinstance(run.recipe, DetectorRecipe)
    pictures = _detector_calibration(run) if detects else _classifier_calibration(run)
    content = quantise(run.model, "detect" if detects else "classify", pictures[..., None])
    if left := floats(content):
        raise BundleError(f"{run.recipe.name}: not int8 throughout: {', '.join(left)}")
    model = Interpreter(content)
    card = _detector_card(run, content, model) if detects else _classifier_card(run, content, model)
    out.mkdir(parents=True, exist_ok=True)
    write(content, out / f"{card.name}.tflite")
    write(write_card(card), out / f"{card.name}.json")
    bundle.load(out / f"{card.name}.json", type(card))
    return card


def _common(run: Run, content: bytes, model: Interpreter, figures: dict[str, float]) -> dict[str, Any]:
    """What the cards of both tasks say alike."""
    made = run.recipe
    close = isinstance(made, ClassifierRecipe)
    return {
        "schema": 1,
        "name": made.name,
        "version": made.version,
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": Input(
            width=made.width,
            height=made.height,
            channels=1,
            dtype="uint8",
            scale=model.input.scale,
            zero_point=model.input.zero_point,
        ),
        "figures": {name: round(value, 4) for name, value in figures.items()},
        "data": made.data,
        "licence": made.licence,
        "operators": operators(content),
        "golden": tuple(_golden(name, picture, model) for name, picture in drawn(made.height, made.width, close)),
    }


def _golden(name: str, picture: NDArray[np.uint8], model: Interpreter) -> Golden:
    output = golden_output(model, picture[None, ..., None])
    return Golden(name=name, input=pack(picture.tobytes()), output=pack(output.tobytes()), tolerance=TOLERANCE)


def _side_by_side(floating: dict[str, float], int8: dict[str, float]) -> dict[str, float]:
    return {f"{name}.{kind}": each[name] for name in int8 for kind, each in (("float", floating), ("int8", int8))}


# The detector.


def _detector_calibration(run: Run) -> NDArray[np.uint8]:
    """Pictures the model was not trained on, fitted as the device fits them; every kind of picture."""
    _, held = labelled_images.split(list(labelled_images.read(run.folder / "cache.npz")))
    size = (run.recipe.height, run.recipe.width)
    picked = np.random.default_rng(run.recipe.seed).permutation(len(held))[:CALIBRATION]
    return np.stack([letterbox(held[index].pixels, size)[0] for index in picked])


def _detector_card(run: Run, content: bytes, model: Interpreter) -> DetectorCard:
    _, held = labelled_images.split(list(labelled_images.read(run.folder / "cache.npz")))
    blank = _common(run, content, model, {})

    def card(threshold: float, figures: dict[str, float], notes: str = "") -> DetectorCard:
        return DetectorCard(
            **{**blank, "figures": {name: round(value, 4) for name, value in figures.items()}},
            strides=STRIDES,
            threshold=threshold,
            overlap=float_model.OVERLAP,
            landmarks=("right_eye", "left_eye", "nose", "right_mouth", "left_mouth"),
            notes=notes,
        )

    int8 = Detector(Bundle(card(detector_metrics.MIN_SCORE, {}), model))
    exact = float_model.float_detector(run.model, run.recipe.width, run.recipe.height)
    lowest = detector_metrics.choose_threshold(int8.detect, held)
    threshold = max(lowest, run.threshold)
    figures = _side_by_side(*(detector_metrics.figures(each.detect, held, threshold) for each in (exact, int8)))
    gate.detector(figures["stills.ap.float"], figures["stills.ap.int8"])
    shelves, background = (
        len(held_back(held, choose=True)) for held_back in (detector_metrics.shop_negatives, detector_metrics.everyday_negatives)
    )
    everyday = f", and on {background} everyday scenes without people," if background else ""
    notes = (
        f"Threshold {threshold}: {lowest} is the lowest, in hundredths, with at most {detector_metrics.MAX_FALSE_PER_NEGATIVE} false"
        f" detections an image on {shelves} held-back shop shelves{everyday} and their mirror images. `shelves` and"
        f" `background` count false detections on other images. {RAISED if threshold > lowest else ''}`stills`:"
        " labelled by people, faces of 20 pixels and more unless named, matched by their centres. `masked`: with masks"
        " drawn over all faces. `turned`: faces that look aside. `crowds`: labelled by people, 16 pixels and more."
        " `photos`: labels by a teacher."
    )
    return card(threshold, figures, notes)


# The classifier.


def _classifier_calibration(run: Run) -> NDArray[np.uint8]:
    """Faces of the tuning part, FER2013's and photographs', as the device cuts them."""
    assert isinstance(run.recipe, ClassifierRecipe)
    faces = Faces.of(run.folder / "cache.npz", run.recipe, "validation")
    crops = np.concatenate([each for each in faces.crops(run.recipe) if len(each)])
    picked = np.random.default_rng(run.recipe.seed).permutation(len(crops))[: 2 * CALIBRATION]
    return crops[picked]


def _classifier_card(run: Run, content: bytes, model: Interpreter) -> ClassifierCard:
    made = run.recipe
    assert isinstance(made, ClassifierRecipe)
    size = len(made.labels)
    tune, test = (Faces.of(run.folder / "cache.npz", made, part) for part in ("validation", "test"))
    blank = _common(run, content, model, {})

    def card(heat: float, unknown: float, figures: dict[str, float], matrix: NDArray[np.intp]) -> ClassifierCard:
        return ClassifierCard(
            **{**blank, "figures": {name: round(value, 4) for name, value in figures.items()}},
            labels=tuple(made.labels),
            crop=Crop(margin=made.margin, align=made.align),
            temperature=heat,
            unknown_below=unknown,
            min_face_px=made.min_face_px,
            confusion=tuple(tuple(row) for row in matrix.tolist()),
            notes=NOTES,
        )

    plainly = card(1.0, 0.0, {}, np.zeros((size, size), np.intp))
    raw = Classifier(Bundle(plainly, model))
    crops = np.concatenate(tune.crops(made))
    heat = round(classifier_metrics.temperature(np.log(raw.probabilities(crops) + 1e-9), tune.targets), 3)
    cooled = Classifier(Bundle(msgspec.structs.replace(plainly, temperature=heat), model))
    unknown = round(float(np.quantile(cooled.probabilities(crops).max(1), UNKNOWN_SHARE)), 3)
    exact = float_model.float_classifier(run.model, cooled.card)
    before, after = (classifier_metrics.predictions(each.probabilities, test, made) for each in (exact, cooled))
    first = next(iter(after))
    gate.classifier(before[first], after[first], tuple(made.labels))
    made_card = card(
        heat,
        unknown,
        _side_by_side(classifier_metrics.figures(before), classifier_metrics.figures(after)),
        after[first].matrix(),
    )
    return _with_visits(made_card, model, test, made.labels)


def _with_visits(card: ClassifierCard, model: Interpreter, test: Faces, labels: Mapping) -> ClassifierCard:
    """The card with its matrix of visits, of the faces whose taggers agree; as it is if there are none."""
    truth, sure = visit_confusion.majority_labels(test.votes, labels)
    if not sure.any():
        return card
    answered = visit_confusion.simulate_visits(Classifier(Bundle(card, model)), test.fer[sure], np.random.default_rng(SEED))
    counts = visit_confusion.confusion_matrix(truth[sure], answered, len(card.labels))
    return msgspec.structs.replace(card, schema=2, visits=tuple(map(tuple, counts.tolist())))


NOTES = (
    "Apparent expression of one face, not what a person feels. `ferplus_majority`: FER2013's PublicTest where more than"
    " half of ten taggers agree; `photos`: press-style photographs, labels by students. None of these was trained on."
    f" Temperature and unknown_below ({UNKNOWN_SHARE:.0%} of faces below) are set on a part split off Training. The"
    " confusion matrix is that of ferplus_majority; `visits` is of the same faces, each looked at several times."
)


def figures_table(card: Card) -> str:
    """A card's figures, float and int8 side by side, as lines of text."""
    names = sorted({name.rpartition(".")[0] for name in card.figures})
    rows = [f"{'':34}{'float':>9}{'int8':>9}"]
    rows += [f"{name:34}{card.figures[name + '.float']:9.4f}{card.figures[name + '.int8']:9.4f}" for name in names]
    return "\n".join(rows)
