"""The groups of devices, from `groups.csv` of a fleet, which `facetally-fleet enrol` writes."""

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path

from base.logs import line
from contract.errors import TopicError
from contract.topics import check_id

log = logging.getLogger(__name__)
COLUMNS = ("site", "device", "group")
MAX_BYTES = 10_000_000


class Groups:
    """Reads the file again when it has changed. What cannot be read is logged once, and the groups stay as they were.

    Safe for any number of threads: the result is replaced as a whole.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._groups: Mapping[tuple[str, str], str] = {}
        self._problem = ""

    def read(self) -> Mapping[tuple[str, str], str]:
        """Return the group of each device, by site and device; empty without a file."""
        if self._path is None:
            return {}
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp == self._stamp:
                return self._groups
            self._groups, self._problem = _read(self._path), ""
            self._stamp = stamp
        except OSError as error:
            self._stamp = None
            self._tell(str(error))
        except ValueError as error:
            self._stamp = stamp  # a damaged file is not read at each request
            self._tell(str(error))
        return self._groups

    def _tell(self, problem: str) -> None:
        """Log a problem once."""
        if problem != self._problem:
            log.warning(line("groups_unread", file=self._path, reason=problem))
        self._problem = problem


def _read(path: Path) -> dict[tuple[str, str], str]:
    """Raise ValueError with line and column if the file is no table of groups."""
    data = path.read_bytes()[: MAX_BYTES + 1]
    if len(data) > MAX_BYTES:
        raise ValueError(f"must be at most {MAX_BYTES} bytes, is more")
    try:
        table = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
            raise ValueError(f"line 1: must have the columns {', '.join(COLUMNS)}, lacks {', '.join(missing)}")
        groups = {}
        for row in table:
            site, device, group = (check_id(name, row[name] or "") for name in COLUMNS)
            groups[site, device] = group
    except TopicError as error:
        raise ValueError(f"line {table.line_num}: {error}") from error
    except csv.Error as error:
        raise ValueError(f"after line {table.line_num}: not CSV: {error}") from error
    return groups
