"""Write the bundle of a trained run: the int8 file, and the card with its figures."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.card import Card, CheckCard, ClassifierCard, Crop, DetectorCard, Golden, Input, pack, write_card
from contract.errors import BundleError
from convert import gate, visit_confusion
from convert.golden_samples import drawn
from convert.quantise import float_tensors, operators, quantise, write
from edge.vision import bundle
from edge.vision.bundle import Bundle, golden_output
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck
from edge.vision.interpreter import Interpreter
from training.trained_run import (
    MAX_FALSE_PER_NEGATIVE,
    MIN_SCORE,
    OVERLAP,
    STRIDES,
    TrainedCheck,
    TrainedClassifier,
    TrainedDetector,
    TrainedRun,
)

CALIBRATION = 200
"""Calibration images of a detector; the other networks get twice as many."""
TOLERANCE = 16
"""Steps of 256 by which a golden output may differ: ai-edge-litert 2.3 and tflite-runtime 2.14 differed by up to 9."""
UNKNOWN_FRACTION = 0.05
"""Fraction of the validation set's faces that ``unknown_below`` makes ``unknown``."""
SEED = 1
"""Seed of the simulated visits."""


def make(run: TrainedRun, out: Path, *, min_threshold: float = 0.0, force: bool = False) -> Card:
    """Quantise a run, measure float and int8, and write ``NAME.tflite`` and ``NAME.json`` into ``out``.

    ``min_threshold`` raises a detector's threshold. BundleError if the gate refuses the model; with ``force`` the
    gate's objections are written into the card's notes instead.
    """
    if isinstance(run, TrainedDetector):
        content = _quantised(run, "detect", run.calibration_images(CALIBRATION))
        card: Card = _detector_card(run, content, min_threshold, force)
    elif min_threshold:
        raise BundleError(f"{run.folder}: must be the run of a detector for --threshold, is of another task")
    elif isinstance(run, TrainedCheck):
        content = _quantised(run, "check", run.calibration_images(2 * CALIBRATION))
        card = _check_card(run, content, force)
    else:
        content = _quantised(run, "classify", run.calibration_images(2 * CALIBRATION))
        card = _classifier_card(run, content, force)
    out.mkdir(parents=True, exist_ok=True)
    write(content, out / f"{card.name}.tflite")
    write(write_card(card), out / f"{card.name}.json")
    bundle.load(out / f"{card.name}.json", type(card))
    return card


def _quantised(run: TrainedRun, task: str, images: NDArray[np.uint8]) -> bytes:
    content = quantise(run.model, task, images[..., None])
    if tensors := float_tensors(content):
        raise BundleError(f"{run.recipe.name}: must be int8 throughout, has float tensors: {', '.join(tensors)}")
    return content


def _common_fields(run: TrainedRun, content: bytes, model: Interpreter) -> dict[str, Any]:
    """The fields of a card that all tasks share, without figures."""
    recipe = run.recipe
    close = not isinstance(run, TrainedDetector)
    return {
        "schema": 1,
        "name": recipe.name,
        "version": recipe.version,
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": Input(
            width=recipe.width,
            height=recipe.height,
            channels=1,
            dtype="uint8",
            scale=model.input.scale,
            zero_point=model.input.zero_point,
        ),
        "data": recipe.data,
        "licence": recipe.licence,
        "operators": operators(content),
        "golden": tuple(_golden(name, image, model) for name, image in drawn(recipe.height, recipe.width, close)),
    }


def _golden(name: str, image: NDArray[np.uint8], model: Interpreter) -> Golden:
    output = golden_output(model, image[None, ..., None])
    return Golden(name=name, input=pack(image.tobytes()), output=pack(output.tobytes()), tolerance=TOLERANCE)


def _side_by_side(floating: dict[str, float], int8: dict[str, float]) -> dict[str, float]:
    return {
        f"{name}.{kind}": round(each[name], 4) for name in int8 for kind, each in (("float", floating), ("int8", int8))
    }


def _detector_card(run: TrainedDetector, content: bytes, min_threshold: float, force: bool) -> DetectorCard:
    model = Interpreter(content)
    draft = DetectorCard(
        **_common_fields(run, content, model),
        figures={},
        strides=STRIDES,
        threshold=MIN_SCORE,
        overlap=OVERLAP,
        landmarks=("right_eye", "left_eye", "nose", "right_mouth", "left_mouth"),
    )
    int8 = Detector(Bundle(draft, model))
    chosen = run.choose_threshold(int8)
    threshold = max(chosen, min_threshold)
    figures = _side_by_side(*(run.metrics(each, threshold) for each in (run.float_detector(), int8)))
    forced = gate.check(
        run.recipe.name, gate.detector_faults(figures["stills.ap.float"], figures["stills.ap.int8"]), force
    )
    notes = _detector_notes(run, threshold, chosen) + forced
    return msgspec.structs.replace(draft, threshold=threshold, figures=figures, notes=notes)


