"""Serve the page and the HTTP API until told to stop."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from dash import Dash
from waitress import create_server, wasyncore
from waitress.server import BaseWSGIServer

from base.errors import SettingsError
from base.logs import line
from base.loopback import is_loopback
from collector.access.entries import read_entries
from collector.access.gate import AccessGate, Applications, Sites, Wsgi
from collector.access.logins import Entries, Logins
from collector.api import recounts as recount_routes
from collector.api.guard import Guard
from collector.api.routes import Api, mount
from collector.devices.groups import Groups
from collector.page.app import make_page
from collector.reading.reader import Reader
from collector.recount.recounts import Recounts
from collector.settings import Settings
from collector.web import recount_page
from collector.web.browser_guard import BrowserGuard, content_security_policy
from collector.web.channel import TimedChannel, waitress_limits
from collector.web.warm_up import warm_up_in_background

THREADS = 64
"""Requests in progress. Most wait for a view that one of them computes, and `/healthz` must not wait behind them."""
COMPARE_EVERY_S = 60.0
"""Interval at which counts by hand are compared and their taps forgotten, also if no phone asks, seconds."""
WARM_UP_S = 10.0
"""Time that a warm-up in progress gets to end after ``stop``, seconds."""
_log = logging.getLogger(__name__)


def serve(settings: Settings, zone: ZoneInfo, stop: threading.Event, now: Callable[[], datetime]) -> None:
    """Serve with waitress until ``stop`` is set; ``zone`` is the one selected at first.

    This is enough for the analysts of one collector, and not meant for the open internet: no TLS.
    Connections, request times and request sizes are limited (`collector.web.channel`); foreign host names are refused
    and responses carry security headers (`collector.web.browser_guard`). Raises SettingsError if the address cannot be
    served.
    """
    recounts = Recounts(settings.store.path, now)
    groups = Groups(Path(settings.page.groups) if settings.page.groups else None)
    reader = Reader(settings.store.path, now, settings.page.label_map, groups)
    guarded = _application(settings, zone, recounts, reader, now)
    connections: dict[int, object] = {}
    address = {"host": settings.page.host, "port": settings.page.port}
    limits = waitress_limits(settings.page.connections, settings.page.timeout_s)
    strip = not settings.access.proxies  # else `Logins` tells whether a proxy sends X-Forwarded-For
    try:
        server = create_server(
            guarded, **address, threads=THREADS, map=connections, clear_untrusted_proxy_headers=strip, **limits
        )
    except (OSError, ValueError) as error:  # waitress raises ValueError for a host without an address
        raise SettingsError(f"page.host {address['host']}, page.port {address['port']}: {error}") from error
    for listening in list(connections.values()):
        if isinstance(listening, BaseWSGIServer):  # one per address that the host name has
            listening.channel_class = TimedChannel
    threads = [
        threading.Thread(target=server.run, name="serve"),
        threading.Thread(target=reader.live.follow, args=(stop,), name="live"),
    ]
    for thread in threads:
        thread.start()
    url = f"http://{settings.page.host}:{server.effective_port}/"
    _log.info(line("serving", url=url, root=settings.store.root))
    warming_up = warm_up_in_background(reader, zone, now, settings.page.language)
    while not stop.wait(COMPARE_EVERY_S):
        _compare_due(recounts)
    server.task_dispatcher.shutdown()  # first: a response in progress needs its connection
    server.trigger.pull_trigger(lambda: wasyncore.close_all(connections))
    for thread in threads:
        thread.join()
    warming_up.join(WARM_UP_S)  # a thread that is in a C++ library when Python ends may abort the process


def _application(
    settings: Settings, zone: ZoneInfo, recounts: Recounts, reader: Reader, now: Callable[[], datetime]
) -> BrowserGuard:
    """Return page and API, behind a login if there is a file of people and programs."""
    token, login = settings.api.token(), settings.access.file is not None
    has_api = login or token is not None or is_loopback(settings.page.host)
    guard = Guard(token, settings.api.requests_per_minute)
    if not has_api:
        _log.warning(line("no_api", host=settings.page.host, reason="api.token_file is not set"))

    def make(sites: Sites) -> Dash:
        own = reader.only(sites)
        app = make_page(own, zone, now, settings.page.language, login=login)
        if has_api:
            mount(app.server, Api(own, zone, now), guard)
            recount_routes.mount(app.server, recounts, guard, own.permits)
            recount_page.mount(app.server, settings.page.language)
        return app

    everything = make(None)
    application: Wsgi = everything.server
    if login:
        path = settings.access.path()
        read_entries(path)  # a file that cannot be read is an error at the start
        applications = Applications(lambda sites: everything.server if sites is None else make(sites).server)
        application = AccessGate(Logins(settings.access, Entries(path)), applications, settings.page.language)
    policy = content_security_policy(everything.csp_hashes())
    return BrowserGuard(application, settings.page.host, settings.page.hosts, policy)


def _compare_due(recounts: Recounts) -> None:
    try:
        recounts.compare_due()
    except OSError as error:
        _log.warning(line("recount_not_stored", reason=error))
