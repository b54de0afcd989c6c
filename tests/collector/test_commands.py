"""Commands report errors and exit with 0, 1 or 2; every command and program in docs/analyst.md runs."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from collector.store.columns import DOUBTFUL_COLUMNS, FIXED_COLUMNS
from collector.store.load import load
from contract.message import Models, encode
from contract.topics import topic
from tests.support.analyst_guide import BLOCKS, GUIDE, SUBSCRIBERS, collector, endless
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, publish, wait_until
from tests.support.store import SEVEN, START, put, window

REPOSITORY = Path(__file__).parents[2]
ALERTS = [
    part
    for value in ("mail.ca=none.pem", "mail.sender=a@b.example", 'alerts.recipients=[{address="c@d.example"}]')
    for part in ("--set", value)
]
"""Settings of alerts by mail, whose server's authority is missing."""
ENDLESS = ("facetally-collector run", "facetally-collector serve")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three windows of the night of 29 March with 3, 3 and 4 visits; the last has an unsynchronised clock."""
    root = tmp_path_factory.mktemp("store")
    odd = {"calm": 4, "busy": 0, "unknown": 0}
    put(root, window(1), window(2), window(3, odd, device="till", clock="unsynced"))
    return root


@pytest.mark.parametrize("command", ["run", "serve", "export", "summary"])
def test_every_command_has_help(command: str) -> None:
    assert "--config" in collector(command, "--help").stdout
    assert command in collector("--help").stdout


def test_the_version_is_printed() -> None:
    assert collector("--version").stdout == f"facetally-collector {version('facetally')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "none.toml"], "none.toml"),
        (["--set", "brokr.port=1"], "unknown key 'brokr'; allowed: broker, store, limits, page"),
        (["--set", "broker.prot=1"], "unknown key 'broker.prot'; allowed: host, port"),
        (["--set", "broker.port=0"], "key 'broker.port'"),
        (["--set", "store.writer=a/b"], "key 'store.writer'"),
        (["--set", "broker.username=a", "--set", "broker.password_file=none"], "broker.password_file': none"),
        (["--set", 'broker.tls.ca="none.pem"'], "broker.tls"),
        (ALERTS, "key 'mail.ca': none.pem: must be certificates of authorities, in PEM format: No such file"),
    ],
)
def test_wrong_settings_end_run_with_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    """The error is one line that names the file or the key, and what is allowed."""
    done = collector("run", "--root", tmp_path / "store", *arguments, status=2)
    assert message in done.stderr.replace('\\"', '"')
    assert "Traceback" not in done.stderr


def test_a_configuration_file_is_read_and_named(tmp_path: Path) -> None:
    """The example in the guide is valid; a misspelt key in it is reported with the file name."""
    example = next(text for language, text in BLOCKS if language == "toml")
    config = tmp_path / "collector.toml"
    config.write_text(example)
    put(tmp_path / "store", window(1))
    collector("summary", "--config", config, "--root", tmp_path / "store")
    config.write_text(example.replace("writer =", "writter ="))
    done = collector("run", "--config", config, status=2)
    assert f"{config}: unknown key 'store.writter'; allowed: root, writer" in done.stderr


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('[page]\nlanguage = "xx"\n', "page"),
        ('[mail]\nrecipients = [{ address = "boss@shop.example", language = "xx" }]\n', "mail.recipients[0]"),
        ('[alerts]\nrecipients = [{ address = "boss@shop.example", language = "xx" }]\n', "alerts.recipients[0]"),
    ],
)
def test_a_language_without_a_catalogue_is_refused(tmp_path: Path, lines: str, key: str) -> None:
    """It would be English, and nobody would know why."""
    config = tmp_path / "collector.toml"
    config.write_text(lines)
    done = collector("serve", "--config", config, "--root", tmp_path, status=2)
    assert f"{config}: key '{key}': language: must be one of en, de, is 'xx'" in done.stderr.replace('\\"', '"')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--zone", "Mars/Base"], "--zone: must be a name of the IANA time zone database"),
        (["--set", "page.zone=Mars/Base"], "page.zone: must be a name of the IANA time zone database"),
        (["--zone", "../etc/passwd"], "is '../etc/passwd'"),
        (["--since", "yesterday"], "--since: must be a time such as 2026-03-29"),
        (["--since", "0001-01-01", "--zone", "Europe/Berlin"], "is '0001-01-01'"),
        (
            ["--since", "2026-03-30", "--until", "2026-03-29"],
            "--until: must be after --since 2026-03-30, is 2026-03-29",
        ),
        (["--chart", "/nowhere/x.png"], "--chart /nowhere/x.png: No such file or directory"),
        (["--root", "/nowhere"], "store.root: must be an existing folder, is /nowhere"),
        (["--by", "minute"], "--by: must be of total, hour, day"),
        (["--site", "shop*"], "--site: must be 1 to 64 letters"),
    ],
)
def test_wrong_arguments_end_summary_with_2(store: Path, arguments: list[str], message: str) -> None:
    assert message in collector("summary", "--root", store, *arguments, status=2).stderr


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_that_cannot_be_written_is_named(store: Path, kind: str) -> None:
    done = collector("export", "--root", store, "--format", kind, "--out", "/nowhere/x", status=2)
    assert "--out /nowhere/x: " in done.stderr and "None" not in done.stderr


@pytest.mark.parametrize(
    ("command", "reader", "read"), [("export", "head -n 1", "schema,site"), ("summary", "true", "")]
)
def test_standard_output_may_be_closed_early(tmp_path: Path, command: str, reader: str, read: str) -> None:
    """A reader that closes the pipe early, such as ``head``, causes no error."""
    put(tmp_path, *(window(number) for number in range(3000)))
    piped = f"{sys.executable} -m collector {command} --root {tmp_path} | {reader}"
    shell = ["bash", "-o", "pipefail", "-c", piped]
    done = subprocess.run(shell, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stdout[:11], done.stderr) == (0, read, "")


def test_a_port_in_use_is_named(store: Path) -> None:
    """A port in use and a host without an address are reported with key and value."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = collector("serve", "--root", store, "--set", f"page.port={port}", status=2)
        assert f"page.host 127.0.0.1, page.port {port}: " in done.stderr
    away = ("--set", "page.host=no.such.host.invalid")
    done = collector("serve", "--root", store, *away, "--set", "page.without_login=true", status=2)
    assert "page.host no.such.host.invalid" in done.stderr
    assert "the page has no login" in collector("serve", "--root", store, *away, status=2).stderr


