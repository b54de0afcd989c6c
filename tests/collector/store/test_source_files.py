"""The sources of a roll-up keep their state through the text of the roll-up file."""

from pathlib import Path

import pytest

from collector.store import source_files
from collector.store.source_files import DELETED, FileStamp, Folder, Source, SourceState, scan_day, stored_days

FILES = (FileStamp("counts-a b-w.csv", 120, 1_774_742_400_000_000_001), FileStamp("counts-c-w.csv", 0, -5))


@pytest.mark.parametrize("source", [Source(), Source(FILES), Source(FILES).retired(), DELETED])
def test_a_source_is_decoded_from_its_text(source: Source) -> None:
    """Files and state are those that were encoded."""
    assert Source.decode(source.encode()) == source


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("counts-a-w.csv 12 34", SourceState.LIVE),
        ("retired\ncounts-a-w.csv 12 34", SourceState.RETIRED),
        ("retired\n", SourceState.DELETED),
    ],
)
def test_the_text_is_that_of_earlier_releases(text: str, state: SourceState) -> None:
    """Files of earlier releases are read, and written with the same text."""
    source = Source.decode(text)
    assert source.state is state
    assert source.encode() == text


def test_only_dates_and_sites_of_the_store_are_scanned(tmp_path: Path) -> None:
    """Other files and folders are ignored, and a store that does not exist has no days."""
    for name in ("date=2026-03-28/site=a", "date=2026-03-28/other", "date=tomorrow12", "_rollup"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "date=2026-03-28/site=a/counts-a-w.csv").write_text("x")
    (tmp_path / "date=2026-03-28/site=a/notes.txt").write_text("x")
    assert stored_days(tmp_path) == ["2026-03-28"]
    ((folder, source),) = scan_day(tmp_path, "2026-03-28")
    assert folder == Folder("2026-03-28", "a")
    assert [(file.name, file.size) for file in source.files] == [("counts-a-w.csv", 1)]
    assert stored_days(tmp_path / "none") == []


def test_a_file_that_is_compacted_during_the_scan_is_found_as_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No site of the day is lost, and a folder that is deleted meanwhile is left out."""
    for name in ("site=a", "site=b", "site=c"):
        (tmp_path / "date=2026-03-28" / name).mkdir(parents=True)
        (tmp_path / "date=2026-03-28" / name / "counts-a-w.csv").write_text("x")

    def exchanged(name: str) -> bool:
        """Exchange or delete the files after their folder was listed, before their sizes are read."""
        for path in tmp_path.glob("date=*/site=[ab]/*.csv"):
            path.with_suffix(".parquet").write_text("xy")
            path.unlink()
        for path in tmp_path.glob("date=*/site=c/*"):
            path.unlink()
            path.parent.rmdir()
        return name.startswith("counts-")

    monkeypatch.setattr(source_files, "is_counts_file", exchanged)
    found = {folder.site: [file.name for file in source.files] for folder, source in scan_day(tmp_path, "2026-03-28")}
    assert found == {"a": ["counts-a-w.parquet"], "b": ["counts-a-w.parquet"]}
