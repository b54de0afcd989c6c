"""What people read when an input is wrong: sixty mistakes and the sentence that each of them gets.

The sentences are in ``tests/golden/error_messages.txt``, for a person to read. After a change of wording run
``FACETALLY_GOLDEN=write python -m pytest tests/whole/test_error_messages.py`` and read what has changed.
"""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import facetally
from base.errors import FacetallyError
from collector.__main__ import main as collector
from collector.settings import read_settings
from contract.card import read_card
from contract.health import Health
from contract.message import Counts, Model, Status, decode
from contract.receipt import decode_receipt
from contract.topics import address, topic
from edge.__main__ import main as edge
from edge.settings import read
from training.recipe import read as read_recipe

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "error_messages.txt"
MODELS = ROOT / "edge" / "models"
EDGE = """\
site = "shop-1"
device = "door"
[capture]
source = "v4l2"
[admit]
staff_zones = []
"""

EDGE_LINES = (
    'site = "shop 1"',
    "site = 7",
    "speed = 3",
    "capture.source = 'webcam'",
    "capture.device = -1",
    "capture.width = 1",
    "capture.fps = 0",
    "capture = {source = 'file'}",
    "capture = {source = 'gstreamer'}",
    "admit = {}",
    "admit.staff_zones = [[[0.1, 0.1], [0.2, 0.2]]]",
    "admit.staff_zones = [[[0.1, 0.1], [0.2, 0.2], [1.3, 0.4]]]",
    "admit.hours = {timezone = 'Europe/Berlin', open = '9', close = '18:00'}",
    "admit.hours = {timezone = 'Europe/Berlin', open = '09:00', close = '18:00', days = ['monday']}",
    "admit.dwell_limit_s = 200",
    "detect.threshold = 1.5",
    "detect.bundle = 7",
    "detect.max_fps = 'fast'",
    "track.gap_s = 0",
    "track.min_sightings = 3",
    "tally.window_s = 0",
    "privacy.k = 0",
    "privacy.release_s = 1e9",
    "publish.host = 'localhost'",
    "broker.host = 'http://broker.example'",
    "broker.host = 'broker.example'",
    "broker.port = 99999",
    "broker.tls = true",
    "spool.max_mb = 0.1",
    "staff_zones",
)
COLLECTOR_LINES = (
    "broker.port = '1883'",
    "broker.share = 'a/b'",
    "store.writer = ''",
    "store.keep_days = 0",
    "page.port = 0",
    "api.rate = 5",
    "limits.models = -1",
)
COUNTS = json.loads((ROOT / "tests/golden/counts-1.json").read_text())
MESSAGES = (
    ("counts: no JSON", Counts, b"{"),
    ("counts: an unknown key", Counts, json.dumps(COUNTS | {"person": 7}).encode()),
    ("counts: a key is missing", Counts, json.dumps({key: COUNTS[key] for key in COUNTS if key != "seq"}).encode()),
    ("counts: it ends before it starts", Counts, json.dumps(COUNTS | {"end": COUNTS["start"]}).encode()),
    ("counts: not UTC", Counts, json.dumps(COUNTS | {"start": "2026-03-29T01:00:00+01:00"}).encode()),
    ("counts: a negative count", Counts, json.dumps(COUNTS | {"visits": {"happiness": -1}}).encode()),
    ("counts: a label in capitals", Counts, json.dumps(COUNTS | {"visits": {"Happy": 1}}).encode()),
    ("counts: too long", Counts, b" " * 20_000),
    ("status: an unknown state", Status, b'{"schema":1,"state":"asleep","boot":"0123456789abcdef"}'),
    ("health: of the wrong type", Health, b'{"schema":3,"boot":5}'),
    ("model: empty", Model, b""),
)


def _card(**changes):
    card = json.loads((MODELS / "expression.json").read_text())
    return json.dumps(card | changes).encode()


