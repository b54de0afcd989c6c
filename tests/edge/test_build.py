"""What the settings choose: which face check runs, and who is told."""

import io
import logging
import shutil
import threading
from types import NoneType

import msgspec
import pytest

from contract.card import CheckCard
from contract.errors import BundleError
from edge.build import check_bundle, describe_choice, load_bundles, pipeline
from edge.settings import AUTO, NONE, read
from edge.vision.bundle import DEFAULT_CHECK, DEFAULT_DETECTOR, SHIPPED, Bundle, card_path, load
from edge.vision.face_check import FaceCheck


@pytest.fixture(scope="module")
def bundle():
    return load(DEFAULT_CHECK, CheckCard)


@pytest.mark.parametrize(("given", "kind"), [(AUTO, FaceCheck), (NONE, NoneType)])
def test_the_daemon_names_its_face_check(config, clip, bundle, caplog, given, kind):
    """The log line of the detector and the health message say which check runs, or that none does."""
    settings = read(config, (f'capture={{source="file", path="{clip}"}}', f"detect.check={given}"))
    with caplog.at_level(logging.INFO), pipeline(settings, threading.Event(), lambda: None, io.StringIO()) as built:
        assert isinstance(built.analyzer.check, kind)
        choice = built.analyzer.health.detector_choice
    identity = bundle.card.identity if given == AUTO else NONE
    assert choice.endswith("; no face check" if given == NONE else f"; face check {identity}")
    (told,) = [each for each in caplog.messages if each.startswith("event=detector ")]
    assert f" check={identity} " in told


def test_auto_is_the_shipped_check_for_shipped_detectors(tmp_path):
    """The scores of another detector mean something else, so it has no check unless one is named."""
    assert check_bundle(AUTO, DEFAULT_DETECTOR).card.identity == load(DEFAULT_CHECK, CheckCard).card.identity
    for suffix in (".json", ".tflite"):
        shutil.copy(DEFAULT_DETECTOR.with_suffix(suffix), tmp_path)
    other = tmp_path / DEFAULT_DETECTOR.name
    assert check_bundle(AUTO, other) is None
    assert check_bundle(NONE, DEFAULT_DETECTOR) is None
    assert check_bundle("face-check", other).card == check_bundle(AUTO, DEFAULT_DETECTOR).card


def test_check_from_outside_the_package_is_tried_first(tmp_path):
    """A check may be the path of a card. Its model runs in a subprocess first; a card of another task is refused."""
    for suffix in (".json", ".tflite"):
        shutil.copy(DEFAULT_CHECK.with_suffix(suffix), tmp_path)
    path = tmp_path / "face-check.json"
    assert check_bundle(str(path), DEFAULT_DETECTOR).card == load(DEFAULT_CHECK, CheckCard).card
    with (tmp_path / "face-check.tflite").open("ab") as model:
        model.write(b"\0")
    with pytest.raises(BundleError, match="sha256 is"):
        check_bundle(str(path), DEFAULT_DETECTOR)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("off", r"^off: no bundle of that name is shipped; must be the path of a card \(.json\) or one of "),
        ("expression", r"expression.json: must be a CheckCard, is a ClassifierCard$"),
        (str(SHIPPED / "face-320x240.json"), r"face-320x240.json: must be a CheckCard, is a DetectorCard$"),
        ("/none/check.json", r"^/none/check.json: No such file or directory$"),
    ],
)
def test_wrong_check_is_refused(given, message):
    """The error names the card, and what it must be."""
    with pytest.raises(BundleError, match=message):
        check_bundle(given, DEFAULT_DETECTOR)


def test_health_names_the_check(bundle):
    """The reason for the detector and the identity of the check, within the length that a health message allows."""
    assert describe_choice("set by detect.bundle", bundle).startswith("set by detect.bundle; face check face-check@")
    assert describe_choice("set by detect.bundle", None) == "set by detect.bundle; no face check"
    named = Bundle(msgspec.structs.replace(bundle.card, name="n" * 500), bundle.model)
    assert len(describe_choice("set by detect.bundle", named)) == 300


def test_a_card_in_the_working_folder_may_have_any_name(config, tmp_path, monkeypatch):
    """``./mine.card`` is a path, not the name of a shipped bundle."""
    shutil.copy(DEFAULT_DETECTOR, tmp_path / "mine.card")
    shutil.copy(DEFAULT_DETECTOR.with_suffix(".tflite"), tmp_path / "mine.tflite")
    monkeypatch.chdir(tmp_path)
    assert load_bundles(read(config), card_path("./mine.card")).detector.card.name == DEFAULT_DETECTOR.stem
