"""Send random HTTP requests to page and API, and check that no answer is a server error.

``python -m benchmarks.fuzzing.http_requests --number 5000 --seed N``

Paths are made of parts of real ones and of strings that are known to break servers. Bodies are those that the page's
own scripts send, with keys missing, values of other types, or cut short. The same seed gives the same requests.
"""

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from dash import Dash

from collector.api.guard import Guard
from collector.api.routes import Api, mount
from collector.page.app import make_page
from collector.page.updates import UPDATE
from collector.reading.reader import Reader

METHODS = ("GET", "GET", "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")
PATH_PARTS = (
    "..", "%2e%2e", "%00", "%ff", "a" * 300, "_dash-component-suites", "assets", "dash", "plotly", "plotly.min.js",
    "page.css", "_favicon.ico", "_reload-hash", "api", "v1", "counts", "metrics", "_dash-layout", "x.js.map", "é",
    "%s", "{}", "<script>", "", "deps", "_dash-dependencies", "healthz", "static", "C:", "sites", "devices", "health",
)  # fmt: skip
QUERIES = (
    "", "?m=1", "?a=%ff", "?since=x&until=", "?site=*&zone=../../x", "?bucket=hour", "?since=0001-01-01T00:00Z",
    "?format=csv&zone=Asia/Kathmandu", "?device=%00", "?site=a&site=b", "?zone=" + "x" * 5000,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, 1, -1, "x", "*", "", "2026-03-01", "9999-12-31", "0001-01-01", [], {}, [1], {"a": []}, True, 1e308, "7",
    "own", "hour", "UTC", "../x", "\ud800", "a" * 1000, ["happiness"], [["x"]], "site", "before",
)  # fmt: skip
CONTENT_TYPES = ("application/json",) * 4 + ("text/plain", "x", "")
SERVER_ERROR = 500


class FuzzedRequest(NamedTuple):
    """One HTTP request."""

    method: str
    path: str
    body: bytes
    content_type: str


def requests(app: Dash, number: int, rng: random.Random) -> Iterator[FuzzedRequest]:
    """Yield ``number`` random requests to the page and the API."""
    for _ in range(number):
        if rng.random() < 0.4:
            yield FuzzedRequest("POST", UPDATE, _update(app, rng), rng.choice(CONTENT_TYPES))
        else:
            path = "/" + "/".join(rng.choice(PATH_PARTS) for _ in range(rng.randint(1, 5)))
            path = "/" + path.lstrip("/") + rng.choice(QUERIES)
            yield FuzzedRequest(
                rng.choice(METHODS), path, rng.choice((b"", b"{}", b"\xff" * 10)), rng.choice(CONTENT_TYPES)
            )


def _update(app: Dash, rng: random.Random) -> bytes:
    """Return the body of an update of one of the page's callbacks or of none, in most cases an invalid one."""
    output = rng.choice([*app.callback_map, "x.y"])
    callback = app.callback_map.get(output, {"inputs": [], "state": []})
    names = [name.rpartition(".") for name in output.strip(".").split("...")]
    parts = [{"id": name, "property": of} for name, _, of in names]
    inputs = [f"{each['id']}.{each['property']}" for each in callback["inputs"]]
    body: dict[str, Any] = {
        "output": output,
        "outputs": parts if output.startswith("..") else parts[0],
        "inputs": [{**each, "value": rng.choice(VALUES)} for each in callback["inputs"]],
        "state": [{**each, "value": rng.choice(VALUES)} for each in callback["state"]],
        "changedPropIds": [rng.choice([*inputs, "x.y"])],
    }
    if rng.random() < 0.3:
        key = rng.choice(list(body))
        body[key] = rng.choice(VALUES)
        if rng.random() < 0.5:
            del body[key]
    text = json.dumps(body).encode()
    return text[: rng.randrange(len(text))] if rng.random() < 0.1 else text


def count_statuses(root: Path, now: datetime, number: int, seed: int) -> tuple[Counter[int], list[FuzzedRequest]]:
    """Return the number of answers by status code, and the requests that were answered with a server error."""
    reader = Reader(root, lambda: now)
    app = make_page(reader, ZoneInfo("UTC"), lambda: now)
    mount(app.server, Api(reader, ZoneInfo("UTC"), lambda: now), Guard(None, 100_000))
    app.server.config["PROPAGATE_EXCEPTIONS"] = False
    client, statuses, failed = app.server.test_client(), Counter[int](), []
    for request in requests(app, number, random.Random(seed)):  # noqa: S311 - not for secrets
        with client.open(
            request.path, method=request.method, data=request.body, content_type=request.content_type
        ) as answer:
            statuses[answer.status_code] += 1
        if answer.status_code >= SERVER_ERROR:
            failed.append(request)
    return statuses, failed


def main() -> int:
    """Send the requests and print the number of each status code; return 1 if one is 500 or more."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzzing.http_requests", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--number", type=int, default=5000, help="number of requests (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the requests (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        statuses, failed = count_statuses(Path(folder), datetime.now(timezone.utc), options.number, options.seed)
    print(", ".join(f"{status}: {times}" for status, times in sorted(statuses.items())))
    for request in failed[:20]:
        print("FAILED", request)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
