"""Fetch files of the release repository, over HTTPS or from a folder; continue a download that was cut off."""

import contextlib
import hashlib
import math
import ssl
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

import urllib3
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    RepositoryError,
    SlowRetrievalError,
)
from tuf.ngclient.fetcher import FetcherInterface

Chunks = Generator[bytes, None, None]
CHUNK_BYTES = 262_144
SILENCE_S = 30.0
"""A server that sends nothing for this long is given up, seconds."""
GRACE_S, SLOWEST_BYTES_PER_S = 60.0, 2_000
"""A download may take the first, seconds, and its length at the second."""
TRIES = 3
"""A target is asked for this often as long as each attempt brings more of it."""


class Fetcher(FetcherInterface):
    """Fetches metadata as a whole, and targets in pieces: an interrupted one continues where it stopped.

    Targets are those URLs that start with ``targets_url``; their content never changes, because their names hold its
    hash. ``drafts`` is the folder of unfinished ones.
    """

    def __init__(self, targets_url: str, drafts: Path, context: ssl.SSLContext | None) -> None:
        self._targets_url, self._drafts = targets_url, drafts
        self.until_s = math.inf
        """Time of the monotonic clock at which everything is given up, seconds."""
        self._metadata: Chunks = _nothing()
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, timeout=urllib3.Timeout(SILENCE_S))

    @contextmanager
    def download_file(self, url: str, max_length: int) -> "Iterator[IO[bytes]]":
        """Yield the content of a URL as an open file, of at most ``max_length`` bytes; raise DownloadError.

        What turns out to be wrong content inside the ``with`` block is deleted, so that the next attempt starts anew.
        """
        if not url.startswith(self._targets_url):
            try:
                with super().download_file(url, max_length) as file:
                    yield file
            finally:
                self._metadata.close()  # tuf leaves a file that is too long open
            return
        draft = self._drafts / hashlib.sha256(url.encode()).hexdigest()
        self._complete(url, max_length, draft)
        try:
            with draft.open("rb") as file:
                yield file
        except RepositoryError:
            draft.unlink(missing_ok=True)
            raise
        draft.unlink(missing_ok=True)

    def _complete(self, url: str, length: int, draft: Path) -> None:
        """Fetch what a draft lacks."""
        self._drafts.mkdir(parents=True, exist_ok=True)
        for _ in range(TRIES):
            before = draft.stat().st_size if draft.exists() else 0
            if before == length > 0:
                return
            try:
                self._continue(url, length, draft, before)
                return
            except DownloadLengthMismatchError:
                draft.unlink(missing_ok=True)
                raise
            except DownloadError:
                if not draft.exists() or draft.stat().st_size <= before:
                    raise
        raise DownloadError(f"{url}: cut off {TRIES} times")

    def _continue(self, url: str, length: int, draft: Path, start: int) -> None:
        chunks, start = self._open(url, start)
        received = start
        with draft.open("r+b" if start else "wb", buffering=0) as file:
            file.truncate(start)
            file.seek(start)
            with contextlib.closing(self._within_time(url, length, chunks)) as timely:
                for chunk in timely:
                    received += len(chunk)
                    if received > length:
                        raise DownloadLengthMismatchError(f"{url}: must have {length} bytes, has more")
                    file.write(chunk)
        if received < length:
            raise DownloadError(f"{url}: must have {length} bytes, ended after {received}")

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Yield the content of a metadata file in chunks; called by tuf."""
        chunks, _ = self._open(url, 0)
        self._metadata = self._within_time(url, 0, chunks)
        return self._metadata

    def _open(self, url: str, start: int) -> tuple[Chunks, int]:
        """Open a URL at an offset. Return its chunks, and the offset from which the server really sends."""
        if url.startswith("file:"):
            return _chunks_of_file(url, start), start
        try:
            response = self._pool.request(
                "GET",
                url,
                headers={"Range": f"bytes={start}-"} if start else {},
                preload_content=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"{url}: {error}") from error
        if time.monotonic() > self.until_s:
            response.close()
            raise SlowRetrievalError(f"{url}: the headers came too slowly")
        if response.status == 206 and start:
            return _chunks_of(url, response), start
        if response.status != 200:
            response.close()
            raise DownloadHTTPError(f"{url}: HTTP status {response.status}", response.status)
        return _chunks_of(url, response), 0

    def _within_time(self, url: str, length: int, chunks: Chunks) -> Chunks:
        """Yield chunks, and raise SlowRetrievalError if they come too slowly."""
        end = min(time.monotonic() + GRACE_S + length / SLOWEST_BYTES_PER_S, self.until_s)
        with contextlib.closing(chunks):
            for chunk in chunks:
                if time.monotonic() > end:
                    raise SlowRetrievalError(f"{url}: slower than {SLOWEST_BYTES_PER_S} bytes a second")
                yield chunk


def _nothing() -> Chunks:
    yield from ()


def _chunks_of(url: str, response: urllib3.BaseHTTPResponse) -> Chunks:
    """Yield a response as it arrives, so that a slow one is noticed; raise DownloadError."""
    try:
        while chunk := response.read1(CHUNK_BYTES):
            yield chunk
    except urllib3.exceptions.HTTPError as error:
        raise DownloadError(f"{url}: {error}") from error
    finally:
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
            response.close()


def _chunks_of_file(url: str, start: int) -> Chunks:
    """Yield a file from an offset. A missing one is reported as a web server would."""
    path = Path(unquote(urlsplit(url).path))
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise DownloadHTTPError(f"{path}: not found", 404) from error
    except OSError as error:
        raise DownloadError(f"{path}: {error.strerror}") from error

    def chunks() -> Chunks:
        with file:
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    return chunks()
