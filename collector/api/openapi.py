"""The structs of requests and answers -> the OpenAPI document."""

from importlib.metadata import version
from typing import Any, cast

from msgspec import Struct

from collector.api import answers, problems
from contract.schemas import components

PLACE = "/api/v1"
SCHEMAS = "#/components/schemas/{name}"
CSV, PARQUET, JSON = "text/csv", "application/vnd.apache.parquet", "application/json"
PATHS: dict[str, tuple[str, type[answers.Query], type[Struct]]] = {
    f"{PLACE}/sites": ("Sites, and how many of their devices are online", answers.NoQuery, answers.SitesAnswer),
    f"{PLACE}/devices": ("Devices as they were last heard of", answers.DevicesQuery, answers.DevicesAnswer),
    f"{PLACE}/counts": ("Visits in buckets of time, or by site or device", answers.CountsQuery, answers.CountsAnswer),
    f"{PLACE}/health": ("Whether the store can be read", answers.NoQuery, answers.HealthAnswer),
}
REFUSALS = {
    "400": "A parameter is unknown, wrong or too large",
    "401": "The token is missing or wrong",
    "405": "Only GET, HEAD and OPTIONS are possible",
    "429": "Too many requests; Retry-After says when the next is welcome",
    "503": "There is no store",
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1 of all that is served below ``/api/v1`` and of ``/metrics``."""
    kinds = [kind for _, query, told in PATHS.values() for kind in (query, told)]
    schemas = components([*kinds, problems.Problem], SCHEMAS)
    paths = {path: {"get": _operation(path, *told, schemas)} for path, told in PATHS.items()}
    for query in {query.__name__ for _, query, _ in PATHS.values()}:
        del schemas[query]  # they are written out as parameters
    paths["/metrics"] = {"get": _described("Figures of the devices for Prometheus", "metrics", {"text/plain": {}})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "facetally",
            "version": version("facetally"),
            "description": "Anonymous counts of visits by apparent expression, read-only. A track is not a person:"
            " somebody who looks twice is two visits.",
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
    path: str, says: str, query: type[Struct], told: type[Struct], schemas: dict[str, Any]
) -> dict[str, Any]:
    """One path's GET."""
    content: dict[str, Any] = {JSON: {"schema": {"$ref": SCHEMAS.format(name=told.__name__)}}}
    if query is answers.CountsQuery:
        content |= {CSV: {"schema": {"type": "string"}}, PARQUET: {}}
    operation = _described(says, path.removeprefix(PLACE + "/"), content)
    properties = cast(dict[str, Any], schemas[query.__name__]["properties"])
    operation["parameters"] = [
        {"name": name, "in": "query", "required": False, "schema": _plain(schema)}
        for name, schema in properties.items()
    ]
    return operation


def _described(says: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    problem = {problems.JSON: {"schema": {"$ref": SCHEMAS.format(name="Problem")}}}
    refused = {status: {"description": why, "content": problem} for status, why in REFUSALS.items()}
    refused["429"]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    if name == "health":
        refused["503"]["content"] = content
    return {
        "operationId": name,
        "summary": says,
        "responses": {"200": {"description": says, "content": content}, **refused},
    }


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without null: a parameter is left out, and never null."""
    if "anyOf" not in schema:
        return schema
    (kind,) = [each for each in schema["anyOf"] if each != {"type": "null"}]
    return {**kind, **{key: value for key, value in schema.items() if key not in ("anyOf", "default")}}
