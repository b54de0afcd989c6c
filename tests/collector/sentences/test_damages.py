"""What was left out of the figures is said in the reader's language; the log and the API have it in English."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collector.devices.registry import DeviceRegistry
from collector.language.language import english, language
from collector.reading.reader import Reader
from collector.rollups.cells import HOUR_S
from collector.rollups.rollup import Rollups
from collector.sentences.damages import damage_texts
from collector.store.damage import DamageLog
from collector.store.load import load
from contract.topics import Address
from tests.support.messages import MESSAGES
from tests.support.store import put, window

NOW = datetime(2026, 4, 30, tzinfo=timezone.utc)
FOLDER = "date=2026-03-29/site=shop-1"


def rolled_up(root: Path) -> Path:
    """Write the roll-up file of the store's only month, as if the windows had come long ago; return its path."""
    for path in (root / FOLDER).iterdir():
        os.utime(path, (NOW.timestamp() - 86_400,) * 2)
    Rollups(root, HOUR_S, lambda: NOW).cells()
    (rollup,) = root.glob("_rollup/*/*.parquet")
    return rollup


def texts(found: DamageLog | Reader) -> tuple[list[str], list[str]]:
    """The texts in English, which are those of the API, and in German; both without the path."""
    damages = found.all() if isinstance(found, DamageLog) else found.damages()
    words, german = (
        [each.split(": ", 1)[1] for each in damage_texts(damages, 9, code)] for code in (english(), language("de"))
    )
    assert words == [str(each).split(": ", 1)[1] for each in damages]
    return words, german


@pytest.mark.parametrize(
    ("change", "reason", "grund"),
    [
        (("schema,", "schemes,"), "the first columns must be schema", "die ersten Spalten müssen schema"),
        ((",unknown", ",anger"), "unique, 'anger' is repeated", "einmal vorkommen, 'anger' kommt"),
        ((",unknown", ",UNKNOWN"), "column 'UNKNOWN' cannot be a label", "die Spalte 'UNKNOWN' kann"),
        (("\n1,", "\n1,1,"), "1 row left out: line 2: must have", "1 Zeile nicht enthalten: Zeile 2: muss"),
        (("\n1,", "\nx,"), "line 2: must be a whole number", "Zeile 2: muss eine ganze Zahl"),
        (("synced", "sunk"), "clock must be one of replay, ", "clock muss eines von replay, "),
        (("0.983", "1.983"), "from 0 to 1, is '1.983'", "von 0 bis 1 sein, ist '1.983'"),
        (("2026-03-29T00:00:00Z", "today"), "must be times such as", "müssen Zeiten wie"),
        (("2026-03-29T00:00:00Z", "2024-02-01T00:00:00Z"), "up to 400 days after", "höchstens 400 Tage nach"),
        (("shop-1,", "sh\udcffp,"), "line 2: must be UTF-8", "Zeile 2: muss UTF-8 sein"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_described(tmp_path: Path, change: tuple[str, str], reason: str, grund: str) -> None:
    """Header and rows, by the words of the reader's language."""
    put(tmp_path, window(1))
    (path,) = (tmp_path / FOLDER).glob("*.csv")
    path.write_text(path.read_text().replace(*change, 1), errors="surrogateescape")
    load(tmp_path, on_damage=(damages := DamageLog()).note)
    (english_text,), (german_text,) = texts(damages)
    assert reason in english_text
    assert grund in german_text


def test_what_the_system_says_is_translated_and_what_others_say_is_not(tmp_path: Path) -> None:
    """A folder in place of a file, and a Parquet file that Arrow refuses."""
    put(tmp_path, window(1))
    (tmp_path / FOLDER / "counts-0-w.csv").mkdir()
    (tmp_path / FOLDER / "counts-1-w.parquet").write_bytes(b"PAR1 {no}")
    load(tmp_path, on_damage=(damages := DamageLog()).note)
    words, german = texts(damages)
    assert (words[0], german[0]) == ("left out: Is a directory", "nicht enthalten: Ist ein Ordner")
    assert words[1].removeprefix("left out: ") == german[1].removeprefix("nicht enthalten: ") != ""


def test_reasons_survive_in_roll_ups(tmp_path: Path) -> None:
    """A roll-up file holds the parts of a reason, so that a new process can say it in each language."""
    put(tmp_path, window(1), window(2))
    (path,) = (tmp_path / FOLDER).glob("*.csv")
    path.write_text(path.read_text().replace("\n1,", "\nx,", 1))
    rolled_up(tmp_path)
    times = path.stat()
    path.write_text("x" * times.st_size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # so that it is not read again
    read = Reader(tmp_path, lambda: NOW)
    read.cells((datetime(2026, 3, 29, tzinfo=timezone.utc), NOW), ZoneInfo("UTC"))
    assert "Zeile 2: muss eine ganze Zahl" in texts(read)[1][0]


def test_damaged_files_of_the_collector_are_described(tmp_path: Path) -> None:
    """A roll-up and a list of devices whose checksums do not match, and which were renamed."""
    put(tmp_path, window(1))
    devices = DeviceRegistry(tmp_path)
    for _ in range(2):  # the second keeps the first as devices.json.before
        devices.record(Address("shop-1", "door", "health"), MESSAGES["health-4"], False, NOW)
        devices.save()
    file = tmp_path / "devices.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sha256": "0" * 64}))
    rollup = rolled_up(tmp_path)
    rollup.rename(rollup.with_name(rollup.name + ".damaged"))
    words, german = texts(Reader(tmp_path, lambda: NOW))
    assert words == [
        "left out: was damaged; its cells are computed again from the rows, "
        "except those of days that retention has deleted",
        "left out: the checksum does not match; devices.json.before is read instead",
    ]
    assert german == [
        "nicht enthalten: war beschädigt; die Summen werden aus den Zeilen neu berechnet, außer denen gelöschter Tage",
        "nicht enthalten: die Prüfsumme stimmt nicht; stattdessen wird devices.json.before gelesen",
    ]
