"""After its start the server prepares the first view, before anybody asks for it."""

import os
from datetime import timedelta
from pathlib import Path

from collector.language.catalogue import codes, translations
from collector.language.language import language
from tests.support.brokers import free_port, wait_until
from tests.support.browser import served
from tests.support.shops import MONDAY, two_weeks


def test_roll_ups_and_catalogues_are_ready_without_a_request(tmp_path: Path) -> None:
    """The roll-up files of the default period are written, and the catalogues of all languages are read."""
    root = two_weeks(tmp_path)
    long_ago = (MONDAY - timedelta(days=1)).timestamp()
    for path in root.glob("date=*/site=*/*"):
        os.utime(path, (long_ago, long_ago))
    for each in (language, translations):
        each.cache_clear()
    assert not list(root.glob("_rollup/*/*.parquet"))
    with served(root, free_port(), "Europe/Berlin", lambda: MONDAY):
        wait_until(lambda: list(root.glob("_rollup/*/*.parquet")), "the roll-ups are ready")
        wait_until(lambda: translations.cache_info().currsize == len(codes()), "the catalogues are read")
