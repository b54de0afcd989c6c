"""Turn what C libraries print to standard error into log lines: at most a few per minute, in one format, no secrets.

OpenCV, FFmpeg, GStreamer, libjpeg and the TFLite runtime print there whatever they like, some of them for each frame.
"""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from base.logs import line

log = logging.getLogger("edge.camera.library_messages")
MAX_LINES = 10
"""Lines that are logged per minute; the others are only counted."""
MINUTE_S = 60.0
MAX_LENGTH = 300
"""Characters of a line that are logged."""


@contextmanager
def stderr_to_log() -> Iterator[None]:
    """Log every line that is printed to file descriptor 2 inside the context.

    Python's own ``sys.stderr`` keeps its destination. Where it is not descriptor 2, as in a test that captures it,
    nothing is redirected.
    """
    if sys.stderr is not sys.__stderr__ or sys.stderr is None or sys.stderr.fileno() != 2:
        yield
        return
    sys.stderr.flush()
    original, (reading, writing) = os.dup(2), os.pipe()
    before, sys.stderr = sys.stderr, os.fdopen(original, "w", buffering=1, errors="backslashreplace")
    os.dup2(writing, 2)
    os.close(writing)
    thread = threading.Thread(target=_log_lines, args=(reading,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(original, 2)  # closes the pipe, unless a child process holds it too
        thread.join(1.0)
        sys.stderr = before


def _log_lines(reading: int) -> None:
    """Log the lines of a pipe until its end, at most `MAX_LINES` per minute."""
    begin, logged, left_out = time.monotonic(), 0, 0
    with os.fdopen(reading, errors="backslashreplace") as pipe, contextlib.suppress(ValueError):
        while text := pipe.readline(10 * MAX_LENGTH):
            now = time.monotonic()
            if now - begin >= MINUTE_S:
                if left_out:
                    log.info(line("library_lines", left_out=left_out))
                begin, logged, left_out = now, 0, 0
            if not text.strip():
                continue
            if logged >= MAX_LINES:
                left_out += 1
                continue
            logged += 1
            log.info(line("library", message=text.strip()[:MAX_LENGTH]))