def test_other_failures_exit_with_1(tmp_path: Path, store: Path) -> None:
    """A store.root that is a file ends run with 1."""
    (tmp_path / "file").write_text("")
    assert "event=stopped" in collector("run", "--root", tmp_path / "file", status=1).stderr


def test_a_summary_reports_what_was_left_out(tmp_path: Path) -> None:
    """An unknown file and a damaged roll-up are left out and logged; the other windows are summed."""
    put(tmp_path, window(1))
    folder = tmp_path / "date=2026-03-29" / "site=a"
    folder.mkdir(parents=True)
    (folder / "counts-0-x.csv").write_text("a,b\n1,2\n")
    aside = tmp_path / "_rollup" / "3600" / "2026-02.parquet.damaged"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"")
    done = collector("summary", "--root", tmp_path, "--by", "site", "--csv")
    assert done.stdout.splitlines()[1].startswith("shop-1,")
    assert "event=left_out file=date=2026-03-29/site=a/counts-0-x.csv rows=all" in done.stderr.replace('"', "")
    assert "_rollup/3600/2026-02.parquet.damaged" in done.stderr


def test_a_summary_of_too_many_hours_is_refused(tmp_path: Path) -> None:
    """For two windows a century apart, --by hour is an error that says what to do; with a range it is not."""
    put(tmp_path, window(1), window(2, start=START.replace(year=2126)))
    done = collector("summary", "--root", tmp_path, "--by", "hour", status=2)
    assert "--by hour: must give at most 50,000 hours" in done.stderr and "--since" in done.stderr
    lines = collector("summary", "--root", tmp_path, "--by", "hour", "--csv", "--until", "2027-01-01").stdout
    assert len(lines.splitlines()) > 1000, "up to the end that was given"
    collector("summary", "--root", tmp_path, "--by", "day", status=2)
    collector("summary", "--root", tmp_path, "--by", "site")


