"""A real PostgreSQL answers every query of the Grafana dashboard, with the figures of the summary."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from collector.analysis.breakdown import break_down
from collector.analysis.label_sets import label_sets, with_label_set
from collector.store.load import load
from tests.support.postgresql import ZONE, needs_postgresql, rows, sync
from tests.support.prometheus import MONITORING
from tests.support.store import START

pytestmark = needs_postgresql
DASHBOARD = json.loads((MONITORING / "grafana-postgresql.json").read_text())
VARIABLES = [each for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
QUERIES = {panel["title"]: target for panel in DASHBOARD["panels"] for target in panel["targets"]}
RANGE = (START - timedelta(days=1), START + timedelta(days=7))
INTERVAL_S = 3600.0


def macro(match: re.Match[str]) -> str:
    """Return the SQL of a macro, as Grafana's documentation of PostgreSQL has it."""
    name, arguments = match[1], [each.strip() for each in match[2].split(",")]
    if name == "__timeFilter":
        first, last = (each.strftime("%Y-%m-%dT%H:%M:%SZ") for each in RANGE)
        return f"{arguments[0]} BETWEEN '{first}' AND '{last}'"
    assert (name, arguments[1]) == ("__timeGroupAlias", "'1h'"), match[0]
    return f'floor(extract(epoch from {arguments[0]})/{INTERVAL_S:g})*{INTERVAL_S:g} AS "time"'


def filled(query: str, values: Mapping[str, Sequence[str]]) -> str:
    """Replace variables, then macros, as Grafana does. A macro ends at the first closing parenthesis."""
    text = query.replace("$__interval", "'1h'")
    for name, chosen in values.items():
        quoted = ",".join("'" + each.replace("'", "''") + "'" for each in chosen)
        text = text.replace("${" + name + ":sqlstring}", quoted)
    text = re.sub(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)", macro, text)
    assert "$" not in text, text
    return text


@pytest.fixture
def values(varied: Path, url: str) -> dict[str, list[str]]:
    """Return the values of the dashboard's variables for a copied store: all sites, and the first of the others."""
    assert sync(varied, url) == 0
    found: dict[str, list[str]] = {}
    for each in VARIABLES:
        options = [str(row[0]) for row in rows(url, filled(each["query"], found))]
        found[each["name"]] = options if each.get("multi") else options[:1]
    return found


def test_the_variables_have_what_the_store_has(values: dict[str, list[str]], varied: Path) -> None:
    """All sites; the label set with the most visits; happiness if a model has it; the zone of the copy."""
    assert values["site"] == ["007", "shop-1"] and values["label"] == ["happiness"] and values["zone"] == [ZONE]
    assert values["label_set"][0][:8] == label_sets(load(varied))[0].name


def test_panels_have_the_figures_of_the_summary(values: dict[str, list[str]], varied: Path, url: str) -> None:
    """Every query runs and has rows; a time series begins with its time. Visits are those of ``summary``."""
    found = {}
    with psycopg.connect(url) as connection:  # without the schema in the path, like Grafana
        for title, target in QUERIES.items():
            cursor = connection.execute(filled(target["rawSql"], values).encode())
            found[title] = cursor.fetchall()
            assert found[title], title
            assert cursor.description is not None
            if target["format"] == "time_series":
                names = [column.name for column in cursor.description]
                assert names[:2] == ["time", "metric"] and len(names) > 2, title
    berlin = ZoneInfo(ZONE)
    part, _ = with_label_set(load(varied), values["label_set"][0][:8])
    expected = break_down(part, ["site", "day"], berlin)["visits"].dropna()
    days = {(site, time.astimezone(berlin).date()): visits for time, site, visits in found["Visits by day"]}
    by_day: dict[tuple[str, Any], float] = expected.to_dict()  # type: ignore[assignment]
    assert days == pytest.approx({(site, day.date()): visits for (site, day), visits in by_day.items()})
    total = float(expected.sum())
    assert found["Visits"] == [(pytest.approx(total),)]
    for title in ("Visits by hour", "Expressions by hour"):
        assert sum(row[2] for row in found[title]) == pytest.approx(total), title
    unknown = float(break_down(part, ["site"], berlin)["unknown"].sum())
    assert found["Unknown"] == [(pytest.approx(unknown / total),)]
    assert found["Devices away"] == [(len(found["Devices"]),)] == [(3,)], "none has a time of its last message"
    shares = rows(url, "SELECT corrected, low, high FROM shares WHERE label = 'happiness' AND corrected IS NOT NULL"
                  " AND period = 'day' ORDER BY start_date, site")  # fmt: skip
    title = "Corrected share of $label by day"
    assert [row[2:] for row in found[title]] == shares != []
    assert isinstance(found[title][0][0], datetime)
