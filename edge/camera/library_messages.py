"""What libraries in C print to standard error by themselves -> lines of the log: few, of one form, without secrets.

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
MOST = 10
"""Lines that are passed on in a minute; of more only the number is told."""
MINUTE_S = 60.0
LONGEST = 300
"""Characters of a line that are passed on."""


@contextmanager
def stderr_to_log() -> Iterator[None]:
    """Meanwhile what is printed to descriptor 2 becomes lines of the log; Python's own standard error stays where it
    was. Nothing is done where that is not descriptor 2, as in a test that captures it.
    """
    if sys.stderr is not sys.__stderr__ or sys.stderr is None or sys.stderr.fileno() != 2:
        yield
        return
    sys.stderr.flush()
    kept, (reads, writes) = os.dup(2), os.pipe()
    before, sys.stderr = sys.stderr, os.fdopen(kept, "w", buffering=1, errors="backslashreplace")
    os.dup2(writes, 2)
    os.close(writes)
    thread = threading.Thread(target=_pass_on, args=(reads,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)  # ends the pipe, unless a child of ours still holds it
        thread.join(1.0)
        sys.stderr = before


def _pass_on(reads: int) -> None:
    """Until the end of the pipe: its lines to the log."""
    begun, passed, more = time.monotonic(), 0, 0
    with os.fdopen(reads, errors="backslashreplace") as pipe, contextlib.suppress(ValueError):
        while text := pipe.readline(10 * LONGEST):
            now = time.monotonic()
            if now - begun >= MINUTE_S:
                if more:
                    log.info(line("library_lines", left_out=more))
                begun, passed, more = now, 0, 0
            if not text.strip():
                continue
            if passed >= MOST:
                more += 1
                continue
            passed += 1
            log.info(line("library", message=text.strip()[:LONGEST]))
