"""Sums of devices by part of time are read from a file as they were written, and only whole."""

import numpy as np
import pandas as pd
import pytest

from collector.rollups import sender_file
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
    found = {}
    for block in blocks:
        for part, at in zip(*np.nonzero(block.present), strict=True):
            values = (block.visits[part, at], block.unknown[part, at], block.watched_s[part, at])
            key = (*names.devices[block.device[at]], names.label_sets[block.label_set], block.unset)
            found[(*key, int(block.starts[part]))] = tuple(map(float, values))
    return found


@pytest.mark.parametrize("dates", [None, ["2026-03-02"]])
@pytest.mark.parametrize("seed", range(3))
def test_sums_are_read_as_they_were_written(seed: int, dates: list[str] | None) -> None:
    """Parts of time that lie in two dates are added up."""
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
