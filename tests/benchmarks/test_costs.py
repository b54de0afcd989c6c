"""The benchmark of what fleets cost, and its reference."""

from pathlib import Path

from benchmarks.load import costs

ROOT = Path(__file__).parents[2]
FOUND = costs.read(ROOT / costs.REFERENCE)


def test_the_documentation_has_the_tables_of_the_reference() -> None:
    """docs/scale.md contains both tables, line by line."""
    guide = (ROOT / "docs/scale.md").read_text()
    assert costs.table(FOUND) in guide
    assert costs.plan(FOUND) in guide
    assert [cost.devices for cost in FOUND] == [100, 1000, 10_000]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The figures keep four digits."""
    costs.write(tmp_path / "costs.csv", FOUND)
    assert costs.read(tmp_path / "costs.csv") == FOUND


def test_a_plan_is_computed_from_the_largest_fleet() -> None:
    """A million devices that send a window a minute, at 600 microseconds each, need ten cores."""
    small, large = (costs.Cost(n, n / 60, 900.0, 600.0, 60.0, 30, 9, 0.3, 0.5, 200.0, 4.0, 5.0) for n in (10, 1000))
    last = costs.plan([large, small]).splitlines()[-1]
    assert last == ("| 1,000,000 | 50,000 | 1.3 TB | 100 | 10.0, 30.0 | 1.0, 9.0 | 288 GB | 2.1 TB | 2.0 core hours |")
    assert "| 100,000 | 5,000 | 130 GB | 10 |" in costs.plan([large])
    assert costs.size(999) == "999 bytes" and costs.size(1440) == "1.44 kB"
