"""The analyst's functions: a store is loaded, summed up and corrected; wrong arguments are named."""

from datetime import datetime, timedelta, timezone

import pytest

import facetally
from collector.devices.registry import DeviceRegistry
from collector.store.writer import StoreWriter
from contract.message import BundleIdentity, Counts, Model, Models, Privacy
from contract.topics import Address

BEGIN = datetime(2026, 3, 30, 8, tzinfo=timezone.utc)
LABELS = ("happiness", "neutral")


def window(minute: int, happy: int, neutral: int) -> Counts:
    start = BEGIN + timedelta(minutes=minute)
    return Counts(
        schema=1,
        site="shop-1",
        device="door",
        boot="0123456789abcdef",
        seq=minute,
        start=start,
        end=start + timedelta(minutes=1),
        clock="synced",
        coverage=1.0,
        degraded=(),
        visits={"happiness": happy, "neutral": neutral, "unknown": 1},
        merged=1,
        privacy=Privacy(k=1),
        model=Models(detector="face@0123456789ab", expression="mood@" + "a" * 12),
    )


@pytest.fixture
def store(tmp_path):
    """Two hours of windows of one device; in the second it counts more neutral visits."""
    with StoreWriter(tmp_path, "w1") as rows:
        for minute in range(120):
            rows.add(window(minute, 3, 1 if minute < 60 else 5))
        rows.flush()
    return tmp_path


def test_a_store_becomes_one_row_a_window_and_one_column_a_label(store):
    """What the collector wrote is what an analyst sees, within the limits given."""
    counts = facetally.load(store)
    assert len(counts) == 120
    assert counts["happiness"].sum() == 360
    later = facetally.load(str(store), since=BEGIN + timedelta(hours=1), site="shop-1")
    assert (len(later), later["neutral"].sum()) == (60, 300)
    assert facetally.load(store, site="shop-2").empty


def test_a_summary_has_one_row_a_period_in_the_zone_given(store):
    """09:00 UTC is 11:00 in Berlin in summer."""
    hours = facetally.summarise(facetally.load(store), by="hour", zone="Europe/Berlin")
    assert [start.hour for start in hours.index] == [10, 11]
    assert list(hours["visits"]) == [300, 540]
    assert list(facetally.summarise(facetally.load(store), by="site").index) == ["shop-1"]


@pytest.fixture
def confused(store):
    """The device has published that its model takes half of the happy faces for neutral ones."""
    expression = BundleIdentity(name="mood", sha256="a" * 64, labels=LABELS, confusion=((50, 50), (0, 100)))
    model = Model(
        schema=2, detector=BundleIdentity(name="face", sha256="0" * 64, labels=("face",)), expression=expression
    )
    devices = DeviceRegistry(store)
    devices.record(Address("shop-1", "door", "model"), model, False, BEGIN)
    devices.save()
    return store


def test_shares_are_corrected_by_what_the_device_says_of_its_model(confused):
    """Half of the happy visits were counted as neutral: 360 happy ones of 720 named ones were nearly all."""
    counts = facetally.load(confused)
    table = facetally.shares(counts)
    assert table.loc["happiness", "share"] == pytest.approx(0.5)
    assert table.loc["happiness", "corrected"] == pytest.approx(1.0, abs=0.02)
    assert (table["low"] <= table["corrected"]).all()
    assert table.equals(facetally.shares(counts)), "the same seed gives the same intervals"
    same = facetally.shares(counts.drop(columns="boot").assign(), store=confused)
    assert same["corrected"].equals(table["corrected"])


def test_two_hours_are_compared(confused):
    """The second hour has more neutral visits for each happy one."""
    first = facetally.load(confused, until=BEGIN + timedelta(hours=1))
    second = facetally.load(confused, since=BEGIN + timedelta(hours=1))
    table = facetally.compare(first, second)
    assert table.loc["neutral", "change"] == "more"
    assert table.loc["happiness", "change"] == "less"


def test_a_table_of_unknown_origin_needs_its_store(store):
    """The matrices lie in the store, not in the table."""
    counts = facetally.load(store)
    counts.attrs.clear()
    with pytest.raises(facetally.FacetallyError, match="store: must be given, as the table does not come from"):
        facetally.shares(counts)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda store: facetally.load(store / "none"), "store: must be a folder that facetally-collector writes, is "),
        (lambda store: facetally.load(store, since=datetime(2026, 3, 30)), "since: must have a time zone"),
        (
            lambda store: facetally.load(store, since="2026-03-30"),
            "since: must be a datetime with a time zone, is '2026-03-30'",
        ),
        (
            lambda store: facetally.summarise(facetally.load(store), by="minute"),
            "by: must be one of total, hour, day, ",
        ),
        (lambda store: facetally.summarise(facetally.load(store), zone="Mars"), "zone: must be a time zone such as "),
        (
            lambda store: facetally.summarise(facetally.load(store), since=BEGIN),
            "since, until: must be given together",
        ),
    ],
)
def test_wrong_arguments_are_named(store, call, says):
    """The argument, the value and what is allowed are in the error."""
    with pytest.raises(facetally.FacetallyError) as caught:
        call(store)
    assert str(caught.value).startswith(says)
