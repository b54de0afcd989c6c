"""Serve the page and the HTTP API until told to stop."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from waitress import create_server, wasyncore
from waitress.server import BaseWSGIServer

from base.errors import SettingsError
from base.logs import line
from base.loopback import is_loopback
from collector.analysis.query import Reader
from collector.api import recounts as recount_routes
from collector.api.guard import Guard
from collector.api.routes import Api, mount
from collector.page.app import make_page
from collector.recount.recounts import Recounts
from collector.settings import Settings
from collector.web import recount_page
from collector.web.browser_guard import BrowserGuard, content_security_policy
from collector.web.channel import TimedChannel, waitress_limits

THREADS = 64
"""Requests in progress. Most wait for a view that one of them computes, and `/healthz` must not wait behind them."""
COMPARE_EVERY_S = 60.0
"""Interval at which counts by hand are compared and their taps forgotten, also if no phone asks, seconds."""
_log = logging.getLogger(__name__)


def serve(settings: Settings, zone: ZoneInfo, stop: threading.Event, now: Callable[[], datetime]) -> None:
    """Serve with waitress until ``stop`` is set; ``zone`` is the one selected at first.

    This is enough for the analysts of one collector, and not meant for the open internet: no TLS, no login.
    Connections, request times and request sizes are limited (`collector.web.channel`); foreign host names are refused
    and responses carry security headers (`collector.web.browser_guard`). Raises SettingsError if the address cannot be
    served.
    """
    token = settings.api.token()
    reader = Reader(settings.store.path, now, settings.page.label_map)
    recounts = Recounts(settings.store.path, now)
    app = make_page(reader, zone, now, settings.page.language)
    if token is not None or is_loopback(settings.page.host):
        guard = Guard(token, settings.api.requests_per_minute)
        mount(app.server, Api(reader, zone, now), guard)
        recount_routes.mount(app.server, recounts, guard)
        recount_page.mount(app.server)
    else:
        _log.warning(line("no_api", host=settings.page.host, reason="api.token_file is not set"))
    policy = content_security_policy(app.csp_hashes())
    guarded = BrowserGuard(app.server, settings.page.host, settings.page.hosts, policy)
    connections: dict[int, object] = {}
    address = {"host": settings.page.host, "port": settings.page.port}
    limits = waitress_limits(settings.page.connections, settings.page.timeout_s)
    try:
        server = create_server(guarded, **address, threads=THREADS, map=connections, **limits)
    except (OSError, ValueError) as error:  # waitress raises ValueError for a host without an address
        raise SettingsError(f"page.host {address['host']}, page.port {address['port']}: {error}") from error
    for listening in list(connections.values()):
        if isinstance(listening, BaseWSGIServer):  # one per address that the host name has
            listening.channel_class = TimedChannel
    thread = threading.Thread(target=server.run, name="serve")
    thread.start()
    url = f"http://{settings.page.host}:{server.effective_port}/"
    _log.info(line("serving", url=url, root=settings.store.root))
    while not stop.wait(COMPARE_EVERY_S):
        _compare_due(recounts)
    server.task_dispatcher.shutdown()  # first: a response in progress needs its connection
    server.trigger.pull_trigger(lambda: wasyncore.close_all(connections))
    thread.join()


def _compare_due(recounts: Recounts) -> None:
    try:
        recounts.compare_due()
    except OSError as error:
        _log.warning(line("recount_not_stored", reason=error))
