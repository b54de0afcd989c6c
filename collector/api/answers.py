"""Parameters and responses of the HTTP API, as structs; their schemas are in the OpenAPI document."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from collector.devices.attention import TITLES, Concern
from collector.devices.attention import Kind as ConcernKind
from collector.devices.device import Device
from collector.devices.state import State
from contract.fields import Fraction
from contract.health import Health
from contract.message import Model, Shadow
from contract.topics import ID_PATTERN

Id = Annotated[str, Meta(pattern=ID_PATTERN.removesuffix(r"(?!\n)"))]
Moment = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?$(?!\n)",
        description="a date, which begins at midnight of the zone, or a time with Z or an offset",
    ),
]
Zone = Annotated[str, Meta(description="a name of the IANA time zone database, such as Europe/Berlin", max_length=64)]
Bucket = Literal["total", "hour", "day", "week", "month", "weekday", "site", "device"]
By = Literal["total", "hour", "day", "week", "month", "weekday", "site", "device", "label"]
Format = Literal["json", "csv", "parquet", "arrow"]
Sites = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=1000, description="names, separated by commas")]
Bys = Annotated[
    tuple[By, ...],
    Meta(
        min_length=1,
        max_length=4,
        description="what a row stands for, separated by commas: at most one of hour, day, week, month and weekday, or"
        " weekday,hour; site or device; label for one row per label",
    ),
]
SetName = Annotated[
    str, Meta(pattern=r"^[0-9a-f]{8}$(?!\n)", description="8 hexadecimal digits, one of `label_sets` of the answer")
]
MAX_LIMIT = 50_000


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a request. An unknown parameter is an error."""


class NoQuery(Query, frozen=True, kw_only=True):
    """No parameters."""


class PagedQuery(Query, frozen=True, kw_only=True):
    """Which rows of a long answer; ``next`` of the answer, or the header ``Link``, leads to the following ones."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="largest number of rows in the answer")] = 10_000
    offset: Annotated[int, Meta(ge=0, le=10**8, description="rows to leave out at the beginning")] = 0


class DevicesQuery(PagedQuery, frozen=True, kw_only=True):
    """Which devices: all, or those of some sites and groups."""

    site: Sites | None = None
    group: Sites | None = None


class CountsQuery(PagedQuery, frozen=True, kw_only=True):
    """Which windows, how they are grouped, and the format of the response."""

    since: Annotated[
        Moment | None, Meta(description="start of the range, inclusive; default: a week before `until`")
    ] = None
    until: Annotated[Moment | None, Meta(description="end of the range, exclusive; default: now")] = None
    bucket: Annotated[Bucket | None, Meta(description="the same as the first name of `by`; default: day")] = None
    by: Bys | None = None
    site: Sites | None = None
    device: Sites | None = None
    label_set: SetName | None = None
    corrected: Annotated[
        Literal["0", "1"], Meta(description="1 adds corrected shares with 90 % intervals, one row per label")
    ] = "0"
    zone: Zone | None = None
    format: Format = "json"


class SiteAnswer(Struct, frozen=True, kw_only=True):
    """A shop, and how many of its devices are online."""

    site: str
    devices: int
    online: int


class SitesAnswer(Struct, frozen=True, kw_only=True):
    """All sites, in alphabetical order."""

    sites: list[SiteAnswer]


class ConcernAnswer(Struct, frozen=True, kw_only=True):
    """One thing at a device that needs a person."""

    kind: ConcernKind
    text: str
    """What the page calls it, such as ``Update failed``."""
    detail: str
    """What is known of it; may be empty."""


class DeviceAnswer(Struct, frozen=True, kw_only=True):
    """State of a device by its last messages; null where it sent none. ``health`` has what it runs."""

    site: str
    device: str
    group: str | None
    """Group of the fleet (`page.groups`)."""
    state: State
    boot: str | None
    seen: datetime | None
    counted: datetime | None
    model: Model | None
    health: Health | None
    refused: dict[str, int]
    """Messages of the device that were set aside, by reason."""
    shadows: tuple[Shadow, ...]
    """Agreement tables of classifiers that were compared with the one that counts."""
    needs: list[ConcernAnswer]
    """What needs a person, the most urgent first."""

    @classmethod
    def of(cls, device: Device, group: str | None, state: State, found: Iterable[Concern]) -> "DeviceAnswer":
        """Return the response for a device, its group, the state to show, and what of it needs a person."""
        fields = (name for name in cls.__struct_fields__ if name not in ("group", "state", "needs"))
        needs = [ConcernAnswer(kind=each.kind, text=TITLES[each.kind], detail=each.detail) for each in found]
        return cls(group=group, state=state, needs=needs, **{name: getattr(device, name) for name in fields})


class DevicesAnswer(Struct, frozen=True, kw_only=True):
    """All devices, by site and name."""

    devices: list[DeviceAnswer]
    total_rows: int
    next: str | None
    """Address of the following devices."""


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bucket and its figures.

    ``visits`` is null where no window arrived, which is not zero. ``doubtful_low`` visits may be part of
    another visit or nobody's, ``doubtful_high`` may be two people's; both are absent where no visit is doubtful.
    With ``by=label`` there is a row per label: ``label`` and its ``visits`` replace ``counts``.
    """

    start: datetime | UnsetType = UNSET
    weekday: str | UnsetType = UNSET
    hour: int | UnsetType = UNSET
    """Hour of the day, with ``by=weekday,hour``."""
    site: str | UnsetType = UNSET
    device: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    visits: float | None
    counts: dict[str, float | None] | UnsetType = UNSET
    share: float | UnsetType | None = UNSET
    """Fraction of the recognised visits, as counted; this and the next three with ``corrected=1``."""
    corrected: float | UnsetType | None = UNSET
    low: float | UnsetType | None = UNSET
    high: float | UnsetType | None = UNSET
    windows: int
    coverage: float | None
    degraded: Fraction | None
    seconds: float
    doubtful_low: float | UnsetType = UNSET
    doubtful_high: float | UnsetType = UNSET


class LabelSetAnswer(Struct, frozen=True, kw_only=True):
    """Labels of some devices in the range, and the visits counted under them. Two sets have no common total."""

    label_set: str
    labels: tuple[str, ...]
    visits: float


class CountsAnswer(Struct, frozen=True, kw_only=True):
    """Visits in buckets, as counted by the devices; with ``corrected=1`` also corrected shares."""

    since: datetime
    until: datetime
    zone: str
    bucket: str
    """The first name of ``by``."""
    by: tuple[str, ...]
    labels: list[str]
    label_sets: list[LabelSetAnswer]
    rows: list[Row]
    total_rows: int
    next: str | None
    """Address of the following rows."""
    notices: list[str]
    """Files and rows of the store that were left out or may be missing, with the reason."""


class HealthAnswer(Struct, frozen=True, kw_only=True):
    """Whether the store can be read, and when a device was last heard."""

    status: Literal["ok", "no store"]
    devices: int
    online: int
    last_heard: datetime | None
    last_window: datetime | None
    notices: list[str]
    """Files and rows of the store that were left out of responses so far, with the reason."""
