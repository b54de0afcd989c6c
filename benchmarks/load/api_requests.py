"""Measure how long mixed requests to the HTTP API wait at a fixed rate.

``python -m benchmarks.load.api_requests``

It serves the store that ``python -m benchmarks.load.year --devices 50 --root out/year`` has made, in a process of its
own. Meanwhile a window of each device arrives each minute, so that answers grow old. Requests start at fixed times,
whether earlier ones have been answered or not, and the wait counts from that time: a slow answer delays no other
request's clock. Each address is asked for once before, so that roll-ups are read. In the middle of the measurement
``--browsers`` request the first screen of the page at one moment.
"""

import argparse
import http.client
import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.load.arrivals import arriving, clock, device_names
from benchmarks.load.page_visitors import CALLBACKS, measure_round
from collector.settings import Api, Page, Settings, Store
from collector.web.serve import serve
from demo.mosquitto import free_port, wait_for

CONNECTIONS = 48
PER_MINUTE = 100_000
ALL_SITES = (
    "/api/v1/sites",
    "/api/v1/devices",
    "/api/v1/health",
    "/api/v1/counts",
    "/api/v1/counts?by=total&since=2026-06-01",
    "/api/v1/counts?bucket=month&since=2025-07-01",
    "/api/v1/counts?by=week,site&since=2025-07-01",
    "/api/v1/counts?by=day,site&since=2026-06-01",
    "/api/v1/counts?by=weekday,hour&since=2026-01-01",
    "/api/v1/counts?by=device&since=2026-06-01&format=csv",
    "/api/v1/counts?by=hour,device&since=2026-06-30&format=parquet",
    "/api/v1/counts?by=label&corrected=1&since=2026-06-01",
    "/api/v1/counts?by=day&since=2025-07-01&format=arrow",
    "/api/v1/counts?by=site&since=2026-06-24&zone=Europe/Berlin",
)
ONE_SITE = (
    "/api/v1/counts?by=hour&since=2026-06-23&site={site}",
    "/api/v1/counts?by=day,label&since=2026-06-01&site={site}",
    "/api/v1/counts?by=week&corrected=1&since=2026-04-01&site={site}",
    "/api/v1/devices?site={site}",
)
"""Asked for by the manager of each site."""


def mixed_paths(devices: int) -> tuple[str, ...]:
    """Return all paths, in a fixed random order."""
    sites = sorted({site for site, _ in device_names(devices)})
    paths = [*ALL_SITES, *(path.format(site=site) for site in sites for path in ONE_SITE)]
    np.random.default_rng(1).shuffle(paths)
    return tuple(paths)


def run_server(root: Path, port: int, began: float) -> None:
    """Serve page and API until the process is ended."""
    settings = Settings(store=Store(root=str(root)), page=Page(port=port), api=Api(requests_per_minute=PER_MINUTE))
    serve(settings, ZoneInfo("Europe/Berlin"), threading.Event(), lambda: clock(began))


def get(connection: http.client.HTTPConnection, path: str) -> None:
    """Send a request and read its answer; RuntimeError if its status is not 200."""
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: status must be 200, is {answer.status}")


def measure(port: int, paths: Sequence[str], rate: float, seconds: float) -> tuple[list[float], list[str]]:
    """Return the waits of the requests of some seconds at a rate per second, and the failures."""
    due: SimpleQueue[tuple[float, str] | None] = SimpleQueue()
    waits, failed = list[float](), list[str]()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (task := due.get()) is not None:
            try:
                get(connection, task[1])
                waits.append(time.perf_counter() - task[0])
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failed.append(str(error))
                connection.close()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for each in threads:
        each.start()
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        at = began + number / rate
        time.sleep(max(at - time.perf_counter(), 0))
        due.put((at, paths[number % len(paths)]))
    for _ in threads:
        due.put(None)
    for each in threads:
        each.join()
    return waits, failed


def report(what: str, waits: Sequence[float]) -> None:
    """Print how long some requests waited."""
    p50, p95, p99 = np.percentile(waits, [50, 95, 99]) * 1000
    print(f"{what}: {len(waits)} answered; p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms", flush=True)


def measure_with_browsers(port: int, paths: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Measure the requests, and the browsers in their midst; print both, and return the failures."""
    with ThreadPoolExecutor(1) as thread:
        requests = thread.submit(measure, port, paths, options.rate, options.seconds)
        time.sleep(options.seconds / 2)
        screens, _ = measure_round(port, options.browsers, CALLBACKS[0])
        waits, failed = requests.result()
    report(f"{options.rate:g} requests a second for {options.seconds:g} s, {len(paths)} addresses", waits)
    report(f"first screen for {options.browsers} browsers at once", screens)
    return failed


def main() -> int:
    """Serve the store, measure, and print the results; return 1 if a request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.api_requests", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--root", type=Path, default=Path("out/year"), help="store to serve (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=50, help="devices of the store (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measurement (default: %(default)s)")
    parser.add_argument("--browsers", type=int, default=20, help="simultaneous browsers (default: %(default)s)")
    options = parser.parse_args()
    if not options.root.is_dir():
        parser.error(f"--root: must be a store made by `python -m benchmarks.load.year`, is {options.root}")
    port, began, paths = free_port(), time.monotonic(), mixed_paths(options.devices)
    server = multiprocessing.Process(target=run_server, args=(options.root, port, began))
    with arriving(options.root, options.devices, began):
        server.start()
        try:
            wait_for(port)
            connection, first = http.client.HTTPConnection("127.0.0.1", port, timeout=600), time.perf_counter()
            for path in paths:
                get(connection, path)
            print(f"{len(paths)} addresses once, with roll-ups read from disk: {time.perf_counter() - first:.1f} s")
            failed = measure_with_browsers(port, paths, options)
        finally:
            server.terminate()
            server.join()
    print(f"{len(failed)} failed", *sorted(set(failed))[:10], sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