FORMULAS = ("=HYPERLINK(1)", "@SUM(1)", "+1", "-1")


def test_an_export_holds_no_formulas(tmp_path: Path) -> None:
    """Model names that a spreadsheet would run are text in CSV and Excel; Parquet and the store keep them unchanged."""
    models = [Models(detector="f@0", expression=name) for name in FORMULAS]
    put(tmp_path, *(window(number, model=model) for number, model in enumerate(models)))
    assert list(load(tmp_path)["model_expression"]) == list(FORMULAS)
    files = {kind: tmp_path / f"{kind}.xlsx" for kind in ("csv", "parquet", "excel")}
    for kind, out in files.items():
        collector("export", "--root", tmp_path, "--format", kind, "--out", out)
    exported = pd.read_csv(files["csv"], dtype=str, keep_default_na=False)
    assert list(exported["model_expression"]) == [f"'{name}" for name in FORMULAS]
    assert list(exported["site"]) == ["shop-1"] * 4
    assert list(pd.read_parquet(files["parquet"])["model_expression"]) == list(FORMULAS)
    sheet = openpyxl.load_workbook(files["excel"])["windows"]
    column = [cell.value for cell in sheet[1]].index("model_expression")
    assert [(row[column].value, row[column].data_type) for row in sheet.iter_rows(min_row=2)] == [
        (name, "s") for name in FORMULAS
    ]


def test_the_summary_as_json_has_null_for_unknown_values(store: Path) -> None:
    """By site every window counts; by hour the unsynchronised window is left out and logged."""
    (site,) = json.loads(collector("summary", "--root", store, "--by", "site", "--json").stdout)
    assert (site["site"], site["visits"], site["windows"]) == ("shop-1", 10, 3)
    done = collector("summary", "--root", store, "--by", "hour", "--json", "--since", "2026-03-28T23:30Z")
    hours = json.loads(done.stdout)
    assert [(hour["hour"], hour["visits"], hour["calm"]) for hour in hours] == [
        ("2026-03-28T23:00:00+00:00", None, None),
        ("2026-03-29T00:00:00+00:00", 6, None),
    ]
    assert "event=left_out windows=1" in done.stderr


def test_the_summary_is_in_the_zone_asked_for(store: Path) -> None:
    """00:00 UTC is 01:00 in Berlin, and a date without a time means midnight there."""
    arguments = ("--by", "hour", "--zone", "Europe/Berlin", "--csv", "--since", "2026-03-29")
    head, *rows = collector("summary", "--root", store, *arguments).stdout.splitlines()
    names = "hour,calm,busy,anger,disgust,fear,happiness,sadness,surprise,neutral,unknown"
    assert head == f"{names},visits,windows,coverage,degraded,seconds,doubtful_low,doubtful_high"
    assert rows == [
        "2026-03-29T00:00:00+01:00,,,,,,,,,,,,0,0.0,,3600.0,,",
        "2026-03-29T01:00:00+01:00,,,0.0,0.0,0.0,6.0,0.0,0.0,0.0,0.0,6.0,2,0.032767,0.0,3600.0,0.0,0.0",
    ]


def test_the_summary_shows_doubtful_visits_as_a_range(tmp_path: Path) -> None:
    """Text shows the range, or the number alone where no visit is doubtful; JSON has both numbers."""
    doubtful = {"schema": 2, "doubtful_low": 2, "doubtful_high": 1}
    put(tmp_path, window(1), window(2, **doubtful), window(3, site="shop-2"))
    head, one, two = collector("summary", "--root", tmp_path, "--by", "site").stdout.splitlines()
    assert "6 (4 to 7)" in one
    assert "(" not in two and "doubtful" not in head
    rows = json.loads(collector("summary", "--root", tmp_path, "--by", "site", "--json").stdout)
    assert [(row["visits"], row["doubtful_low"], row["doubtful_high"]) for row in rows] == [(6, 2, 1), (3, 0, 0)]


