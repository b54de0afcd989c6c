"""The daemon's configuration: one TOML file -> one tree of frozen structs. Unknown keys are errors."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from contract.message import Share
from contract.settings import check_encrypted, read_toml
from contract.topics import ID_PATTERN

Id = Annotated[str, Meta(pattern=ID_PATTERN)]
NAME = r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?"
ADDRESS = r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?"
"""A host's name, or IPv4 address; its IPv6 address. What is neither would end MQTT's thread, and nothing be sent."""
Host = Annotated[str, Meta(pattern=f"^({NAME}|{ADDRESS})$(?!\\n)")]
Positive = Annotated[int, Meta(gt=0)]
Seconds = Annotated[float, Meta(gt=0)]
Point = tuple[Share, Share]
Polygon = Annotated[tuple[Point, ...], Meta(min_length=3)]
HIGH_SCORE = 0.75
"""High score of a tracker whose detector is not known."""
LOW_RATIO = 0.6
"""Low score of the tracker, as a ratio of its high score."""
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: read-only, and an unknown key is an error."""


class Live(Strict, frozen=True, kw_only=True):
    """What every camera has: the picture asked for (pixels, frames a second) and how long to wait for one."""

    width: Positive = 640
    height: Positive = 480
    fps: Positive = 15
    open_limit_s: Seconds = 15.0
    read_limit_s: Seconds = 5.0


class Picamera2(Live, frozen=True, tag_field="source", tag="picamera2", kw_only=True):
    """A Raspberry Pi camera by picamera2 (Debian package python3-picamera2)."""

    camera: Annotated[int, Meta(ge=0)] = 0


class V4l2(Live, frozen=True, tag_field="source", tag="v4l2", kw_only=True):
    """A USB camera by number or path, through OpenCV."""

    device: int | str = 0


class Gstreamer(Live, frozen=True, tag_field="source", tag="gstreamer", kw_only=True):
    """A GStreamer pipeline that ends in an appsink; needs an OpenCV built with GStreamer (JetPack's or Debian's). The
    pipeline itself says size and rate: ``width``, ``height`` and ``fps`` mean nothing.
    """

    pipeline: str


class File(Strict, frozen=True, tag_field="source", tag="file", kw_only=True):
    """A video, an animated GIF or a folder of pictures, replayed with its own time stamps."""

    path: str
    fps: Seconds = 10.0
    """Frames a second of a folder of pictures; other files carry their own."""


Capture = Picamera2 | V4l2 | Gstreamer | File


class DetectSettings(Strict, frozen=True, kw_only=True):
    """Which face detector (`edge.bundle.card_path`), at which score (the card's unless set), on every n-th frame."""

    bundle: str | None = None
    threshold: Share | None = None
    every: Positive = 1
    threads: Positive = 1


class TrackSettings(Strict, frozen=True, kw_only=True):
    """What a visit is."""

    high_score: Share | None = None
    """A detection starts a track at this score or more. The detector's threshold (``detect.threshold`` or the card's)
    unless set."""
    low_score: Share | None = None
    """A detection continues a track at this score or more. ``LOW_RATIO`` of the high score unless set."""
    min_high_ratio: Share = 0.4
    """Minimum ratio of a visit's detections that have a high score."""
    min_sightings: Positive = 3
    """Minimum number of detections with a high score, at 10 frames a second; scaled with the frame rate."""
    min_visit_s: Annotated[float, Meta(ge=0)] = 0.4
    """Minimum duration of a visit, seconds, to the nearest frame."""
    gap_s: Seconds = 1.5
    """A track lost for less than this, seconds, and found again nearby is the same visit."""
    max_visit_s: Seconds = 180.0
    """A visit that lasts so long, seconds, is counted then."""

    def for_detector(self, threshold: float) -> "TrackSettings":
        """These settings with the high score of a detector, 0 to 1, unless one is set."""
        return self if self.high_score is not None else replace(self, high_score=threshold)

    @property
    def high(self) -> float:
        """The high score, 0 to 1."""
        return HIGH_SCORE if self.high_score is None else self.high_score

    @property
    def low(self) -> float:
        """The low score, 0 to 1; never above the high one."""
        return min(LOW_RATIO * self.high if self.low_score is None else self.low_score, self.high)


