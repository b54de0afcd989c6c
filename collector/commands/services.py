"""The commands that run until they are stopped, ``run`` and ``serve``, and ``config``, which explains settings."""

import argparse
import signal
import threading
from contextlib import AbstractContextManager, nullcontext

from base.packaged_file import print_packaged_file
from collector.commands.parsers import Commands
from collector.commands.selection import page_zone
from collector.receive.receiver import run, utc_now
from collector.settings import Settings


def add(commands: Commands) -> None:
    """Add the commands."""
    commands.add("config", _config, "Print a configuration that lists and explains every key.")
    commands.add("run", _run, "Receive counts over MQTT and store them until SIGTERM or SIGINT.")
    serving = commands.add("serve", _serve, "Serve the page and the HTTP API until SIGTERM or SIGINT.")
    serving.add_argument("--zone", help="time zone that the page shows at first, instead of page.zone")


def _config(_options: argparse.Namespace, _settings: Settings) -> None:
    print_packaged_file("collector", "samples", "collector.toml")


def _run(_options: argparse.Namespace, settings: Settings) -> None:
    stop = stop_on_signals()
    with _alerting(settings, stop):
        run(settings, stop)


def _alerting(settings: Settings, stop: threading.Event) -> AbstractContextManager[None]:
    """Return what tells receivers of changes, if there are any."""
    if not settings.alerts.webhooks and not settings.alerts.recipients:
        return nullcontext()
    from collector.alerts.alerter import alerting  # noqa: PLC0415 - words and dates of languages

    return alerting(settings, stop, utc_now)


def _serve(options: argparse.Namespace, settings: Settings) -> None:
    from collector.web.serve import serve  # noqa: PLC0415 - run does not need dash

    serve(settings, page_zone(options, settings), stop_on_signals(), utc_now)


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
