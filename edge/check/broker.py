"""Check the certificates, and that the broker lets this device do all that the daemon does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from base.certificate import device_certificate_end
from base.errors import FacetallyError
from contract.errors import BadMessage
from contract.health import Health
from contract.message import Status, decode, encode
from contract.receipt import stored_filter
from contract.topics import topic
from edge.check.result import Finding, State
from edge.delivery.broker_check import connect, logged_in
from edge.delivery.spool_lock import is_locked
from edge.settings import BrokerSettings, Settings
from edge.system.clock import boot_id

LIMIT_S = 3.0
"""Time limit of each request, seconds."""
WARN_DAYS = 30.0
"""A certificate that ends sooner is a warning."""


def certificates(settings: BrokerSettings, now: datetime) -> Finding:
    """Tell how long the certificates of the device and of the broker are valid."""
    if settings.tls is None:
        return Finding("none; the connection is not encrypted", "warning" if settings.plain_text else "ok")
    ends: dict[str, datetime] = {}
    if (of_device := device_certificate_end(settings)) is not None:
        ends["device"] = of_device
    unknown = []
    try:
        if (of_broker := connect(settings, LIMIT_S)) is not None:
            ends["broker"] = of_broker
    except OSError as error:
        unknown = [f"the broker's: {settings.host}:{settings.port}: {error}"]
    days = {name: (end - now).total_seconds() / 86_400 for name, end in ends.items()}
    parts = [*(_validity(name, ends[name], left) for name, left in days.items()), *unknown]
    state: State = "ok" if min(days.values(), default=WARN_DAYS) >= WARN_DAYS else "warning"
    if unknown or any(left <= 0 for left in days.values()):
        state = "FAILED"
    return Finding("; ".join(parts), state, {f"{name}_days": round(left, 1) for name, left in days.items()})


def _validity(name: str, end: datetime, days: float) -> str:
    if days <= 0:
        return f"the {name}'s has expired, on {end:%Y-%m-%d}; must be replaced"
    return f"the {name}'s is valid for {days:.0f} days, until {end:%Y-%m-%d}"


def access(settings: Settings, health: Callable[[str], Health]) -> Finding:
    """Log in as another client than the daemon, ask for the rights that it needs, and publish a health message.

    ``health`` makes the message for a boot id. It is not retained, so that the broker keeps the daemon's latest. It
    carries the boot id of the daemon's latest start: to a collector another one would be a start of the daemon. While
    the daemon runs, its own state is newer, so an empty message is published, which no receiver reads.

    A broker that names clients by their users would take both for one client and disconnect the daemon. While the
    daemon runs with a user name or a certificate, only the connection is checked.
    """
    broker, device = settings.broker, (settings.site, settings.device)
    runs, where = is_locked(Path(settings.spool.path)), f"{broker.host}:{broker.port}"
    with _addressed(broker):
        if runs and (broker.username is not None or (broker.tls and broker.tls.certificate)):
            connect(broker, LIMIT_S)
            text = f"{where} can be reached; login not checked, because the daemon runs and is logged in as this user"
            return Finding(text, "warning")
        status, of_health = topic(*device, "status"), topic(*device, "health")
        with logged_in(broker, f"facetally-check:{settings.site}:{settings.device}", LIMIT_S) as session:
            session.require_read(status)
            if broker.confirm == "collector":
                session.require_read(stored_filter(*device))
            boot = _boot(session.retained(status))
            session.require_write(topic(*device, "counts"))
            session.require_write(of_health, b"" if runs else encode(health(boot or boot_id())))
            if session.version != "5":
                text = f"{where} accepts the login; MQTT {session.version} does not tell whether publishing is allowed"
                return Finding(text, "warning")
            return Finding(f"{where} accepts the login and takes messages to {of_health}, MQTT {session.version}")


def _boot(status: bytes | None) -> str | None:
    """Boot id of a status message; None if there is none."""
    try:
        return None if status is None else decode(status, Status).boot
    except BadMessage:
        return None


@contextmanager
def _addressed(settings: BrokerSettings) -> Iterator[None]:
    """Add host and port to errors of the network."""
    try:
        yield
    except OSError as error:
        raise FacetallyError(f"{settings.host}:{settings.port}: {error}") from error
