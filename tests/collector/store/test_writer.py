"""The writer stores each window once, in the format of the contract, whatever happened to the files before."""

import random
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from collector.errors import StoreFailed, StoreRefused
from collector.store.append_file import FEW_FILES
from collector.store.load import labels, load
from collector.store.rows import row
from collector.store.writer import StoreWriter
from contract.errors import BadMessage
from contract.labels import labelset
from contract.message import Models, Privacy
from tests.support.store import SEVEN, START, put, window

GOLDEN = b"""\
schema,site,device,boot,seq,start,end,clock,coverage,degraded,merged,privacy_k,model_detector,model_expression,\
anger,disgust,fear,happiness,sadness,surprise,neutral,unknown
1,shop-1,door,0123456789abcdef,1,2026-03-29T00:00:00Z,2026-03-29T00:01:00Z,synced,0.983,,1,5,\
faces@0123456789ab,seven@ba9876543210,0,0,0,3,0,0,0,0
1,shop-1,door,0123456789abcdef,2,2026-03-29T00:00:30.500000Z,2026-03-29T00:01:30.500000Z,restamped,0.5,black|hot,4,5,\
"faces, ""new""@0123456789ab",seven@ba9876543210,0,0,0,3,0,0,0,0
"""


def test_the_bytes_of_a_file(tmp_path: Path) -> None:
    """A file has these bytes: header, order of columns, times, joined reasons, quotes."""
    models = Models(detector='faces, "new"@0123456789ab', expression="seven@ba9876543210")
    fields = {"clock": "restamped", "coverage": 0.5, "degraded": ("black", "hot"), "merged": 4, "model": models}
    put(tmp_path, window(1), window(2, start=START + timedelta(seconds=90.5), **fields))
    path = tmp_path / f"date=2026-03-29/site=shop-1/counts-{labelset(SEVEN)}-w1.csv"
    assert path.read_bytes() == GOLDEN
    assert path.name == "counts-9e2476d9d39d4dfb012e5db5c2401df0-w1.csv"


def test_times_and_numbers_are_written_as_python_writes_them() -> None:
    """Of a thousand random windows the cells of times, coverage and visits are those of `isoformat` and `str`."""
    rng = random.Random(3)
    for seq in range(1000):
        start = START + timedelta(days=rng.randrange(-20_000, 60_000), microseconds=rng.choice((0, 10, 999_999)))
        visits = {label: rng.choice((0, 7, 10**6, 2**53)) for label in SEVEN}
        coverage = rng.choice((0.0, 1.0, 1e-5, 0.1 + 0.2, rng.random()))
        cells = row(window(seq, visits, start=start, coverage=coverage)).strip().split(",")
        times = [each.isoformat().replace("+00:00", "Z") for each in (start, start + timedelta(minutes=1))]
        assert cells[4:7] == [str(seq), *times]
        assert cells[8] == str(coverage)
        assert cells[14:] == [str(number) for number in visits.values()]


DOUBTFUL = {"schema": 2, "doubtful_low": 2, "doubtful_high": 1}


def test_doubtful_visits_have_columns_of_their_own(tmp_path: Path) -> None:
    """Windows with doubtful visits have a file of their own; the file of the other windows does not change."""
    no_doubts = {"schema": 2, "doubtful_low": 0, "doubtful_high": 0}
    put(tmp_path, window(1), window(2), window(3, **no_doubts))
    plain = tmp_path / f"date=2026-03-29/site=shop-1/counts-{labelset(SEVEN)}-w1.csv"
    before = plain.read_bytes()
    assert b"doubtful" not in before
    assert put(tmp_path, window(4, **DOUBTFUL), window(5, schema=2, doubtful_high=1)) == [True, True]
    assert put(tmp_path, window(4, **DOUBTFUL), window(2), window(3, **no_doubts)) == [False] * 3, "repeats"
    assert plain.read_bytes() == before
    name = f"counts-{labelset(('doubtful_low', 'doubtful_high', *SEVEN))}-w1.csv"
    head, *rows = (plain.parent / name).read_text().splitlines()
    assert head.split(",")[13:17] == ["model_expression", "doubtful_low", "doubtful_high", "anger"]
    assert [row.split(",", 14)[14] for row in rows] == ["2,1,0,0,0,3,0,0,0,0", "0,1,0,0,0,3,0,0,0,0"]
    frame = load(tmp_path)
    assert frame["seq"].tolist() == [1, 2, 3, 4, 5]
    assert (frame["doubtful_low"].tolist(), frame["doubtful_high"].tolist()) == ([0, 0, 0, 2, 0], [0, 0, 0, 1, 1])
    assert frame["doubtful_low"].dtype == "int64"
    assert labels(frame) == list(SEVEN)


