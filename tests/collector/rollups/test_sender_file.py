"""Sums of devices by part of time are read from a file as they were written, and only whole."""

import numpy as np
import pandas as pd
import pytest

from collector.rollups import fleet_senders, sender_file
from collector.rollups.fleet_senders import SenderBlock, SenderNames, narrow, sender_tables
from collector.rollups.fleet_sums import LABEL_SET, SENDER_SUMS
from collector.rollups.kept import Kept
from collector.rollups.rollup_file import DamagedRollup

HOUR_US = 3_600_000_000


def sums(rng: np.random.Generator) -> pd.DataFrame:
    """Random sums of some devices; a part of time may lie in two dates."""
    keys = pd.MultiIndex.from_product(
        [
            ["2026-03-01", "2026-03-02"], ["south", "north"], ["door", "till"], ["a b", "a c"],
            ["synced", "unsynced"], [HOUR_US * at for at in range(4)],
        ],
        names=["date", "site", "device", LABEL_SET, "clock", "start"],
    )  # fmt: skip
    table = keys.to_frame(index=False).sample(frac=0.5, random_state=int(rng.integers(1000)))
    scale = {"visits": 1.0, "unknown": 0.25, "watched s": 1 / 3}
    return table.assign(**{name: rng.integers(1, 99, len(table)) * scale.get(name, 1.0) for name in SENDER_SUMS})


def rows(blocks: tuple[SenderBlock, ...], names: SenderNames) -> dict[tuple[object, ...], tuple[float, ...]]:
    """Every sum of some blocks, by site, device, label set, kind of clock and start."""
    found: dict[tuple[object, ...], tuple[float, ...]] = {}
    for block in blocks:
        for part, at in zip(*np.nonzero(block.present), strict=True):
            values = (block.visits[part, at], block.unknown[part, at], block.watched_s[part, at])
            of = (*names.devices[block.device[at]], names.label_sets[block.label_set], block.unset)
            key = (*of, int(block.starts[part]))
            found[key] = tuple(map(float, map(sum, zip(values, found.get(key, (0.0, 0.0, 0.0)), strict=True))))
    return found


@pytest.mark.parametrize("dates", [None, ["2026-03-02"]])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("small", [0, fleet_senders.SMALL])
def test_sums_are_read_as_they_were_written(
    seed: int, dates: list[str] | None, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of time that lie in two dates are added up, also if these are in several tables."""
    monkeypatch.setattr(fleet_senders, "SMALL", small)
    monkeypatch.setattr(fleet_senders, "MAX_PER_VALUE", fleet_senders.MAX_PER_VALUE if small else 1)
    table, names = sums(np.random.default_rng(seed)), SenderNames()
    data = memoryview(sender_file.encode(sender_tables(table)))
    found = sender_file.decode(data, names, dates)
    chosen = table if dates is None else table[table["date"].isin(dates)]
    totals = chosen.groupby(["site", "device", LABEL_SET, "clock", "start"])[list(SENDER_SUMS)].sum()
    expected = {(*key[:3], key[3] == "unsynced", key[4]): tuple(values) for key, *values in totals.itertuples()}
    read = rows(found, names)
    assert read.keys() == expected.keys()
    np.testing.assert_allclose([read[key] for key in expected], list(expected.values()), rtol=1e-12)
    for block in found:
        sites = np.array([names.sites.index(names.devices[device][0]) for device in block.device])
        for at, site in enumerate(block.site):
            np.testing.assert_allclose(block.site_visits[:, at], block.visits[:, sites == site].sum(1), rtol=1e-12)
            assert (block.site_present[:, at] == block.present[:, sites == site].any(1)).all()


def test_a_window_of_a_year_takes_no_memory_for_the_other_devices() -> None:
    """Nor do windows of single devices, each at another hour, beside those of a fleet."""
    fleet, hours = pd.MultiIndex.from_product([range(24), range(1000)]), range(24, 9600)
    one = pd.MultiIndex.from_arrays([hours, np.zeros(len(hours), np.int64)])
    single = pd.MultiIndex.from_arrays([hours, np.arange(len(hours)) % 999 + 1])
    for keys in (fleet.append(one), fleet.append(single), one, single):
        start, device = (keys.get_level_values(level).to_numpy() for level in (0, 1))
        table = pd.DataFrame({"start": start * HOUR_US, "site": "north", "device": device.astype(str)})
        table = table.assign(clock="synced", **{LABEL_SET: "a"}, **dict.fromkeys(SENDER_SUMS, 1.0))
        tables = sender_tables(table)
        assert sum(int(each.present.sum()) for each in tables) == len(table)
        assert sum(each.present.size for each in tables) < 100 * len(table) + fleet_senders.SMALL
        assert len(tables) < 200


def test_what_is_cut_off_is_not_read() -> None:
    """A file whose checksum fits, from other software."""
    data = sender_file.encode(sender_tables(sums(np.random.default_rng(1))))
    for broken in (data[:40], b"\0" * 30, b""):
        with pytest.raises(DamagedRollup):
            sender_file.decode(memoryview(broken), SenderNames())


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0.0, 65_535.0], "uint16"),
        ([65_536.0, 0.5], "float32"),
        ([-1.0], "float32"),
        ([1 / 3], "float64"),
        ([1e300], "float64"),
    ],
)
def test_values_are_stored_exactly(values: list[float], dtype: str) -> None:
    """In the smallest dtype that holds all of them."""
    found = narrow(np.array(values))
    assert (found.dtype, found.tolist()) == (np.dtype(dtype), values)


def test_kept_results_are_bounded() -> None:
    """Those that nobody has asked for longest are made again."""
    kept: Kept[np.ndarray] = Kept(24)
    made = []

    def ask(key: str) -> None:
        kept.get(key, lambda: made.append(key) or np.zeros(1))  # type: ignore[func-returns-value]

    for key in "abcabadb":
        ask(key)
    assert made == ["a", "b", "c", "d"]
    ask("c")
    assert made[-1] == "c"
