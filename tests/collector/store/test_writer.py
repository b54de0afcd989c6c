"""Rows are on disk as the contract says, once each, whatever happened to the files before."""

import random
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from collector.errors import StoreFailed, StoreRefused
from collector.receive.dead_letters import DeadLetters
from collector.store.load import labels, load, sites
from collector.store.writer import Runs, Store
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
    """Header, order of columns, times, joined reasons and quotes are exactly these."""
    models = Models(detector='faces, "new"@0123456789ab', expression="seven@ba9876543210")
    told = {"clock": "restamped", "coverage": 0.5, "degraded": ("black", "hot"), "merged": 4, "model": models}
    put(tmp_path, window(1), window(2, start=START + timedelta(seconds=90.5), **told))
    path = tmp_path / f"date=2026-03-29/site=shop-1/counts-{labelset(SEVEN)}-w1.csv"
    assert path.read_bytes() == GOLDEN
    assert path.name == "counts-9e2476d9d39d4dfb012e5db5c2401df0-w1.csv"


DOUBTFUL = {"schema": 2, "doubtful_low": 2, "doubtful_high": 1}


def test_doubtful_visits_have_columns_of_their_own(tmp_path: Path) -> None:
    """A window with doubts goes into a file beside that of windows without, which keeps its header and its bytes."""
    told = {"schema": 2, "doubtful_low": 0, "doubtful_high": 0}
    put(tmp_path, window(1), window(2), window(3, **told))
    plain = tmp_path / f"date=2026-03-29/site=shop-1/counts-{labelset(SEVEN)}-w1.csv"
    before = plain.read_bytes()
    assert b"doubtful" not in before
    assert put(tmp_path, window(4, **DOUBTFUL), window(5, schema=2, doubtful_high=1)) == [True, True]
    assert put(tmp_path, window(4, **DOUBTFUL), window(2), window(3, **told)) == [False] * 3, "repeats"
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


def test_a_row_with_a_wrong_doubt_is_left_out(tmp_path: Path) -> None:
    """It must be a whole number, as counts must; the other rows stay."""
    put(tmp_path, window(1, **DOUBTFUL), window(2, **DOUBTFUL))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    path.write_text(path.read_text().replace(",2,1,0,", ",-2,1,0,", 1))
    assert load(tmp_path)["seq"].tolist() == [2]


def test_a_window_lies_in_the_day_of_its_start(tmp_path: Path) -> None:
    """One that begins at 23:59 UTC is of that day, though it ends in the next."""
    put(tmp_path, window(0), window(1))
    assert sorted(path.name for path in tmp_path.glob("date=*")) == ["date=2026-03-28", "date=2026-03-29"]


def test_repeats_are_dropped_within_a_group_and_across_restarts(tmp_path: Path) -> None:
    """The key is site, device, boot and seq; another boot or device is another window."""
    assert put(tmp_path, window(1), window(1), window(2)) == [True, False, True]
    assert put(tmp_path, window(2), window(3), window(2, boot="f" * 16), window(2, device="till")) == [
        False, True, True, True,
    ]  # fmt: skip
    assert len(load(tmp_path)) == 5


@pytest.mark.parametrize("cut", [1, 20, 120, 240])
def test_a_torn_last_line_is_repaired_at_start(tmp_path: Path, cut: int) -> None:
    """Cut anywhere in the last row, the file is whole up to the row before, and the row can be stored again."""
    put(tmp_path, window(1), window(2))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    whole = path.read_bytes()
    row = len(whole.splitlines(keepends=True)[-1])
    path.write_bytes(whole[: -min(cut, row)])
    assert len(load(tmp_path)) == 1, "readers leave a torn line out"
    assert put(tmp_path, window(1), window(2)) == [False, True]
    assert path.read_bytes() == whole


