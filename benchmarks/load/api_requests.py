"""Measure how long mixed requests to the HTTP API wait at a fixed rate.

``python -m benchmarks.load.api_requests``

It serves the store that ``python -m benchmarks.load.year --devices 50 --root out/year`` has made, in a process of its
own. Requests start at fixed times, whether earlier ones have been answered or not, and the wait counts from that time:
a slow answer delays no other request's clock. A round of the queries is asked for first, so that roll-ups are read.
"""

import argparse
import http.client
import multiprocessing
import threading
import time
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.load.year import END
from collector.settings import Api, Page, Settings, Store
from collector.web.serve import serve
from demo.mosquitto import free_port, wait_for

CONNECTIONS = 48
PER_MINUTE = 100_000
PATHS = (
    "/api/v1/sites",
    "/api/v1/devices",
    "/api/v1/health",
    "/api/v1/counts",
    "/api/v1/counts?by=total&since=2026-06-01",
    "/api/v1/counts?bucket=month&since=2025-07-01",
    "/api/v1/counts?by=week,site&since=2025-07-01",
    "/api/v1/counts?by=day,site&since=2026-06-01",
    "/api/v1/counts?by=hour&since=2026-06-23&site=shop-03",
    "/api/v1/counts?by=weekday,hour&since=2026-01-01",
    "/api/v1/counts?by=device&since=2026-06-01&format=csv",
    "/api/v1/counts?by=day,label&site=shop-01,shop-02&since=2026-06-01",
    "/api/v1/counts?by=hour,device&since=2026-06-30&format=parquet",
    "/api/v1/counts?by=label&corrected=1&since=2026-06-01",
    "/api/v1/counts?by=day&since=2025-07-01&format=arrow",
    "/api/v1/counts?by=site&since=2026-06-24&zone=Europe/Berlin",
)


def clock(began: float) -> datetime:
    """Return the server's time: it begins at the end of the store and runs as fast as ours."""
    return datetime.fromtimestamp(END.timestamp() + time.monotonic() - began, END.tzinfo)


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


def measure(port: int, rate: float, seconds: float) -> tuple[list[float], int]:
    """Return the waits of the requests of some seconds at a rate per second, and the number that failed."""
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
        due.put((at, PATHS[number % len(PATHS)]))
    for _ in threads:
        due.put(None)
    for each in threads:
        each.join()
    return waits, len(failed)


def main() -> int:
    """Serve the store, measure, and print the results; return 1 if a request failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load.api_requests", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--root", type=Path, default=Path("out/year"), help="store to serve (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the measurement (default: %(default)s)")
    options = parser.parse_args()
    port = free_port()
    server = multiprocessing.Process(target=run_server, args=(options.root, port, time.monotonic()))
    server.start()
    try:
        wait_for(port)
        connection, began = http.client.HTTPConnection("127.0.0.1", port, timeout=600), time.perf_counter()
        for path in PATHS:
            get(connection, path)
        print(f"{len(PATHS)} queries once, with roll-ups read from disk: {time.perf_counter() - began:.1f} s")
        waits, failed = measure(port, options.rate, options.seconds)
        p50, p95, p99 = np.percentile(waits, [50, 95, 99]) * 1000
        print(
            f"{options.rate:g} a second for {options.seconds:g} s: {len(waits)} answered, {failed} failed;"
            f" p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"
        )
        return 1 if failed else 0
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    raise SystemExit(main())
