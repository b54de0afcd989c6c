"""Aim a camera: show its view to an installer in a browser, with one sentence of advice, and save staff zones.

``facetally-aim CONFIG``

Run it on the device while the daemon is stopped. It prints an address, a one-time code and the fingerprint of its
certificate, and stops by itself. It is a separate program that an installer runs on purpose: the daemon cannot show
images. Without ``--images`` it shows the boxes of faces on grey. It stores nothing but the zones that are saved.
"""

import argparse
import contextlib
import logging
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from base.errors import FacetallyError, SettingsError
from base.logs import hide_secrets, line, log_to_stderr
from edge.aiming.application import application
from edge.aiming.live_view import LiveView, Zones
from edge.aiming.web.addresses import Network, Peers, own_addresses, own_names
from edge.aiming.web.certificate import self_signed
from edge.aiming.web.https_server import HttpsServer
from edge.aiming.web.routes import handler_for
from edge.aiming.web.session import Session
from edge.camera.library_messages import stderr_to_log
from edge.counting.zone_advice import advise as zone_warnings
from edge.delivery.spool_lock import is_locked
from edge.settings import Settings, read

log = logging.getLogger("edge.aiming")
NO_ZONES = ("admit.staff_zones=[]",)
"""Overrides the zones of a configuration that does not state any yet."""
PORT, MINUTES, MAX_MINUTES = 8443, 15.0, 240.0
FIELD_OF_VIEW = 66.0
"""Horizontal field of view, degrees: that of the Raspberry Pi camera module 3; most webcams have 60 to 80."""
CLOSE_LIMIT_S = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page; return 0, or 2 after an error message."""
    parsed = _parser().parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would contain a frame
    with stderr_to_log():
        log_to_stderr()
        try:
            return _aim(parsed)
        except FacetallyError as error:
            print(f"facetally-aim: {hide_secrets(str(error))}", file=sys.stderr)
            return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="facetally-aim", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configuration of the daemon, such as edge.toml")
    parser.add_argument("--images", action="store_true", help="show the camera's image under the boxes")
    parser.add_argument(
        "--minutes", type=_minutes, default=MINUTES, metavar="M", help="stop after this time (default: %(default)g)"
    )
    parser.add_argument("--port", type=_port, default=PORT, help="TCP port; 0 for any (default: %(default)s)")
    parser.add_argument(
        "--allow", type=_network, action="append", default=[], metavar="NETWORK",
        help="addresses that may connect besides private ones, such as 100.64.0.0/10",
    )  # fmt: skip
    parser.add_argument(
        "--field-of-view", type=_degrees, default=FIELD_OF_VIEW, metavar="DEG",
        help="horizontal, degrees; for the estimate of distances (default: %(default)g)",
    )  # fmt: skip
    return parser


def _aim(parsed: argparse.Namespace) -> int:
    """Serve the page until the time is over, a signal, or the page's button."""
    settings, zones = _read(parsed.config)
    if is_locked(Path(settings.spool.path)):
        raise FacetallyError(
            "the daemon of this configuration runs and uses the camera; stop it first:"
            f" sudo systemctl stop {_unit(parsed.config)}, and start it again afterwards"
        )
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    addresses = own_addresses() or ["127.0.0.1"]
    context, fingerprint = self_signed([*addresses, "127.0.0.1"], own_names())
    failed: list[FacetallyError] = []
    view = LiveView(settings, zones, stop, zone_warnings, parsed.field_of_view)
    session = Session(time.monotonic() + parsed.minutes * 60, stop.set)
    title = f"{settings.site}/{settings.device}, {settings.capture.name}"
    app = application(session, view, parsed.config, title, stop.set, images=parsed.images)
    try:
        server = HttpsServer(("", parsed.port), handler_for(app), context, Peers(tuple(parsed.allow)))
    except OSError as error:
        raise FacetallyError(f"--port {parsed.port}: {error.strerror}; choose another") from error
    with _following(view, stop, failed), _serving(server):
        _introduce(addresses, server.server_address[1], session, fingerprint, images=parsed.images)
        stop.wait(session.left_s)
        stop.set()
        log.info(line("stopped"))
    if failed:
        raise failed[0]
    return 0


def _unit(config: Path) -> str:
    """Name of the service that reads a configuration: ``edge.toml``, or the name of one of several cameras."""
    return "facetally-edge" if config.stem == "edge" else f"facetally-edge@{config.stem}"


def _read(config: Path) -> tuple[Settings, Zones | None]:
    """Read a configuration, and its zones; None if it is complete but for them."""
    try:
        settings = read(config)
    except SettingsError:
        return read(config, NO_ZONES), None
    return settings, settings.admit.staff_zones


@contextmanager
def _following(view: LiveView, stop: threading.Event, failed: list[FacetallyError]) -> Iterator[None]:
    """Follow the camera in a thread; an error of it stops the program."""

    def follow() -> None:
        try:
            view.run()
        except FacetallyError as error:
            failed.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=follow, name="view")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _serving(server: HttpsServer) -> Iterator[None]:
    """Serve in a thread; at the end the connections are closed."""
    thread = threading.Thread(target=server.serve_forever, name="web", kwargs={"poll_interval": 0.2})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _introduce(addresses: Sequence[str], port: int, session: Session, fingerprint: str, *, images: bool) -> None:
    """Print how to open the page."""
    half = len(session.code) // 2
    shows = "the camera's image" if images else "boxes on grey, no image"
    print("The daemon must be stopped while facetally-aim uses the camera. Start it again afterwards.")
    for address in addresses:
        print(f"page: https://{address}:{port}/")
    print(f"code: {session.code[:half]} {session.code[half:]}")
    print(f"certificate, SHA-256: {fingerprint}")
    print("The browser warns of a certificate that nobody signed. Compare its fingerprint, then go on.")
    with contextlib.suppress(BrokenPipeError):
        print(f"It shows {shows}, stores nothing, and stops in {session.left_s / 60:.0f} minutes.", flush=True)


def _minutes(text: str) -> float:
    return _number(text, 0.01, MAX_MINUTES)


def _degrees(text: str) -> float:
    return _number(text, 10, 170)


def _number(text: str, low: float, high: float) -> float:
    with contextlib.suppress(ValueError):
        if low <= float(text) <= high:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}, is {text}")


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, is {text}")


def _network(text: str) -> Network:
    try:
        return Network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be an IPv4 network such as 100.64.0.0/10, is {text}: {error}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
