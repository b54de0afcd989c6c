"""Measure how long each of many simultaneous visitors of the page waits, also beside slow clients.

``python -m benchmarks.load.page_visitors``

It serves the store that ``python -m benchmarks.load.year --devices 50 --root out/year`` has made. Fifty browsers
request the first screen, then the charts, of the year at the same moment, in several rounds. Each round falls in
another minute, so that no cached answer serves it. ``/healthz`` is requested meanwhile, and beside 300 connections that
have sent half a request.
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

from benchmarks.load.arrivals import device_names, write_devices
from benchmarks.load.year import END
from collector.settings import Page, Settings, Store
from collector.web.serve import serve
from demo.mosquitto import free_port, wait_for

SLOW_CLIENTS = 300
ROUND_S = 6.0
"""Longer than the five seconds between two updates of the page."""
CLOCK_SPEED = 11
"""Speed of the page's clock: so a round always falls in another minute."""
QUERY = {"days": "365", "by": "day", "zone": "Europe/Berlin", "sort": "visits-down"}
CALLBACKS = ("figures.children", "trend.figure")
"""One output of each measured callback: the first screen, and the charts of the selected period."""


def request(port: int, path: str, body: dict[str, Any] | None = None) -> tuple[float, bytes]:
    """Return the seconds until the answer has arrived, and its body; RuntimeError if its status is not 200."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    text = None if body is None else json.dumps(body)
    connection.request("GET" if text is None else "POST", path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: status must be 200, is {answer.status}")
    return time.perf_counter() - began, content


def overview(port: int, output: str) -> dict[str, Any]:
    """Return the request body that a browser sends for the view of the year that has this output."""
    dependencies = json.loads(request(port, "/_dash-dependencies")[1])
    wanted = next(each for each in dependencies if output in each["output"])
    names = [name.rpartition(".") for name in wanted["output"].strip(".").split("...")]
    return {
        "output": wanted["output"],
        "outputs": [{"id": name, "property": of} for name, _, of in names],
        "inputs": [{**each, "value": QUERY.get(each["id"])} for each in wanted["inputs"]],
        "changedPropIds": ["fresh.data"],
    }


def measure_round(port: int, browsers: int, output: str) -> tuple[list[float], float]:
    """Return the seconds that each of simultaneous browsers waits, and the seconds of ``/healthz`` meanwhile."""
    body, waits = overview(port, output), list[float]()

    def one() -> None:
        waits.append(request(port, "/_dash-update-component", body)[0])

    threads = [threading.Thread(target=one) for _ in range(browsers)]
    for each in threads:
        each.start()
    time.sleep(0.05)
    health, _ = request(port, "/healthz")
    for each in threads:
        each.join()
    return waits, health


def health_beside_slow_clients(port: int) -> float:
    """Return the longest of ten ``/healthz`` requests beside connections that have sent half a request, seconds."""
    half = b"POST /_dash-update-component HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(SLOW_CLIENTS)]
    for each in slow:
        each.sendall(half)
    longest = max(request(port, "/healthz")[0] for _ in range(10))
    for each in slow:
        each.close()
    return longest


def main() -> None:
    """Serve the page, measure, and print the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.page_visitors", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--root", type=Path, default=Path("out/year"), help="store to serve (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=50, help="devices of the store (default: %(default)s)")
    parser.add_argument("--browsers", type=int, default=50, help="simultaneous browsers (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to measure (default: %(default)s)")
    options = parser.parse_args()
    if not options.root.is_dir():
        parser.error(f"--root: must be a store made by `python -m benchmarks.load.year`, is {options.root}")
    write_devices(options.root, device_names(options.devices))
    port, stop, began = free_port(), threading.Event(), time.monotonic()

    def now() -> datetime:
        return END + timedelta(seconds=CLOCK_SPEED * (time.monotonic() - began))

    settings = Settings(store=Store(root=str(options.root)), page=Page(port=port))
    server = threading.Thread(target=serve, args=(settings, ZoneInfo("Europe/Berlin"), stop, now))
    server.start()
    try:
        wait_for(port)
        first_s, _ = request(port, "/_dash-update-component", overview(port, CALLBACKS[0]))
        print(f"first screen, with roll-ups read from disk: {first_s:.2f} s")
        for output in CALLBACKS * options.rounds:
            time.sleep(ROUND_S)
            waits, health = measure_round(port, options.browsers, output)
            p50, p95 = np.percentile(waits, [50, 95])
            print(f"{output}: {options.browsers} browsers: p50 {p50:.2f} s, p95 {p95:.2f} s; /healthz: {health:.2f} s")
        print(f"/healthz beside {SLOW_CLIENTS} slow clients: {health_beside_slow_clients(port):.2f} s")
    finally:
        stop.set()
        server.join()


if __name__ == "__main__":
    main()
