"""TOML -> what the collector is told: which broker, which store, which page."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from base.errors import SettingsError
from base.toml_settings import check_encrypted, is_loopback, read_toml
from contract.topics import ID_PATTERN

NO_FILE = Path("/dev/null")
"""Read in place of a configuration file when there is none: every setting has a default."""

SHORTEST_TOKEN = 16
WRITER = "collector"
"""The writer of a store that says nothing else."""
Port = Annotated[int, Meta(ge=1, le=65535)]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: read-only, by keyword, and an unknown key is an error."""


class Tls(Strict, frozen=True, kw_only=True):
    """Files in PEM; without ``ca`` the system's authorities are trusted."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class Broker(Strict, frozen=True, kw_only=True):
    """Where the messages come from; the broker keeps them ``session_expiry_s`` for a collector that is away.

    Beyond this machine nothing is sent unencrypted, unless ``plain_text`` allows it.
    """

    host: Annotated[str, Meta(min_length=1)] = "localhost"
    port: Port = 1883
    username: str | None = None
    password_file: str | None = None
    tls: Tls | None = None
    plain_text: bool = False
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    session_expiry_s: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 30 * 86_400
    in_flight: Annotated[int, Meta(ge=1, le=65_535)] = 5000
    """Messages that the broker may send before one is acknowledged; also the largest group on its way to disk."""
    share: Annotated[str, Meta(pattern=ID_PATTERN)] | None = None
    """Collectors that name the same group share the counts between them; each needs its own ``store.writer``."""

    def __post_init__(self) -> None:
        """Refuse to send in the clear what was not said may go so."""
        check_encrypted(self.host, self.tls is not None, self.plain_text)

    def password(self) -> str | None:
        """The first line of ``password_file``; SettingsError if it cannot be read."""
        if self.password_file is None:
            return None
        return _first_line("broker.password_file", self.password_file)


class Store(Strict, frozen=True, kw_only=True):
    """Where the rows go. ``writer`` is this collector's own name: two collectors never share a file."""

    root: Annotated[str, Meta(min_length=1)] = "store"
    writer: Annotated[str, Meta(pattern=ID_PATTERN)] = WRITER
    group_s: Annotated[float, Meta(gt=0, le=10)] = 0.2
    """The longest that a message waits for others before its group goes to disk."""
    dead_letter_bytes: Annotated[int, Meta(ge=1024)] = 8 * 2**20
    """Messages set aside fill at most two files of this size."""
    keep_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    """Whole days that are older are deleted, their hourly roll-ups are not; None keeps all."""

    @property
    def path(self) -> Path:
        """``root`` as a path."""
        return Path(self.root)

    @property
    def suffix(self) -> str:
        """What a writer's own files beside the counts have in their names, so that no two write one; most have none."""
        return "" if self.writer == WRITER else f"-{self.writer}"


class Limits(Strict, frozen=True, kw_only=True):
    """Bounds of one device. Messages beyond them are set aside as dead letters and counted in ``/metrics``.

    They keep a broken or hostile device from filling the disk, the memory or the page; no device in order meets them.
    """

    past_days: Annotated[int, Meta(ge=1, le=36_500)] = 400
    """Windows that begin longer ago are set aside."""
    future_days: Annotated[int, Meta(ge=1, le=36_500)] = 2
    """Windows that end later than so many days from now are set aside."""
    models: Annotated[int, Meta(ge=1, le=100)] = 8
    """Classifiers and label sets that a device may count with; one it has not used for 90 days makes room."""
    devices_per_site: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    messages_per_day: Annotated[int, Meta(ge=1000)] = 200_000
    """A month of one-minute windows may come in one go, and as many again within hours."""
    mb_per_day: Annotated[float, Meta(gt=0)] = 100.0
    """Payload, 10^6 bytes."""


class Page(Strict, frozen=True, kw_only=True):
    """Where the page is served. It has no login: beyond this machine, put a proxy that has one before it."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8050
    zone: str = "UTC"
    hosts: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """Names by which browsers may ask for the page, besides ``host`` and those of the loopback. A request that names
    another host is answered 421: a foreign web site must not read the page through a visitor's browser."""
    without_login: bool = False
    """Serve to other machines although the page has no login."""
    connections: Annotated[int, Meta(ge=10, le=20_000)] = 1000
    """Open at the same time; more wait."""
    timeout_s: Annotated[float, Meta(ge=1, le=3600)] = 20.0
    """A connection that has not sent its whole request after so long, or does not take its answer, is closed."""

    def __post_init__(self) -> None:
        """Refuse to show the counts to other machines unless that was asked for."""
        if not (is_loopback(self.host) or self.without_login):
            raise ValueError(
                f"{self.host} is reachable from other machines, and the page has no login: keep 127.0.0.1 and put a"
                " proxy with a login before it (docs/installer.md), or set page.without_login = true"
            )


class Api(Strict, frozen=True, kw_only=True):
    """The HTTP API, served beside the page. Without a token it is for programs on this machine only."""

    token_file: str | None = None
    requests_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 120
    """From one address."""

    def token(self) -> str | None:
        """The first line of ``token_file``, 16 characters or more; SettingsError if there is no such thing."""
        if self.token_file is None:
            return None
        token = _first_line("api.token_file", self.token_file).strip()
        if len(token) < SHORTEST_TOKEN or not token.isascii():
            raise SettingsError(f"api.token_file {self.token_file}: {SHORTEST_TOKEN} ASCII characters or more")
        return token


class Settings(Strict, frozen=True, kw_only=True):
    """The whole file."""

    broker: Broker = Broker()
    store: Store = Store()
    limits: Limits = Limits()
    page: Page = Page()
    api: Api = Api()


def _first_line(key: str, path: str) -> str:
    """Of a file that holds a secret; SettingsError if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{key} {path}: {error}") from error


def read_settings(path: Path | None, overrides: tuple[str, ...] = ()) -> Settings:
    """A TOML file, or None for the defaults, with ``key.path=value`` on top -> settings; SettingsError otherwise."""
    return read_toml(path or NO_FILE, Settings, overrides)