def test_a_torn_header_is_written_again(tmp_path: Path) -> None:
    """A file cut within its first line begins anew."""
    put(tmp_path, window(1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    whole = path.read_bytes()
    path.write_bytes(whole[:30])
    assert put(tmp_path, window(1)) == [True]
    assert path.read_bytes() == whole


def test_killed_while_writing_the_file_is_whole_lines_after_repair(tmp_path: Path) -> None:
    """SIGKILL of a writer of small groups: after the next start every line is a row, and each number is there once."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from collector.store.writer import Store
from tests.support.store import START, window
with Store(Path({str(tmp_path)!r}), "w1") as store:
    print("ready", flush=True)
    for number in range(100_000):
        store.add(window(number, start=START))
        if number % 7 == 0:
            store.flush()
            print(number, flush=True)
"""
    chance = random.Random(3)
    promised = -1
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            while promised < 7:
                promised = int(writer.stdout.readline())
            try:
                writer.wait(chance.uniform(0.05, 0.3))
            except subprocess.TimeoutExpired:
                writer.kill()
            promised = max([promised, *(int(text) for text in writer.stdout if text.endswith("\n"))])
    put(tmp_path, window(0, start=START))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert {len(row) for row in rows} == {22}
    assert [int(row[4]) for row in rows] == list(range(len(rows)))
    assert len(rows) > promised > 0, "what flush returned from is there"


def test_two_writers_share_no_file_and_readers_drop_what_both_have(tmp_path: Path) -> None:
    """The writer's name is in the file's name; a window that both stored is read once."""
    put(tmp_path, window(1), writer="w1")
    put(tmp_path, window(1), window(2), writer="w2")
    assert len(list(tmp_path.glob("date=*/site=*/*.csv"))) == 2
    assert list(load(tmp_path)["seq"]) == [1, 2]


def test_one_name_is_for_one_writer(tmp_path: Path) -> None:
    """A second collector with the same name is refused while the first runs, and says what to do."""
    with Store(tmp_path, "w1"), pytest.raises(StoreRefused, match=r"another collector .* store\.writer"):
        Store(tmp_path, "w1").__enter__()
    put(tmp_path, window(1), writer="w1")


def test_a_file_with_another_header_is_kept_and_gets_a_neighbour(tmp_path: Path) -> None:
    """Nothing is appended under a header that somebody has changed, and the rows are stored all the same."""
    put(tmp_path, window(1))
    (path,) = tmp_path.glob("date=*/site=*/*.csv")
    path.write_text("a;b\n1;2\n")
    assert put(tmp_path, window(2), window(2)) == [True, False]
    assert put(tmp_path, window(2), window(3)) == [False, True]
    assert path.read_text() == "a;b\n1;2\n"
    assert list(load(tmp_path)["seq"]) == [2, 3]


def test_a_row_that_cannot_be_written_is_an_error_not_a_loss(tmp_path: Path) -> None:
    """`flush` says StoreFailed, so that nothing is acknowledged."""
    (tmp_path / "date=2026-03-28").write_text("in the way")
    with Store(tmp_path, "w1") as store, pytest.raises(StoreFailed):
        store.add(window(0))
        store.flush()


@pytest.mark.parametrize("label", ["site", "coverage", "visits", "hour", "seconds", "doubtful_low"])
def test_a_label_cannot_be_a_columns_name(tmp_path: Path, label: str) -> None:
    with Store(tmp_path, "w1") as store, pytest.raises(BadMessage, match="name of a column"):
        store.add(window(0, {label: 1, "other": 0, "unknown": 0}))


@pytest.mark.parametrize("of", [{"merged": 10**25}, {"privacy": Privacy(k=10**25)}], ids=["merged", "k"])
def test_a_number_that_no_column_holds_is_refused(tmp_path: Path, of: dict[str, object]) -> None:
    """One such message, stored, would make all of the store unreadable."""
    with Store(tmp_path, "w1") as store, pytest.raises(BadMessage, match="more than 9007199254740992"):
        store.add(window(1, **of))


def test_a_time_that_pandas_cannot_hold_is_refused(tmp_path: Path) -> None:
    """One window of the year 9000 would make the whole folder unreadable with pandas 2."""
    with Store(tmp_path, "w1") as store, pytest.raises(BadMessage, match="year 9000"):
        store.add(window(0, start=datetime(9000, 1, 1, tzinfo=timezone.utc)))


@pytest.mark.parametrize(
    ("begin", "days", "says"), [(2026, 401, "401 days in one window"), (1969, 1, "begins in the year 1969")]
)
def test_a_window_of_a_clock_gone_wild_is_refused(tmp_path: Path, begin: int, days: int, says: str) -> None:
    """One row of centuries would be millions of hours in every summary."""
    start = datetime(begin, 3, 28, tzinfo=timezone.utc)
    wild = window(0, start=start, end=start + timedelta(days=days))
    with Store(tmp_path, "collector") as store, pytest.raises(BadMessage, match=says):
        store.add(wild)


def test_numbers_are_kept_as_runs() -> None:
    """Any order: a number is new once, and neighbours become one run."""
    numbers = [*range(200)] * 2
    random.Random(5).shuffle(numbers)
    runs, seen = Runs(), set()
    for number in numbers:
        assert runs.add(number) == (number not in seen)
        seen.add(number)
    assert len(runs) == 1
    runs.add(300)
    assert len(runs) == 2


def test_label_sets_side_by_side_keep_missing_apart_from_zero(tmp_path: Path) -> None:
    """Another bundle has another file; what its labels do not name is NaN, not 0."""
    put(tmp_path, window(1), window(2, {"calm": 0, "busy": 7, "unknown": 1}))
    assert len(list(tmp_path.glob("date=*/site=*/*.csv"))) == 2
    frame = load(tmp_path)
    assert labels(frame) == [*SEVEN[:-1], "calm", "busy", "unknown"] or labels(frame) == [
        "calm", "busy", *SEVEN[:-1], "unknown",
    ]  # fmt: skip
    old, new = frame.iloc[0], frame.iloc[1]
    assert (old["anger"], new["busy"], new["calm"]) == (0, 7, 0)
    assert pd.isna(old["busy"])
    assert pd.isna(new["anger"])


def test_types_survive_names_that_look_like_numbers_and_nothing(tmp_path: Path) -> None:
    """A site called NA, a device called 007 and a boot like 1e3 stay text; times are UTC, counts are float64."""
    put(tmp_path, window(1, site="NA", device="007", boot="1e30000000000000"))
    frame = load(tmp_path)
    assert list(frame.loc[0, ["site", "device", "boot", "degraded"]]) == ["NA", "007", "1e30000000000000", ""]
    assert str(frame["start"].dt.tz) == "UTC"
    assert frame["start"][0] == START + timedelta(minutes=1)
    assert {str(frame[name].dtype) for name in SEVEN} == {"float64"}
    assert str(frame["seq"].dtype) == "int64"


def test_only_the_days_asked_for_are_opened(tmp_path: Path) -> None:
    """Of other days nothing is read or said; the bounds are since <= start < until."""
    put(tmp_path, window(0), window(1), window(2), window(1500))
    (other,) = tmp_path.glob("date=2026-03-30/site=*/*.csv")
    other.write_text("not,ours\n1,2\n")
    since, until = START + timedelta(minutes=1), START + timedelta(minutes=2)
    noted: dict[Path, object] = {}
    assert list(load(tmp_path, since, until, noted=noted.__setitem__)["seq"]) == [1]
    assert set(noted.values()) == {None}
    assert list(load(tmp_path, noted=noted.__setitem__)["seq"]) == [0, 1, 2]
    assert "first columns" in str(noted[other])


def test_an_empty_store_is_an_empty_table(tmp_path: Path) -> None:
    frame = load(tmp_path)
    assert frame.empty
    assert str(frame["start"].dtype).endswith("UTC]")
    assert sites(tmp_path) == []


def test_dead_letters_are_bounded(tmp_path: Path) -> None:
    """Two files of the size allowed, the newest letter always there, a torn line repaired."""
    (tmp_path / "dead-letters.jsonl").write_text('{"torn')
    for number in range(100):
        letters = DeadLetters(tmp_path, 4096)
        letters.add("t", b"x" * 200, f"reason {number}", START)
        letters.flush()
    files = sorted(tmp_path.glob("dead-letters*.jsonl"))
    assert [path.name for path in files] == ["dead-letters.1.jsonl", "dead-letters.jsonl"]
    assert all(path.stat().st_size <= 4096 for path in files)
    assert "reason 99" in files[1].read_text()
    assert "torn" not in files[0].read_text()
