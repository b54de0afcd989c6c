"""Settings -> the page and the HTTP API, served until told to stop."""

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
from collector.api.guard import Guard
from collector.api.routes import Api, mount
from collector.page.app import make_page
from collector.settings import Settings
from collector.web.browser_guard import WebGuard, policy
from collector.web.channel import TimedChannel, limits

THREADS = 64
"""Requests at work. Most wait for a view that one of them makes, and `/healthz` must not wait behind them."""
_log = logging.getLogger(__name__)


def serve(settings: Settings, zone: ZoneInfo, stop: threading.Event, now: Callable[[], datetime]) -> None:
    """Serve until ``stop`` is set, by waitress: enough for the analysts of one collector, and not meant for the open
    internet (no TLS; the page has no login). SettingsError if it cannot be served there.

    Connections, their time and the size of requests are bounded (`collector.web.channel`), foreign hosts are refused, and
    answers say what a browser may do with them (`collector.web.browser_guard`).
    """
    token = settings.api.token()
    reader = Reader(settings.store.path, now)
    app = make_page(reader, zone, now)
    if token is not None or is_loopback(settings.page.host):
        api = Api(reader, zone, now)
        mount(app.server, api, Guard(token, settings.api.requests_per_minute))
    else:
        _log.warning(line("no_api", host=settings.page.host, reason="api.token_file is not set"))
    guarded = WebGuard(app.server, settings.page.host, settings.page.hosts, policy(app.csp_hashes()))
    connections: dict[int, object] = {}
    where = {"host": settings.page.host, "port": settings.page.port}
    bounds = limits(settings.page.connections, settings.page.timeout_s)
    try:
        server = create_server(guarded, **where, threads=THREADS, map=connections, **bounds)
    except (OSError, ValueError) as error:  # waitress says ValueError of a host that has no address
        raise SettingsError(f"page.host {where['host']}, page.port {where['port']}: {error}") from error
    for listening in list(connections.values()):
        if isinstance(listening, BaseWSGIServer):  # of a name with several addresses, one each
            listening.channel_class = TimedChannel
    thread = threading.Thread(target=server.run, name="serve")
    thread.start()
    url = f"http://{settings.page.host}:{server.effective_port}/"
    _log.info(line("serving", url=url, root=settings.store.root))
    stop.wait()
    server.task_dispatcher.shutdown()  # first: an answer under way needs its connection
    server.trigger.pull_trigger(lambda: wasyncore.close_all(connections))
    thread.join()