def test_a_row_with_negative_doubtful_visits_is_left_out(tmp_path: Path) -> None:
    """Doubtful visits must be whole numbers from 0; the other rows of the file stay."""
    put(tmp_path, window(1, **DOUBTFUL), window(2, **DOUBTFUL))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    path.write_text(path.read_text().replace(",2,1,0,", ",-2,1,0,", 1))
    assert load(tmp_path)["seq"].tolist() == [2]


def test_a_window_belongs_to_the_day_of_its_start(tmp_path: Path) -> None:
    """A window that begins at 23:59 UTC is stored in that day's folder, although it ends in the next."""
    put(tmp_path, window(0), window(1))
    assert sorted(path.name for path in tmp_path.glob("date=*")) == ["date=2026-03-28", "date=2026-03-29"]


def test_repeats_are_dropped_within_a_group_and_across_restarts(tmp_path: Path) -> None:
    """A repeat has the same site, device, boot and seq; another boot or device is another window."""
    assert put(tmp_path, window(1), window(1), window(2)) == [True, False, True]
    assert put(tmp_path, window(2), window(3), window(2, boot="f" * 16), window(2, device="till")) == [
        False, True, True, True,
    ]  # fmt: skip
    assert len(load(tmp_path)) == 5


@pytest.mark.parametrize("cut", [1, 20, 120, 240])
def test_a_torn_last_line_is_repaired_at_start(tmp_path: Path, cut: int) -> None:
    """A file that is cut within its last row keeps the rows before, and the row can be stored again."""
    put(tmp_path, window(1), window(2))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    whole = path.read_bytes()
    row = len(whole.splitlines(keepends=True)[-1])
    path.write_bytes(whole[: -min(cut, row)])
    assert len(load(tmp_path)) == 1, "readers ignore a torn line"
    assert put(tmp_path, window(1), window(2)) == [False, True]
    assert path.read_bytes() == whole


