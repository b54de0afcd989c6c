"""Many who look at the page of a year at once, and slow clients beside them: how long each waits.

``python -m benchmarks.load.year --devices 50 --root out/year`` makes the store. ``python -m benchmarks.load.page_visitors`` serves it
and has fifty browsers ask for the overview of the year at the same moment, some rounds of it, each in another minute,
so that nothing is kept from the round before. ``/healthz`` is asked meanwhile, and beside 300 connections that have
sent half a request.
"""

import argparse
import http.client
import json
import socket
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.load.year import END
from collector.settings import Page, Settings, Store
from collector.web.serve import serve
from demo.broker import free_port, wait_for

SLOW = 300
ROUND_S = 6.0
"""The page looks for news every five seconds."""
FASTER = 11
"""Minutes of the page's clock in one of this machine."""
ASKED = {"site": "*", "days": "365", "by": "day", "zone": "Europe/Berlin", "heat-of": "visits"}


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[float, bytes]:
    """Seconds until an answer has come, and the answer."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    text = None if body is None else json.dumps(body)
    connection.request("GET" if text is None else "POST", path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return time.perf_counter() - began, told


def overview(port: int) -> dict[str, Any]:
    """What a browser sends for the overview of the year."""
    dependencies = json.loads(ask(port, "/_dash-dependencies")[1])
    wanted = next(each for each in dependencies if "trend.figure" in each["output"])
    names = [name.rpartition(".") for name in wanted["output"].strip(".").split("...")]
    return {
        "output": wanted["output"],
        "outputs": [{"id": name, "property": of} for name, _, of in names],
        "inputs": [{**each, "value": ASKED.get(each["id"])} for each in wanted["inputs"]],
        "changedPropIds": ["fresh.data"],
    }


def look(port: int, browsers: int) -> tuple[list[float], float]:
    """Seconds that each of some browsers waits that ask at once, and that ``/healthz`` takes meanwhile."""
    body, took = overview(port), list[float]()

    def one() -> None:
        took.append(ask(port, "/_dash-update-component", body)[0])

    threads = [threading.Thread(target=one) for _ in range(browsers)]
    for each in threads:
        each.start()
    time.sleep(0.05)
    health, _ = ask(port, "/healthz")
    for each in threads:
        each.join()
    return took, health


def beside_slow_clients(port: int) -> float:
    """The longest of some ``/healthz`` beside connections that have sent half a request."""
    half = b"POST /_dash-update-component HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(SLOW)]
    for each in slow:
        each.sendall(half)
    longest = max(ask(port, "/healthz")[0] for _ in range(10))
    for each in slow:
        each.close()
    return longest


def main() -> None:
    """Serve, ask, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.page_visitors", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("out/year"))
    parser.add_argument("--browsers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    port, stop, began = free_port(), threading.Event(), time.monotonic()

    def now() -> datetime:
        return END + timedelta(seconds=FASTER * (time.monotonic() - began))

    settings = Settings(store=Store(root=str(options.root)), page=Page(port=port))
    server = threading.Thread(target=serve, args=(settings, ZoneInfo("Europe/Berlin"), stop, now))
    server.start()
    try:
        wait_for(port)
        print(
            f"first overview, roll-ups read from disk: {ask(port, '/_dash-update-component', overview(port))[0]:.2f} s"
        )
        for _ in range(options.rounds):
            time.sleep(ROUND_S)
            took, health = look(port, options.browsers)
            p50, p95 = np.percentile(took, [50, 95])
            print(f"{options.browsers} at once: p50 {p50:.2f} s, p95 {p95:.2f} s; /healthz meanwhile {health:.2f} s")
        print(f"/healthz beside {SLOW} slow clients: {beside_slow_clients(port):.2f} s")
    finally:
        stop.set()
        server.join()


if __name__ == "__main__":
    main()
