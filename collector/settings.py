"""The collector's configuration: one TOML file, read into frozen structs. Every key has a default."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, field

from base.broker_settings import BrokerOptions, Port
from base.errors import SettingsError
from base.loopback import is_loopback
from base.secret_file import read_secret
from base.toml_settings import Table, Text, read_toml
from collector.alert_settings import Alerts
from collector.language.catalogue import check_language
from collector.mail.settings import LanguageCode, Mail
from contract.fields import Id, Label
from contract.labels import UNKNOWN
from contract.topics import PREFIX

NO_FILE = Path("/dev/null")
"""Read in place of a missing configuration file."""

MIN_TOKEN_CHARACTERS = 16
WRITER = "collector"
"""The default of ``store.writer``."""


class Broker(BrokerOptions, frozen=True, kw_only=True):
    """The broker, and how it delivers the messages of the devices."""

    session_expiry_s: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 30 * 86_400
    """How long the broker keeps messages for a collector that is away, seconds."""
    in_flight: Annotated[int, Meta(ge=1, le=65_535)] = 5000
    """Maximum number of messages that the broker sends before one is acknowledged; also the largest group written."""
    share: Id | None = None
    """Collectors with the same value share the counts between them; each needs its own ``store.writer``."""


class Store(Table, frozen=True, kw_only=True):
    """Where rows are stored, and for how long."""

    root: Text = "store"
    writer: Id = WRITER
    """Name of this collector in file names: two collectors never share a file."""
    group_s: Annotated[float, Meta(gt=0, le=10)] = 0.2
    """Longest time that a message waits for others before its group is written, seconds."""
    dead_letter_bytes: Annotated[int, Meta(ge=1024)] = 8 * 2**20
    """Dead letters fill at most two files of this size, bytes."""
    keep_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    """Rows of older days are deleted, their hourly roll-ups are kept. All rows are kept unless set."""
    compact_after_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    """The CSV files of older days become Parquet files, once a day. They stay CSV files unless set."""
    keep_csv: bool = False
    """Whether compaction keeps the CSV files, under names that readers ignore."""

    @property
    def path(self) -> Path:
        """``root`` as a path. Raises SettingsError if it is no folder, but an address."""
        if "://" in self.root:
            raise SettingsError(
                f"store.root: must be a folder, is {self.root}; only summary, export and facetally.load read s3://..."
            )
        return Path(self.root)

    @property
    def suffix(self) -> str:
        """Suffix of this writer's other files, so that no two writers share one; empty for the default writer."""
        return "" if self.writer == WRITER else f"-{self.writer}"


class Limits(Table, frozen=True, kw_only=True):
    """Limits of one device. Messages beyond them are set aside as dead letters and counted in ``/metrics``.

    They stop a broken or hostile device from filling the disk, the memory or the page. A healthy device stays far below
    them.
    """

    past_days: Annotated[int, Meta(ge=1, le=36_500)] = 400
    """Maximum age of a window's start, days."""
    future_days: Annotated[int, Meta(ge=1, le=36_500)] = 2
    """Maximum time from now to a window's end, days."""
    models: Annotated[int, Meta(ge=1, le=100)] = 8
    """Maximum number of classifiers and label sets of a device; one unused for 90 days is forgotten."""
    devices_per_site: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    messages_per_day: Annotated[int, Meta(ge=1000)] = 200_000
    """Allows a month of one-minute windows at once, several times a day."""
    mb_per_day: Annotated[float, Meta(gt=0)] = 100.0
    """Payload, 10^6 bytes."""


class Page(Table, frozen=True, kw_only=True):
    """Where the page is served. It has no TLS, and a login only with ``access.file``; a proxy serves other machines."""

    host: Text = "127.0.0.1"
    port: Port = 8050
    zone: str = "UTC"
    """Default time zone of the page, such as ``Europe/Berlin``."""
    language: LanguageCode | None = None
    """Language of page and report; unless set, the page has the browser's and the report is English."""
    hosts: tuple[Text, ...] = ()
    """Host names under which browsers may request the page, besides ``host`` and those of the loopback.

    Requests for another host get status 421: a foreign web site must not read the page through a visitor's browser."""
    without_login: bool = False
    """Serve other machines without a proxy, although the page has no TLS."""
    label_map: dict[Label, Label] = field(default_factory=dict)
    """Other names of labels on the page and in the HTTP API; labels that get one name are added up."""
    groups: Text | None = None
    """``groups.csv`` of a fleet, or a copy of it: the page and the HTTP API then know the groups of the devices."""
    connections: Annotated[int, Meta(ge=10, le=20_000)] = 1000
    """Maximum number of open connections; more wait."""
    timeout_s: Annotated[float, Meta(ge=1, le=3600)] = 20.0
    """Time limit for receiving a request and for sending its answer, seconds."""

    def __post_init__(self) -> None:
        """Reject serving other machines unless ``without_login`` allows it, mapping ``unknown``, and a language without
        a catalogue."""
        if self.language is not None:
            check_language(self.language)
        if UNKNOWN in self.label_map or UNKNOWN in self.label_map.values():
            raise ValueError(f"label_map: must not have {UNKNOWN!r}, which is no label of a model")
        if not (is_loopback(self.host) or self.without_login):
            raise ValueError(
                f"{self.host} is reachable from other machines, and the page has no login (unless access.file is set)"
                " and no TLS: keep 127.0.0.1 and put a proxy in front (docs/installer.md), or set"
                " page.without_login = true"
            )

    def time_zone(self) -> ZoneInfo:
        """Return ``zone``. Raises SettingsError if there is no such zone."""
        return named_zone("page.zone", self.zone)


