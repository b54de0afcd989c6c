"""The files of recounts in a store: one JSON file per open session, and one CSV file of results.

``_recount/open-ID.json`` is deleted once its session is compared. ``_recount/recounts.csv`` has one line a result.
"""

import csv
import io
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import msgspec

from base.durable_file import replace_file
from base.logs import line
from collector.language.language import english
from collector.recount.recount import Recount
from collector.recount.session import Session
from collector.sentences.devices import recount_result

FOLDER = "_recount"
COLUMNS = Recount.__struct_fields__

_log = logging.getLogger(__name__)


def results_path(root: Path) -> Path:
    """Return the path of the results of a store."""
    return root / FOLDER / "recounts.csv"


def session_path(root: Path, session_id: str) -> Path:
    """Return the path of an open session."""
    return root / FOLDER / f"open-{session_id}.json"


def read_sessions(root: Path) -> dict[str, Session]:
    """Read the open sessions of a store, by id. A damaged one is left out and logged."""
    sessions = {}
    for path in sorted((root / FOLDER).glob("open-*.json")):
        try:
            sessions[path.stem.removeprefix("open-")] = msgspec.json.decode(path.read_bytes(), type=Session)
        except FileNotFoundError:
            continue  # compared meanwhile
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning(line("recount_damaged", file=path, reason=error))
    return sessions


def write_session(root: Path, session_id: str, session: Session) -> None:
    """Write an open session, on disk when this returns. Raises OSError."""
    path = session_path(root, session_id)
    path.parent.mkdir(exist_ok=True)
    replace_file(path, msgspec.json.encode(session))


def read_recounts(root: Path) -> list[Recount]:
    """Read the results of a store, the latest last. A line that is none is left out and logged."""
    path = results_path(root)
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        _log.warning(line("recount_damaged", file=path, reason=error))
        return []
    found = []
    for row in csv.DictReader(io.StringIO(text)):
        try:
            found.append(msgspec.convert(row, Recount, strict=False))
        except msgspec.ValidationError as error:
            _log.warning(line("recount_damaged", file=path, reason=error))
    return found


def write_recounts(root: Path, recounts: list[Recount]) -> None:
    """Replace the results of a store, on disk when this returns. Raises OSError."""
    path = results_path(root)
    path.parent.mkdir(exist_ok=True)
    replace_file(path, to_csv(recounts).encode())


def format_recounts(recounts: list[Recount], form: Literal["text", "json", "csv"]) -> str:
    """Format results as CSV, as a JSON list of objects, or as one line of text each."""
    if form == "csv":
        return to_csv(recounts)
    if form == "json":
        return msgspec.json.encode(recounts).decode() + "\n"
    lines = (
        f"{each.site}  {each.device}  {_cell(each.start)}  {_cell(each.end)}  {recount_result(each, english())}"
        for each in recounts
    )
    return "".join(f"{text}\n" for text in lines)


def to_csv(recounts: list[Recount]) -> str:
    """Format results as CSV with a header; times are RFC 3339 in UTC."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(getattr(each, name)) for name in COLUMNS] for each in recounts)
    return file.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return str(value)
