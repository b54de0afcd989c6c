"""Damaged and hostile files end in one line and exit code 2: a short run of the benchmark, and known cases."""

import base64
import hashlib
import shutil
import signal
import zlib
from pathlib import Path

import msgspec
import pytest

from base.errors import SettingsError
from benchmarks.fuzzing import damaged_files
from contract.card import ClassifierCard, model_of, read_card, unpack
from contract.errors import BundleError
from edge.settings import read
from edge.vision import bundle
from edge.vision.probe import check_in_subprocess
from tests.support.commands import CONFIG, one_line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("detect.threads=9223372036854775807", "key 'detect.threads': must be <= 16"),
        ("detect.threads=2147483648", "key 'detect.threads': must be <= 16"),
        ("classify.threads=0", "key 'classify.threads': must be >= 1"),
        ("spool.max_days=inf", "key 'spool.max_days': must be <= 3660"),
        ("spool.max_days=nan", "key 'spool.max_days': "),
        ("spool.max_mb=inf", "key 'spool.max_mb': must be <= 1000000"),
        ("spool.unsynced_hold_h=nan", "key 'spool.unsynced_hold_h': "),
        ('spool.path="a\\u0000b"', "key 'spool.path': "),
        ('detect.bundle="a\\u0000b"', "key 'detect.bundle': "),
        ('broker.tls={ca="a\\u0000b"}', "key 'broker.tls.ca': "),
        ("tally.window_s=1e-300", "key 'tally.window_s': must be >= 0.1"),
        ("tally.window_s=nan", "key 'tally.window_s': "),
        ("track.gap_s=inf", "key 'track.gap_s': must be <= 31622400"),
        ("capture.width=2147483648", "key 'capture.width': must be <= 16384"),
        ("privacy.k=9223372036854775808", "key 'privacy.k': must be <= 1000000"),
        (
            "admit.staff_zones=" + "[" * 2000 + "]" * 2000,
            "--set admit.staff_zones: tables or lists are nested too deeply",
        ),
    ],
)
def test_an_extreme_value_is_refused_with_key_and_bound(command, config, override, message):
    """The error has file, key and bound, in one line of less than 2,000 characters; nothing starts."""
    status, out, errors = command("run", "--config", config, "--set", override)
    assert (status, out) == (2, [])
    assert message in one_line(errors)
    assert len(errors[-1]) < 2000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONFIG + "x = " + "[" * 2000 + "]" * 2000, "nested too deeply"),
        (CONFIG + "[" + ".".join("a" * 3000) + "]", "unknown key|nested too deeply"),
        ("x" * 1_000_001, "must be at most 1000000 bytes"),
        ("\x00", "not TOML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content, message):
    """A file that is nested too deeply, too long or not text is a SettingsError with its name."""
    path = tmp_path / "edge.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=message) as error:
        read(path)
    assert str(path) in str(error.value)


def test_a_path_with_a_null_character_is_refused():
    """It is a SettingsError, not a ValueError of the operating system."""
    with pytest.raises(SettingsError, match="null"):
        read(Path("a\x00b"))


@pytest.mark.parametrize("kind", ["configurations", "cards"])
def test_random_configurations_and_cards_are_read_or_refused(tmp_path, kind):
    """Reading gives settings, a card, or one of facetally's own errors."""
    found = damaged_files.KINDS[kind](tmp_path, 300, 7)
    assert found["accepted"] > 0
    assert found["refused"] > 0


def test_damaged_models_with_a_matching_hash_are_run_or_refused(tmp_path):
    """Even if the runtime ends its process, this process gets a BundleError."""
    found = [damaged_files.vet_model(*case) for case in damaged_files.models(tmp_path, 12, 3)]
    assert "refused" in found


def test_damaged_media_are_counted_or_refused(tmp_path):
    """The daemon ends with exit code 0 or 2, without a traceback."""
    found = [damaged_files.count_clip(path) for path in damaged_files.media(tmp_path, 6, 5)]
    assert set(found) <= {"accepted", "refused"}


def own_bundle(folder, content=None):
    """Copy the shipped classifier to a bundle that is not shipped, with other model content if given."""
    card = folder / "own.json"
    shutil.copy(bundle.DEFAULT_CLASSIFIER, card)
    shutil.copy(bundle.DEFAULT_CLASSIFIER.with_suffix(".tflite"), folder / "own.tflite")
    if content is not None:
        tree = msgspec.json.decode(card.read_bytes()) | {"sha256": hashlib.sha256(content).hexdigest()}
        card.write_bytes(msgspec.json.encode(tree))
        (folder / "own.tflite").write_bytes(content)
    return card


def test_a_bundle_that_ends_its_process_does_not_end_the_daemon(tmp_path, monkeypatch):
    """If a signal kills the vetting process, the BundleError names signal and card."""
    card = own_bundle(tmp_path)
    aborts = tmp_path / "python"
    aborts.write_text("#!/bin/sh\necho 'free(): invalid pointer' >&2\nkill -ABRT $$\n")
    aborts.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(aborts))  # which inputs make the runtime abort depends on its version
    with pytest.raises(
        BundleError, match=rf"own\.json: the model ends the process .*{signal.SIGABRT.name}.*invalid pointer"
    ):
        bundle.load(card, ClassifierCard)


def test_a_valid_bundle_that_is_not_shipped_is_loaded(tmp_path):
    """Vetting accepts a bundle that runs."""
    card = own_bundle(tmp_path)
    check_in_subprocess(card, "classify", 1)
    assert bundle.load(card, ClassifierCard).card.sha256


def test_a_golden_sample_that_unpacks_to_too_much_is_refused():
    """A few kilobytes of base64 that unpack to more than any input are a ValueError."""
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    with pytest.raises(ValueError, match="more than 16000000 bytes"):
        unpack(bomb)


def test_a_card_whose_model_message_is_too_long_is_refused():
    """Otherwise the broker would disconnect the daemon each time, and no window would ever be sent."""
    detector = read_card(bundle.DEFAULT_DETECTOR.read_bytes(), "detector")
    expression = read_card(bundle.DEFAULT_CLASSIFIER.read_bytes(), "expression")
    long = msgspec.structs.replace(expression, figures={f"{number}.figure": 0.5 for number in range(2000)})
    with pytest.raises(BundleError, match=r"must fit a message of 16384 bytes, are \d+"):
        model_of(detector, long)