def test_a_torn_header_is_written_again(tmp_path: Path) -> None:
    """A file that is cut within its header gets a new header."""
    put(tmp_path, window(1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    whole = path.read_bytes()
    path.write_bytes(whole[:30])
    assert put(tmp_path, window(1)) == [True]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("sites", [1, 2 * FEW_FILES])
def test_after_a_kill_and_repair_every_line_is_a_row(tmp_path: Path, sites: int) -> None:
    """After SIGKILL of a writer and the next start, every line is a row and each number is there once.

    The rows of few files are synced in another way than those of many.
    """
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from collector.store.writer import StoreWriter
from tests.support.store import START, window
with StoreWriter(Path({str(tmp_path)!r}), "w1") as store:
    print("ready", flush=True)
    for number in range(100_000):
        for site in range({sites}):
            store.add(window(number, start=START, site=f"shop-{{site}}"))
        if number % 7 == 0:
            store.flush()
            print(number, flush=True)
"""
    rng = random.Random(3)
    flushed = -1
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            while flushed < 7:
                flushed = int(writer.stdout.readline())
            try:
                writer.wait(rng.uniform(0.05, 0.3))
            except subprocess.TimeoutExpired:
                writer.kill()
            flushed = max([flushed, *(int(text) for text in writer.stdout if text.endswith("\n"))])
    put(tmp_path, window(0, start=START, site="shop-0"))
    paths = list(tmp_path.glob("date=*/site=*/*.csv"))
    assert len(paths) == sites
    for path in paths:
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        assert {len(row) for row in rows} == {22}
        assert [int(row[4]) for row in rows] == list(range(len(rows)))
        assert len(rows) > flushed > 0, "flushed rows are on disk"


def test_two_writers_share_no_file_and_readers_drop_repeats(tmp_path: Path) -> None:
    """Each writer has its own files, and a window that both have stored is loaded once."""
    put(tmp_path, window(1), writer="w1")
    put(tmp_path, window(1), window(2), writer="w2")
    assert len(list(tmp_path.glob("date=*/site=*/*.csv"))) == 2
    assert list(load(tmp_path)["seq"]) == [1, 2]


def test_a_writer_name_in_use_is_refused(tmp_path: Path) -> None:
    """A second collector of the same name is refused while the first runs, with an error that names the setting."""
    with StoreWriter(tmp_path, "w1"), pytest.raises(StoreRefused, match=r"another collector .* store\.writer"):
        StoreWriter(tmp_path, "w1").__enter__()
    put(tmp_path, window(1), writer="w1")


def test_a_file_with_another_header_is_kept(tmp_path: Path) -> None:
    """Nothing is appended to a file whose header was changed; its rows go into a further file."""
    put(tmp_path, window(1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    path.write_text("a;b\n1;2\n")
    assert put(tmp_path, window(2), window(2)) == [True, False]
    assert put(tmp_path, window(2), window(3)) == [False, True]
    assert path.read_text() == "a;b\n1;2\n"
    assert list(load(tmp_path)["seq"]) == [2, 3]


def test_a_row_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """`flush` raises StoreFailed, so that the windows are not acknowledged."""
    (tmp_path / "date=2026-03-28").write_text("in the way")
    with StoreWriter(tmp_path, "w1") as store, pytest.raises(StoreFailed):
        store.add(window(0))
        store.flush()


@pytest.mark.parametrize("label", ["site", "coverage", "visits", "hour", "seconds", "doubtful_low"])
def test_a_label_cannot_be_the_name_of_a_column(tmp_path: Path, label: str) -> None:
    """Such a message is refused, so that a column is either a label or not."""
    with StoreWriter(tmp_path, "w1") as store, pytest.raises(BadMessage, match="name of a column"):
        store.add(window(0, {label: 1, "other": 0, "unknown": 0}))


@pytest.mark.parametrize("of", [{"merged": 10**25}, {"privacy": Privacy(k=10**25)}], ids=["merged", "k"])
def test_a_number_too_large_for_a_column_is_refused(tmp_path: Path, of: dict[str, object]) -> None:
    """A number above 2**53 would not fit a column of whole numbers."""
    with StoreWriter(tmp_path, "w1") as store, pytest.raises(BadMessage, match="at most 9007199254740992"):
        store.add(window(1, **of))


def test_a_time_that_pandas_cannot_hold_is_refused(tmp_path: Path) -> None:
    """A window of the year 9000 would make its folder unreadable with pandas 2."""
    with StoreWriter(tmp_path, "w1") as store, pytest.raises(BadMessage, match="year 9000"):
        store.add(window(0, start=datetime(9000, 1, 1, tzinfo=timezone.utc)))


@pytest.mark.parametrize(("begin", "days", "reason"), [(2026, 401, "is 401 days"), (1969, 1, "the year 1969")])
def test_a_window_of_an_absurd_time_is_refused(tmp_path: Path, begin: int, days: int, reason: str) -> None:
    """A window of centuries would be millions of hours in every summary."""
    start = datetime(begin, 3, 28, tzinfo=timezone.utc)
    wild = window(0, start=start, end=start + timedelta(days=days))
    with StoreWriter(tmp_path, "collector") as store, pytest.raises(BadMessage, match=reason):
        store.add(wild)
