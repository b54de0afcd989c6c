"""Divide the work of a command among the workers of a dask.distributed cluster.

Most work is divided by the folders of days and sites. Workers run the same functions on the same files, so the folder
of the store must have the same path on each of them, on a file system with locks.
"""

import importlib.util
import re
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from base.errors import SettingsError
from collector.errors import StoreFailed, StoreRefused
from collector.store.workers import GROUP, Item, Result, ThisProcess, Workers

CONNECT_S = 10.0
"""Time for the scheduler to answer, and for it to have a worker, seconds."""
TASKS_PER_THREAD = 4
"""Tasks that are submitted for each thread of the cluster. More would fill the workers' memory with results."""
_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")


class Cluster:
    """The workers of a dask.distributed cluster. ``client`` is a `distributed.Client`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of a function for each item, in their order. Errors are those of `map_groups`."""
        return chain.from_iterable(self.map_groups(partial(_each, function), items))

    def map_groups(self, function: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the result of a function for each of the groups that the items are divided into, in their order.

        The first groups are the largest, so that all workers end at about the same time. An error of the function ends
        the work. Raises StoreRefused if a worker does not have a folder, and StoreFailed if the scheduler, or one
        worker after the other, is lost.
        """
        tasks = TASKS_PER_THREAD * max(sum(self._client.nthreads().values()), 1)
        waiting: deque[Any] = deque()
        first = 0
        while first < len(items):
            size = min(-(-(len(items) - first) // tasks), GROUP)
            group = [item.absolute() if isinstance(item, Path) else item for item in items[first : first + size]]
            waiting.append(self._client.submit(run_task, function, group, pure=False))
            first += size
            if len(waiting) >= tasks:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def _result(task: Any) -> Any:
    """Wait for the result of a task. Raises StoreFailed if the cluster cannot do it."""
    from distributed import KilledWorker  # noqa: PLC0415 - few installations have it

    try:
        return task.result()
    except (KilledWorker, CancelledError) as error:
        raise StoreFailed(f"--scheduler: the cluster has lost its scheduler or workers: {error}") from error


def run_task(function: Callable[[Sequence[Item]], Result], items: Sequence[Item]) -> Result:
    """Run a task on a worker."""
    for folder in items:
        if isinstance(folder, Path) and not _may_be_folder(folder):
            raise StoreRefused(
                f"{folder}: must be a folder on every worker, is missing on {socket.gethostname()};"
                " workers must have the store at the same path"
            )
    return function(items)


def _may_be_folder(path: Path) -> bool:
    """Whether there is a folder, or one that this worker has no permission for: the function reports that."""
    try:
        return path.is_dir()
    except OSError:
        return True


@contextmanager
def workers(scheduler: str | None, at_least: int = 1) -> Iterator[Workers]:
    """Yield the workers of the cluster of a scheduler such as ``tcp://10.0.0.5:8786``; this process without one.

    Raises SettingsError if the address is wrong, if nobody answers, if there are fewer workers than ``at_least``, or if
    a package is missing.
    """
    if scheduler is None:
        yield ThisProcess()
        return
    with _connected(scheduler, at_least) as client:
        yield Cluster(client)


@contextmanager
def _connected(scheduler: str, at_least: int) -> Iterator[Any]:
    """Yield a client of a cluster that has so many workers."""
    if not _ADDRESS.fullmatch(scheduler):
        raise SettingsError(f"--scheduler: must be tcp://HOST:PORT or tls://HOST:PORT, is {scheduler!r}")
    try:
        import distributed  # noqa: PLC0415 - few installations have it
    except ImportError as error:
        raise SettingsError(f"--scheduler: {error.name} is missing: pip install 'facetally[scale]'") from error
    package: Any = distributed  # its types are incomplete
    security = package.Security()
    if scheduler.startswith("tls:") and security.get_connection_args("client").get("ssl_context") is None:
        raise SettingsError(
            f"--scheduler: {scheduler} needs certificates in Dask's configuration, distributed.comm.tls"
        )
    try:
        client = package.Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SettingsError(f"--scheduler: {scheduler} cannot be reached within {CONNECT_S:g} s") from error
    with client:
        try:
            client.wait_for_workers(at_least, timeout=CONNECT_S)
        except distributed.TimeoutError as error:  # in Python 3.10 not the built-in one
            raise SettingsError(
                f"--scheduler: {scheduler} must have {at_least} or more workers, has fewer after {CONNECT_S:g} s"
            ) from error
        has_package = client.run(lambda: importlib.util.find_spec("collector") is not None)
        if lacking := sorted(address for address, has in has_package.items() if not has):
            raise SettingsError(f"--scheduler: facetally must be installed on every worker, is missing on {lacking[0]}")
        yield client