def _detector_notes(run: TrainedDetector, threshold: float, chosen: float) -> str:
    shop, everyday = run.threshold_negatives()
    on_everyday = f" and on {everyday} everyday images without people" if everyday else ""
    raised = " It was raised by hand." if threshold > chosen else ""
    return (
        f"Threshold {threshold}: {chosen} is the lowest, in hundredths, with at most {MAX_FALSE_PER_NEGATIVE} false"
        f" detections an image on {shop} held-out images of shop shelves{on_everyday}, and their mirror images.{raised}"
        " `shelves` and `background`: false detections on other images. `stills`: labelled by people, faces of 20"
        " pixels and more unless named, matched by their centres. `masked`: with masks drawn over all faces. `turned`:"
        " faces turned aside. `crowds`: labelled by people, 16 pixels and more. `photos`: labelled by a teacher."
    )


def _check_card(run: TrainedCheck, content: bytes, force: bool) -> CheckCard:
    model, recipe = Interpreter(content), run.recipe
    draft = CheckCard(
        **_common_fields(run, content, model),
        figures={},
        crop=Crop(margin=recipe.margin, align="none"),
        weight=recipe.weight,
        bias=recipe.bias,
        checked_below=recipe.checked_below,
    )
    checks = run.float_check(draft), FaceCheck(Bundle(draft, model))
    figures = _side_by_side(*(run.metrics(each) for each in checks))
    notes = CHECK_NOTES + gate.check(recipe.name, gate.check_faults(figures), force)
    return msgspec.structs.replace(draft, figures=figures, notes=notes)


CHECK_NOTES = (
    "Measured on detections, of score 0.04 and more, in held-out images with boxes drawn by people and in held-out"
    " images without people. `backs` and `others`: faces against backs of heads, and against other look-alikes, by area"
    " under the ROC curve. `recall` and `false`: fraction of the detections of faces, and of backs of heads, that reach"
    " the threshold of the detector. Heads of 16 pixels and more. `unchecked`: the same of the detector's score."
)


def _classifier_card(run: TrainedClassifier, content: bytes, force: bool) -> ClassifierCard:
    model, recipe = Interpreter(content), run.recipe
    size = len(recipe.labels)
    draft = ClassifierCard(
        **_common_fields(run, content, model),
        figures={},
        labels=tuple(recipe.labels),
        crop=Crop(margin=recipe.margin, align=recipe.align),
        temperature=1.0,
        unknown_below=0.0,
        min_face_px=recipe.min_face_px,
        confusion=((0,) * size,) * size,
    )
    temperature = round(run.fit_temperature(Classifier(Bundle(draft, model)).probabilities), 3)
    draft = msgspec.structs.replace(draft, temperature=temperature)
    classifier = Classifier(Bundle(draft, model))
    confidence = classifier.probabilities(run.validation_set()[0]).max(1)
    unknown_below = round(float(np.quantile(confidence, UNKNOWN_FRACTION)), 3)
    before, after = (run.predictions(each.probabilities) for each in (run.float_classifier(draft), classifier))
    first = next(iter(after))
    faults = gate.classifier_faults(before[first], after[first], tuple(recipe.labels))
    card = msgspec.structs.replace(
        draft,
        unknown_below=unknown_below,
        figures=_side_by_side(run.metrics(before), run.metrics(after)),
        confusion=tuple(map(tuple, after[first].confusion_matrix().tolist())),
        notes=CLASSIFIER_NOTES + gate.check(recipe.name, faults, force),
    )
    return _with_visits(run, card, model)


def _with_visits(run: TrainedClassifier, card: ClassifierCard, model: Interpreter) -> ClassifierCard:
    """The card with its confusion matrix of visits; without one if no face has a majority of votes."""
    faces, votes = run.test_faces()
    truth, majority = visit_confusion.majority_labels(votes, run.recipe.labels)
    if not majority.any():
        return card
    classifier = Classifier(Bundle(card, model))
    counted = visit_confusion.simulate_visits(classifier, faces[majority], np.random.default_rng(SEED))
    counts = visit_confusion.confusion_matrix(truth[majority], counted, len(card.labels))
    return msgspec.structs.replace(card, schema=3, visit_confusion=tuple(map(tuple, counts.tolist())))


CLASSIFIER_NOTES = (
    "Apparent expression of one face, not what a person feels. `ferplus_majority`: faces of FER2013's PublicTest with"
    " more than half of ten votes for one label; `photos`: press-style photographs labelled by students. None of these"
    f" was trained on. Temperature and unknown_below ({UNKNOWN_FRACTION:.0%} of faces below) are fitted on a validation"
    " set that was split off Training. The confusion matrix is of ferplus_majority; `visit_confusion` is of the same"
    " faces, each observed several times."
)


def figures_table(card: Card) -> str:
    """A table of a card's figures, float and int8 side by side."""
    names = sorted({name.rpartition(".")[0] for name in card.figures})
    rows = [f"{'':34}{'float':>9}{'int8':>9}"]
    rows += [f"{name:34}{card.figures[name + '.float']:9.4f}{card.figures[name + '.int8']:9.4f}" for name in names]
    return "\n".join(rows)
