"""For any request the HTTP API conforms to its OpenAPI document and never fails internally."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from collector.api import recounts
from collector.api.guard import Guard
from collector.api.openapi import document
from collector.api.routes import Api, mount
from collector.reading.reader import Reader
from collector.recount.recounts import Recounts
from tests.support.store import SEVEN, put, window

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed (make test)")
hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed (make test)")

NOW = datetime(2026, 3, 29, 3, 0, tzinfo=timezone.utc)
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The OpenAPI document of an API over a small store, read from the API itself."""
    root: Path = tmp_path_factory.mktemp("store")
    put(root, *(window(n, dict.fromkeys(SEVEN, 1)) for n in range(1, 61)))
    app = Flask("test")
    guard = Guard(TOKEN, 100_000)
    mount(app, Api(Reader(root, lambda: NOW), ZoneInfo("UTC"), lambda: NOW), guard)
    recounts.mount(app, Recounts(root, lambda: NOW), guard, Reader(root, lambda: NOW).permits)
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("path", sorted(path for path, methods in document()["paths"].items() if "get" in methods))
def test_it_conforms_to_its_document(api: Any, path: str, mode: str) -> None:
    """No response has status 5xx, or an undocumented status, type or body. Requests that violate the document are
    refused. That every conforming request succeeds is not checked: `since` may be after `until`.
    """
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    operation = api[path]["GET"]
    if mode == "NEGATIVE" and not operation.query:
        return  # a request without parameters cannot be invalid

    @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode[mode]))
    @hypothesis.settings(
        max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
    )
    def each(case: Any) -> None:
        hypothesis.assume(all(value not in ([], {}) for value in (case.query or {}).values()))  # sent as nothing
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=[positive_data_acceptance])

    each()


def test_the_check_detects_a_violation(tmp_path: Path) -> None:
    """A response that lacks a field of its schema fails the check."""
    from schemathesis.core.failures import FailureGroup

    put(tmp_path, window(1))
    app = Flask("test")
    mount(app, Api(Reader(tmp_path, lambda: NOW), ZoneInfo("UTC"), lambda: NOW), Guard(None, 100_000))
    app.view_functions["api.sites"] = lambda: {"sites": [{"site": 1}]}
    operation = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)["/api/v1/sites"]["GET"]
    with pytest.raises(FailureGroup) as found:
        operation.Case().call_and_validate()
    assert any("SiteAnswer" in f"{failure.title} {failure.message}" for failure in found.value.exceptions)
