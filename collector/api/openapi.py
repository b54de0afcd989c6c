"""The OpenAPI document, generated from the structs of parameters and responses."""

from importlib.metadata import version
from typing import Any, cast

from msgspec import Struct

from collector.api import answers, problems, recount_answers
from collector.recount.session import SESSION_ID_PATTERN, Session
from contract.schemas import components

API_ROOT = "/api/v1"
SCHEMAS = "#/components/schemas/{name}"
CSV, PARQUET, JSON = "text/csv", "application/vnd.apache.parquet", "application/json"
ARROW = "application/vnd.apache.arrow.stream"
LISTS = ("by", "site", "device", "group")
"""Parameters that are lists of names, separated by commas."""
PATHS: dict[str, tuple[str, type[answers.Query], type[Struct]]] = {
    f"{API_ROOT}/sites": ("Sites, and how many of their devices are online", answers.NoQuery, answers.SitesAnswer),
    f"{API_ROOT}/devices": ("State of each device", answers.DevicesQuery, answers.DevicesAnswer),
    f"{API_ROOT}/counts": (
        "Visits by time, site, device and label, also with corrected shares",
        answers.CountsQuery,
        answers.CountsAnswer,
    ),
    f"{API_ROOT}/recounts": (
        "Counts by hand, compared with those of the devices",
        recount_answers.RecountsQuery,
        recount_answers.RecountsAnswer,
    ),
    f"{API_ROOT}/health": ("Whether the store can be read", answers.NoQuery, answers.HealthAnswer),
}
ERRORS = {
    "400": "A parameter is unknown, invalid or too large",
    "401": "The token is missing or wrong",
    "404": "A site, device, label set or path does not exist",
    "405": "Only GET, HEAD and OPTIONS are allowed",
    "429": "Too many requests; Retry-After is the number of seconds to wait",
    "503": "The store does not exist",
}


SESSION_ERRORS = {
    "404": "The device is unknown",
    "405": "Only PUT and OPTIONS are allowed",
    "409": "Another session of the device runs at that time, or has this id",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "503": "The session cannot be stored",
}
"""Further errors of a session."""


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all paths below ``/api/v1`` and of ``/metrics``."""
    structs = [struct for _, query, response in PATHS.values() for struct in (query, response)]
    schemas = components([*structs, Session, recount_answers.SessionAnswer, problems.Problem], SCHEMAS)
    paths = {
        path: {"get": _operation(path, summary, query, response, schemas)}
        for path, (summary, query, response) in PATHS.items()
    }
    for name in {query.__name__ for _, query, _ in PATHS.values()}:
        del schemas[name]  # written out as parameters
    paths[f"{API_ROOT}/recounts/sessions/{{id}}"] = {"put": _put_session()}
    paths["/metrics"] = {"get": _described("Metrics of the devices for Prometheus", "metrics", {"text/plain": {}})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "facetally",
            "version": version("facetally"),
            "description": "Anonymous counts of visits by apparent expression. Visits are not persons:"
            " a person who is seen twice counts as two visits.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(
    path: str, summary: str, query: type[Struct], response: type[Struct], schemas: dict[str, Any]
) -> dict[str, Any]:
    """Return the GET operation of one path."""
    content: dict[str, Any] = {JSON: {"schema": {"$ref": SCHEMAS.format(name=response.__name__)}}}
    if query is answers.CountsQuery:
        content |= {CSV: {"schema": {"type": "string"}}, PARQUET: {}, ARROW: {}}
    if query is recount_answers.RecountsQuery:
        content |= {CSV: {"schema": {"type": "string"}}}
    operation = _described(summary, path.removeprefix(API_ROOT + "/"), content)
    properties = cast(dict[str, Any], schemas[query.__name__]["properties"])
    operation["parameters"] = [
        {"name": name, "in": "query", "required": False, "schema": _without_null(schema)}
        | ({"style": "form", "explode": False} if name in LISTS and issubclass(query, answers.PagedQuery) else {})
        for name, schema in properties.items()
    ]
    return operation


def _put_session() -> dict[str, Any]:
    """Return the PUT operation with which a phone sends its session."""
    reference = {"schema": {"$ref": SCHEMAS.format(name=recount_answers.SessionAnswer.__name__)}}
    operation = _described("Start, change or finish a count by hand", "recountSession", {JSON: reference})
    operation["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": SESSION_ID_PATTERN}}
    ]
    operation["requestBody"] = {
        "required": True, "content": {JSON: {"schema": {"$ref": SCHEMAS.format(name=Session.__name__)}}},
    }  # fmt: skip
    problem = operation["responses"]["400"]["content"]
    for status, why in SESSION_ERRORS.items():
        operation["responses"][status] = {"description": why, "content": problem}
    return operation


def _described(summary: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return an operation with its success and error responses."""
    problem = {problems.JSON: {"schema": {"$ref": SCHEMAS.format(name="Problem")}}}
    errors = {status: {"description": why, "content": problem} for status, why in ERRORS.items()}
    errors["429"]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    if name == "health":
        errors["503"]["content"] = content
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, **errors},
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from a schema: a parameter can be left out, but is never null."""
    if "anyOf" not in schema:
        return schema
    (kind,) = [each for each in schema["anyOf"] if each != {"type": "null"}]
    return {**kind, **{key: value for key, value in schema.items() if key not in ("anyOf", "default")}}
