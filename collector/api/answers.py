"""Parameters and responses of the HTTP API, as structs; their schemas are in the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from collector.devices.device import Device
from collector.devices.state import State
from contract.message import Fraction, Health, Model
from contract.topics import ID_PATTERN

Id = Annotated[str, Meta(pattern=ID_PATTERN.removesuffix(r"(?!\n)"))]
Moment = Annotated[datetime, Meta(tz=True)]
Zone = Annotated[str, Meta(description="a name of the IANA time zone database, such as Europe/Berlin", max_length=64)]
Bucket = Literal["hour", "day", "weekday", "site", "device"]
Format = Literal["json", "csv", "parquet"]


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a request. An unknown parameter is an error."""


class NoQuery(Query, frozen=True, kw_only=True):
    """No parameters."""


class DevicesQuery(Query, frozen=True, kw_only=True):
    """Which devices: all, or those of a site."""

    site: Id | None = None


class CountsQuery(Query, frozen=True, kw_only=True):
    """Which windows, how they are grouped, and the format of the response."""

    since: Annotated[
        Moment | None, Meta(description="start of the range, inclusive; default: a week before `until`")
    ] = None
    until: Annotated[Moment | None, Meta(description="end of the range, exclusive; default: now")] = None
    bucket: Bucket = "day"
    site: Id | None = None
    device: Id | None = None
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


class DeviceAnswer(Struct, frozen=True, kw_only=True):
    """State of a device by its last messages; null where it sent none."""

    site: str
    device: str
    state: State
    boot: str | None
    seen: datetime | None
    counted: datetime | None
    model: Model | None
    health: Health | None
    refused: dict[str, int]
    """Messages of the device that were set aside, by reason."""

    @classmethod
    def of(cls, device: Device, state: State) -> "DeviceAnswer":
        """Return the response for a device and the state to show."""
        fields = (name for name in cls.__struct_fields__ if name != "state")
        return cls(state=state, **{name: getattr(device, name) for name in fields})


class DevicesAnswer(Struct, frozen=True, kw_only=True):
    """All devices, by site and name."""

    devices: list[DeviceAnswer]


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bucket and its figures.

    ``visits`` is null where no window arrived, which is not zero. ``doubtful_low`` visits may be part of
    another visit or nobody's, ``doubtful_high`` may be two people's; both are absent where no visit is doubtful.
    """

    start: datetime | UnsetType = UNSET
    weekday: str | UnsetType = UNSET
    site: str | UnsetType = UNSET
    device: str | UnsetType = UNSET
    visits: float | None
    counts: dict[str, float | None]
    windows: int
    coverage: float | None
    degraded: Fraction | None
    seconds: float
    doubtful_low: float | UnsetType = UNSET
    doubtful_high: float | UnsetType = UNSET


class CountsAnswer(Struct, frozen=True, kw_only=True):
    """Visits in buckets, as counted by the devices, without correction."""

    since: datetime
    until: datetime
    zone: str
    bucket: Bucket
    labels: list[str]
    rows: list[Row]
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