class Hours(Strict, frozen=True, kw_only=True):
    """When the shop is open, in its own time zone: ``open = "09:00"``, ``close = "20:00"``."""

    timezone: str
    open: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)")]
    close: Annotated[str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$(?!\n)")]
    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class AdmitSettings(Strict, frozen=True, kw_only=True):
    """Who is never analysed. ``staff_zones`` has no default: polygons of x, y as shares of the frame's width and
    height, or ``[]`` to say on purpose that there are none.
    """

    staff_zones: tuple[Polygon, ...]
    hours: Hours | None = None
    dwell_limit_s: Seconds = 120.0
    forget_s: Seconds = 43_200.0
    """A place that was barred is free again when nobody was seen in it for this long."""


class ClassifySettings(Strict, frozen=True, kw_only=True):
    """Which expression classifier (`edge.bundle.card_path`)."""

    bundle: str | None = None
    threads: Positive = 1


class TallySettings(Strict, frozen=True, kw_only=True):
    """How long a window is."""

    window_s: Seconds = 60.0


class PrivacySettings(Strict, frozen=True, kw_only=True):
    """No message holds fewer visits than ``k``, unless it holds none."""

    k: Positive = 5


class Tls(Strict, frozen=True, kw_only=True):
    """Files for an encrypted connection: the authority's certificate, and the device's own with its key."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class PublishSettings(Strict, frozen=True, kw_only=True):
    """The broker. The password is read from a file, so that the configuration can be shown. Beyond this machine nothing
    is sent unencrypted, unless ``plain_text`` allows it.
    """

    host: Host = "localhost"
    port: Annotated[int, Meta(gt=0, lt=65536)] = 1883
    username: str | None = None
    password_file: str | None = None
    tls: Tls | None = None
    plain_text: bool = False
    keepalive_s: Annotated[int, Meta(gt=0, lt=65536)] = 60
    drain_per_s: Annotated[float, Meta(gt=0)] = 50.0
    """How many windows that waited for the broker are sent a second when it is back; new ones do not wait for them."""

    def __post_init__(self) -> None:
        """Refuse to send in the clear what was not said may go so."""
        check_encrypted(self.host, self.tls is not None, self.plain_text)


class SpoolSettings(Strict, frozen=True, kw_only=True):
    """Where finished windows wait, for how many days and in how many megabytes (10^6 bytes) at most."""

    path: str = "facetally-spool.sqlite"
    max_days: Annotated[float, Meta(gt=0)] = 60.0
    max_mb: Annotated[float, Meta(ge=1)] = 64.0
    unsynced_hold_h: Annotated[float, Meta(ge=0)] = 6.0
    """Windows from before the clock was synchronised wait so many hours for it; then they go out as ``unsynced``. 0 on
    a device whose network has no time server."""


class Settings(Strict, frozen=True, kw_only=True):
    """The whole file."""

    site: Id
    device: Id
    capture: Capture
    admit: AdmitSettings
    detect: DetectSettings = DetectSettings()
    track: TrackSettings = TrackSettings()
    classify: ClassifySettings = ClassifySettings()
    tally: TallySettings = TallySettings()
    privacy: PrivacySettings = PrivacySettings()
    publish: PublishSettings = PublishSettings()
    spool: SpoolSettings = SpoolSettings()

    @property
    def max_windows(self) -> int:
        """How many windows may wait: as many as end in ``spool.max_days``."""
        return max(1, round(self.spool.max_days * 86_400 / self.tally.window_s))

    def __post_init__(self) -> None:
        """Refuse values that do not go together."""
        if self.admit.dwell_limit_s >= self.track.max_visit_s:
            raise ValueError("admit.dwell_limit_s must be less than track.max_visit_s")


def read(path: Path, overrides: tuple[str, ...] = ()) -> Settings:
    """A configuration file and ``key=value`` overrides -> settings; SettingsError that names file, key and values."""
    return read_toml(path, Settings, overrides)
