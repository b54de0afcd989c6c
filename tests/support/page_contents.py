"""Everything that the page shows of a period, and its comparison with a tolerance."""

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from collector.page.first_screen.first_screen import FirstScreen
from collector.page.sections.views import View
from collector.reading.reader import Reader
from tests.support.pages import text_of

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def page_contents(reader: Reader, now: datetime, controls: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures, texts and files of a selection."""
    view, first = View(reader, lambda: now), FirstScreen(reader, lambda: now)
    overview, shown = view.overview(controls), first.figures(controls)
    heat, labels = view.heatmap(controls, "visits")
    charts = {"trend": overview.trend, "shares": overview.shares, "heat": heat, "comparison": view.comparison(controls)}
    found: dict[str, Any] = {
        name: (chart.figure.to_dict(), chart.description, text_of(chart.table)) for name, chart in charts.items()
    }
    found |= {"totals": text_of(overview.totals), "labels": labels, "tiles": text_of(shown.tiles)}
    found |= {"sites": _properties(shown.sites), "notice": text_of(shown.notice), "names": shown.labels}
    found["sets"] = [(each.name, each.labels, each.visits) for each in shown.sets]
    found["receipt"] = text_of(first.receipt({**controls, "receipt": "visits"}))
    return found


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Assert that two contents are equal, numbers up to the last digits."""
    if isinstance(one, dict) and "bdata" in one:  # an array, as plotly sends it
        assert_same(*(np.frombuffer(b64decode(each["bdata"]), each["dtype"]) for each in (one, other)), where)
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key, value in one.items():
            assert_same(value, other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for at, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{at}")
    elif isinstance(one, np.ndarray) and one.dtype.kind == "f":
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9, err_msg=where)
    elif isinstance(one, np.ndarray):
        assert one.tolist() == other.tolist(), where
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9, nan_ok=True), where
    elif isinstance(one, str) and one != other:  # a half may be rounded up or down
        assert NUMBER.sub("", one) == NUMBER.sub("", other), where
        for shown, expected in zip(NUMBER.findall(one), NUMBER.findall(other), strict=True):
            last_digit = 10.0 ** -len(shown.partition(".")[2])
            numbers = (float(each.replace(",", "")) for each in (shown, expected))
            assert abs(next(numbers) - next(numbers)) < 1.01 * last_digit, where
    else:
        assert one == other, where


def _properties(component: Any) -> Any:
    """Return a tree of Dash components as values, with addresses, sparklines and classes."""
    if isinstance(component, (list, tuple)):
        return [_properties(part) for part in component]
    if hasattr(component, "to_plotly_json"):
        return {key: _properties(value) for key, value in component.to_plotly_json()["props"].items()}
    return component