def test_export_is_one_table_with_whole_numbers(tmp_path: Path, store: Path) -> None:
    """One file has all label sets, empty where a bundle lacks a label; standard output gets the same."""
    out = tmp_path / "counts.csv"
    collector("export", "--root", store, "--out", out)
    assert out.read_text() == collector("export", "--root", store).stdout
    frame = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert list(frame["happiness"]) == ["3", "3", ""]
    assert list(frame["calm"]) == ["", "", "4"]
    assert list(frame["start"]) == [f"2026-03-29T00:0{minute}:00Z" for minute in range(3)]
    assert tuple(frame.columns[: len(FIXED_COLUMNS)]) == FIXED_COLUMNS
    assert list(tmp_path.glob(".*")) == [], "no draft is left"


def test_parquet_without_pyarrow_names_the_package(tmp_path: Path, store: Path) -> None:
    """With pyarrow the file is written; without, the command exits with 2 and names the package."""
    out = tmp_path / "counts.parquet"
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        assert "pyarrow" in collector("export", "--root", store, "--format", "parquet", "--out", out, status=2).stderr
    else:
        collector("export", "--root", store, "--format", "parquet", "--out", out)
        assert len(pd.read_parquet(out)) == 3
    assert "--out" in collector("export", "--root", store, "--format", "parquet", status=2).stderr


@needs_mosquitto
def test_every_command_and_program_of_the_guide_runs(tmp_path: Path) -> None:
    """Listeners receive windows from a real broker, and readers find them in the store afterwards."""
    port, page = free_port(), free_port()
    binaries = tmp_path / "bin"
    binaries.mkdir()
    script = binaries / "facetally-collector"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m collector "$@"\n')
    script.chmod(0o755)
    path = os.pathsep.join([str(binaries), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)}

    def command(language: str, text: str) -> list[str]:
        text = text.replace("1883", str(port)).replace("serve ", f"serve --set page.port={page} ")
        any_time = "--set limits.past_days=36500 --set limits.future_days=36500"  # the windows have fixed dates
        text = text.replace("facetally-collector run", f"facetally-collector run {any_time}")
        return ["sh", "-ec", f"exec {text}"] if language == "sh" else [sys.executable, "-c", text]

    mixed = "FROM read_parquet("  # needs a store with both kinds of files, as in tests/collector/store/test_readers.py
    runnable = [
        (language, text)
        for language, text in BLOCKS
        if language in ("sh", "python") and mixed not in text and not text.startswith(SUBSCRIBERS)
    ]
    listeners = [block for block in runnable if block[1].startswith(ENDLESS)]
    readers = [block for block in runnable if not block[1].startswith(ENDLESS)]
    assert (len(listeners), len(readers)) == (2, 14), "a block was added to the guide: make sure that it is run"

    windows = [window(number) for number in range(1, 4)]
    with mosquitto(tmp_path, port), ExitStack() as stack:
        outputs = [stack.enter_context(endless(command(*block), tmp_path, environment)) for block in listeners]

        def each_has_printed(*words: str) -> Callable[[], bool]:
            return lambda: all(word in file.read_text() for file, word in zip(outputs, words, strict=True))

        # a subscriber does not report that it has subscribed, so the windows are sent until all have received one
        def heard() -> bool:
            publish(port, [(topic(each.site, each.device, "counts"), encode(each)) for each in windows])
            return each_has_printed("+/counts", "event=serving")()

        wait_until(heard, "every listener has heard", 90)
        wait_until(lambda: len(list(tmp_path.glob("store/date=*/site=*/*.csv"))) == 1, "the rows are stored")

    for block in readers:
        done = subprocess.run(
            command(*block), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "counts.csv").read_text().splitlines()) == 1 + len(windows)


def test_the_guide_names_every_column() -> None:
    """The table of columns in docs/analyst.md and the header of the files are the same list."""
    names = FIXED_COLUMNS + DOUBTFUL_COLUMNS
    table = GUIDE.partition("| column | meaning |")[2].partition("| each label |")[0]
    assert tuple(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines() if row))) == names
    assert len(SEVEN) == 8
