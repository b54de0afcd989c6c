"""The traffic of the same hours in earlier weeks, from the collector's HTTP API."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from base.secret_file import read_secret
from contract.labels import UNKNOWN
from fleet.errors import ToolFailed
from fleet.rollout.decision import Traffic
from fleet.settings import CollectorSettings

WEEKS = 4
WEEK, HOUR = timedelta(days=7), timedelta(hours=1)
LIMIT_S = 30.0
MAX_BYTES = 50_000_000


class _Row(Struct):
    site: str
    device: str
    visits: float | None
    counts: dict[str, float | None]
    coverage: float | None
    seconds: float


class _Answer(Struct):
    rows: list[_Row]


class EarlierWeeks:
    """Reads and keeps the traffic of the same hours in the last weeks."""

    def __init__(self, settings: CollectorSettings) -> None:
        self._url = settings.url.rstrip("/") + "/api/v1/counts"
        key = "collector.token_file"
        self._token = None if settings.token_file is None else read_secret(settings.token_file, key)
        self._context = ssl.create_default_context(cafile=settings.ca)
        self._known: dict[tuple[datetime, datetime], dict[str, Traffic]] = {}

    def traffic(self, identities: Iterable[str], since: datetime, until: datetime) -> dict[str, Traffic]:
        """Return the traffic of devices in the hours from ``since`` to ``until``, a week earlier and more.

        A device without windows then is left out. Raise ToolFailed if the collector does not answer.
        """
        span = _whole_hours(since, until)
        if span not in self._known:
            total: dict[str, Traffic] = {}
            for week in range(1, WEEKS + 1):
                for identity, traffic in self._ask(span[0] - week * WEEK, span[1] - week * WEEK):
                    total[identity] = total.get(identity, Traffic()) + traffic
            self._known[span] = total
        known = self._known[span]
        return {identity: known[identity] for identity in identities if identity in known}

    def _ask(self, since: datetime, until: datetime) -> list[tuple[str, Traffic]]:
        query = urlencode({"since": since.isoformat(), "until": until.isoformat(), "bucket": "device"})
        request = urllib.request.Request(f"{self._url}?{query}")  # noqa: S310 (the settings allow http and https only)
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        context = self._context if self._url.startswith("https:") else None
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S, context=context) as answer:  # noqa: S310
                rows = msgspec.json.decode(answer.read(MAX_BYTES), type=_Answer).rows
        except urllib.error.HTTPError as error:
            raise ToolFailed(f"collector {self._url}: {error.code} {_detail(error)}") from error
        except (OSError, msgspec.MsgspecError) as error:
            raise ToolFailed(f"collector {self._url}: {error}") from error
        return [(f"{row.site}/{row.device}", _traffic(row)) for row in rows if row.coverage is not None]


def _traffic(row: _Row) -> Traffic:
    return Traffic(
        visits=round(row.visits or 0),
        unknown=round(row.counts.get(UNKNOWN) or 0),
        covered_s=row.seconds * (row.coverage or 0.0),
        length_s=row.seconds,
    )


def _whole_hours(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The whole hours that cover a time: the collector keeps sums of hours."""
    first = since.replace(minute=0, second=0, microsecond=0)
    last = until.replace(minute=0, second=0, microsecond=0)
    return first, max(last, first) + HOUR


def _detail(error: urllib.error.HTTPError) -> str:
    """The API's own explanation, if there is one."""
    try:
        return str(json.loads(error.read(MAX_BYTES))["detail"])
    except (ValueError, KeyError, TypeError):
        return error.reason if isinstance(error.reason, str) else ""