def named_zone(key: str, name: str) -> ZoneInfo:
    """Return a time zone. Raises SettingsError, which names the key, if there is no such zone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise SettingsError(
            f"{key}: must be a name of the IANA time zone database such as Europe/Berlin, is {name!r}"
        ) from None


class Api(Table, frozen=True, kw_only=True):
    """The HTTP API, served beside the page. Without a token only programs on this machine may use it."""

    token_file: str | None = None
    requests_per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 120
    """Maximum number of requests a minute from one address, or of one person or program that has logged in."""

    def token(self) -> str | None:
        """Return the token, or None if no file is set. Raise SettingsError if it cannot be read or is too short."""
        if self.token_file is None:
            return None
        token = read_secret(self.token_file, "api.token_file")
        if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii():
            raise SettingsError(
                f"key 'api.token_file': {self.token_file}: the first line must be at least"
                f" {MIN_TOKEN_CHARACTERS} ASCII characters, has {len(token)} characters"
            )
        return token


class Access(Table, frozen=True, kw_only=True):
    """Who may see which sites. Without ``file`` the page has no login, and the API has the token of ``[api]``."""

    file: Text | None = None
    """People and programs, and hashes of their tokens; `facetally-collector access` changes it."""
    session_h: Annotated[float, Meta(gt=0, le=24 * 365)] = 12.0
    """How long a browser stays logged in, hours."""
    proxies: tuple[Text, ...] = ()
    """Addresses of proxies whose headers are believed, such as ``127.0.0.1``."""
    proxy_header: Text | None = None
    """Header in which such a proxy names the person whom it has logged in, such as ``X-Forwarded-Email``."""

    def __post_init__(self) -> None:
        """Reject a header that nobody may send, and a proxy without a list of people."""
        if self.proxy_header is not None and not self.proxies:
            raise ValueError("proxies: must name the addresses that may send access.proxy_header")
        if self.proxies and self.file is None:
            raise ValueError("file: must be given if access.proxies is")
        for address in self.proxies:
            try:
                ip_address(address)
            except ValueError:
                raise ValueError(f"proxies: must be IP addresses such as 127.0.0.1, is {address!r}") from None

    def path(self) -> Path:
        """Return ``file`` as a path. Raise SettingsError if there is none."""
        if self.file is None:
            raise SettingsError("key 'access.file': must name the file of people and programs, is not set")
        return Path(self.file)


class Sync(Table, frozen=True, kw_only=True):
    """The PostgreSQL database that ``facetally-collector sync`` keeps up to date."""

    url: Text | None = None
    """URL of the database without a password, such as ``postgresql://facetally@host/counts``."""
    password_file: Text | None = None
    """File whose first line is the password. Without it, libpq's own ways apply, such as ``~/.pgpass``."""


class Publish(Table, frozen=True, kw_only=True):
    """What the collector publishes at the broker for other programs. What is switched off later is deleted there."""

    hours: bool = False
    """Whether the last full hour of each device is published, retained, on ``facetally/v1/SITE/DEVICE/hour``."""
    home_assistant: bool = False
    """Whether these hours are described to Home Assistant (MQTT discovery). Needs ``hours``."""
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")] = "homeassistant"
    """First level of the topics of discovery, as in the MQTT integration of Home Assistant."""

    def __post_init__(self) -> None:
        """Reject a description of hours that are not published, and a prefix of our own topics."""
        if self.home_assistant and not self.hours:
            raise ValueError("home_assistant: must be false while `hours` is false, is true")
        if self.prefix == PREFIX.partition("/")[0]:
            raise ValueError(f"prefix: must not be {self.prefix}, the first level of the devices' topics")


class Settings(Table, frozen=True, kw_only=True):
    """The whole file."""

    broker: Broker = Broker()
    store: Store = Store()
    limits: Limits = Limits()
    page: Page = Page()
    api: Api = Api()
    mail: Mail = Mail()
    publish: Publish = Publish()
    alerts: Alerts = Alerts()
    access: Access = Access()
    sync: Sync = Sync()

    def __post_init__(self) -> None:
        """Reject two lists of tokens, and mails without a sender."""
        if self.api.token_file is not None and self.access.file is not None:
            raise ValueError("api.token_file: must not be set together with access.file; add its user of the API there")
        if self.alerts.recipients and self.mail.sender is None:
            raise ValueError("mail.sender: must be a mail address where there are alerts.recipients, is missing")


def read_settings(path: Path | None, overrides: tuple[str, ...] = ()) -> Settings:
    """Read a TOML file, or the defaults if None, with ``key=value`` overrides on top; SettingsError as `read_toml`."""
    return read_toml(path or NO_FILE, Settings, overrides)
