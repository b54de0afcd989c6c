"""Prepare what the first view of the page needs, so that no reader waits for it.

The roll-ups of the default period are brought up to date, and the catalogues and dates of all languages are read.
"""

import gc
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec.structs import asdict

from base.logs import line
from collector.language.catalogue import codes
from collector.language.language import chosen_language, language
from collector.page.controls.selection import ControlValues
from collector.page.first_screen.first_screen import FirstScreen
from collector.reading.reader import Reader

_log = logging.getLogger(__name__)


def warm_up_in_background(
    reader: Reader, zone: ZoneInfo, now: Callable[[], datetime], configured: str | None
) -> threading.Thread:
    """Start a thread that prepares the first view, and return it. It ends by itself, or with the process."""

    def work() -> None:
        warm_up(reader, zone, now, configured)
        freeze_objects()

    thread = threading.Thread(target=work, name="warm-up", daemon=True)
    thread.start()
    return thread


def freeze_objects() -> None:
    """Leave what is in memory now out of garbage collections, which else take a tenth of a second in a large fleet."""
    gc.collect()
    gc.freeze()


def warm_up(reader: Reader, zone: ZoneInfo, now: Callable[[], datetime], configured: str | None) -> None:
    """Prepare the first view: in the configured language, or in English."""
    try:
        for code in codes():
            words, moment = language(code), now()
            words.gettext("visits")
            words.short_moment(moment)
            words.percent(0.5)
        controls = asdict(ControlValues()) | {"zone": str(zone), "lang": chosen_language(configured).code}
        FirstScreen(reader, now).figures(controls)
    except Exception as error:  # noqa: BLE001 - the first reader gets the error, and the log says what it is
        _log.warning(line("not_warmed_up", reason=repr(error)))
