"""Make numbered batches ahead of time in worker processes."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, ClassVar

import cv2

Batch = tuple[Any, ...]
WORKERS = len(os.sched_getaffinity(0))
QUEUED = 3 * WORKERS
"""Batches that are made ahead."""


class BatchPrefetcher:
    """Makes batches in worker processes; with threads, Python's lock would leave most processors idle.

    Create it before any model runs: the threads of a runtime do not survive the fork, and JAX warns about it.
    """

    _makers: ClassVar[dict[int, Callable[[int], Batch]]] = {}
    """Inherited by the workers when they are forked, which saves a copy for each."""

    def __init__(self, batches: Callable[[int], Batch]) -> None:
        """``batches`` returns the batch of a step, and always the same one."""
        self._batches = self._makers[id(self)] = batches
        cv2.setNumThreads(1)
        self._pool = ProcessPoolExecutor(WORKERS, get_context("fork"), _exit_with_parent, (os.getpid(),))
        self._pool.submit(int).result()  # forks all workers now

    def __call__(self, number: int) -> Batch:
        """One batch, made in this process."""
        return self._batches(number)

    def between(self, start: int, end: int) -> Iterator[Batch]:
        """The batches from number ``start`` to before ``end``, in order."""
        waiting: deque[Future[Batch]] = deque()
        for number in range(start, end):
            while len(waiting) < QUEUED and number + len(waiting) < end:
                waiting.append(self._pool.submit(BatchPrefetcher._make, id(self), number + len(waiting)))
            yield waiting.popleft().result()

    def __enter__(self) -> "BatchPrefetcher":
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the workers."""
        self._pool.shutdown(cancel_futures=True)
        del self._makers[id(self)]

    @staticmethod
    def _make(which: int, number: int) -> Batch:
        return BatchPrefetcher._makers[which](number)


def _exit_with_parent(parent: int) -> None:
    """Let a worker exit soon after its parent, even if the parent was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