def _raised(call, *arguments, **options):
    with pytest.raises(FacetallyError) as caught:
        call(*arguments, **options)
    return str(caught.value)


def _printed(capsys, command, *arguments):
    """The last line of standard error of a command that ends with exit code 2."""
    try:
        status = command(list(arguments))
    except SystemExit as ended:
        status = ended.code
    assert status == 2, arguments
    return re.sub(r"^time=\S+ ", "", capsys.readouterr().err.strip().splitlines()[-1])


def _mistakes(folder, capsys):
    """Each mistake and its message."""
    path = folder / "edge.toml"
    for text in EDGE_LINES:
        path.write_text(EDGE)
        if text == "staff_zones":
            path.write_text(EDGE + "staff_zones")
            yield f"edge.toml: {text}", _raised(read, path)
        else:
            yield f"edge.toml: {text}", _raised(read, path, (re.sub(r" = ", "=", text, count=1),))
    yield "edge.toml is missing", _raised(read, folder / "none.toml")
    path = folder / "collector.toml"
    path.write_text("")
    for text in COLLECTOR_LINES:
        yield f"collector.toml: {text}", _raised(read_settings, path, (re.sub(r" = ", "=", text, count=1),))
    for name, kind, payload in MESSAGES:
        yield name, _raised(decode, payload, kind)
    yield (
        "receipt: a range that ends before it begins",
        _raised(decode_receipt, b'{"schema":1,"boots":{"0123456789abcdef":[[5,3]]}}'),
    )
    yield "topic: a site with a slash", _raised(topic, "a/b", "door", "counts")
    yield "topic: another kind", _raised(address, "facetally/v1/shop-1/door/frames")
    yield "card: no JSON", _raised(read_card, b"[", "models/mood.json")
    yield "card: another task", _raised(read_card, _card(task="count"), "models/mood.json")
    yield "card: one label", _raised(read_card, _card(labels=["happiness"]), "models/mood.json")
    yield "card: a matrix of another size", _raised(read_card, _card(confusion=[[1, 0], [0, 1]]), "models/mood.json")
    shutil.copy(MODELS / "expression.json", folder / "mood.json")
    (folder / "mood.tflite").write_bytes(b"no model")
    yield (
        "facetally.analyze: a model of another card",
        _raised(facetally.analyze, np.zeros((64, 64), np.uint8), classifier=str(folder / "mood.json")),
    )
    yield "facetally.analyze: float pixels", _raised(facetally.analyze, np.zeros((8, 8)))
    yield "facetally.load: no folder", _raised(facetally.load, folder / "store")
    recipe = folder / "mood.toml"
    recipe.write_text('[model]\ntask = "classify"\nname = "mood"\n')
    yield "recipe: keys are missing", _raised(read_recipe, recipe)
    yield "recipe: not there", _raised(read_recipe, folder / "none.toml")
    yield "facetally-edge try: no such file", _printed(capsys, edge, "try", str(folder / "none.png"))
    yield "facetally-edge try: a score of 2", _printed(capsys, edge, "try", "--min-score", "2", "a.png")
    yield (
        "facetally-collector summary: no store",
        _printed(capsys, collector, "summary", "--root", str(folder / "store"), "--by", "day"),
    )
    yield (
        "facetally-collector summary: no site of that form",
        _printed(capsys, collector, "summary", "--root", str(folder), "--site", "a/b"),
    )


def test_messages_are_as_they_were_read(tmp_path, capsys):
    """Each says what must be, what is and where; the golden file has all of them."""
    told = [
        f"{what}\n    {text.replace(str(tmp_path), 'FOLDER')}".replace(str(ROOT) + "/", "")
        for what, text in _mistakes(tmp_path, capsys)
    ]
    assert len(told) >= 60
    text = "\n\n".join(told) + "\n"
    if os.environ.get("FACETALLY_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
    assert not re.search(r"Traceback|Object |Expected `|Invalid ", text), "the words of a library, not ours"
