"""The daemon's configuration: one TOML file -> one tree of frozen structs. Unknown keys are errors."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from base.toml_settings import check_encrypted, read_toml
from contract.message import Fraction
from contract.topics import ID_PATTERN

Id = Annotated[str, Meta(pattern=ID_PATTERN)]
NAME = r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?"
ADDRESS = r"[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?"
"""A host's name, or IPv4 address; its IPv6 address. What is neither would end MQTT's thread, and nothing be sent."""
Host = Annotated[str, Meta(pattern=f"^({NAME}|{ADDRESS})$(?!\\n)")]
Text = Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
"""Text that goes to the system, such as a path: no NUL."""
Threads = Annotated[int, Meta(ge=1, le=16)]
Pixels = Annotated[int, Meta(ge=16, le=16_384)]
Seconds = Annotated[float, Meta(gt=0, le=31_622_400)]
"""At most a leap year, which also refuses ``inf`` and ``nan``."""
Point = tuple[Fraction, Fraction]
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

    width: Pixels = 640
    height: Pixels = 480
    fps: Annotated[int, Meta(ge=1, le=1000)] = 15
    open_limit_s: Seconds = 15.0
    read_limit_s: Seconds = 5.0


class Picamera2(Live, frozen=True, tag_field="source", tag="picamera2", kw_only=True):
    """A Raspberry Pi camera by picamera2 (Debian package python3-picamera2)."""

    camera: Annotated[int, Meta(ge=0, le=255)] = 0

    @property
    def name(self) -> str:
        """What a log calls it."""
        return f"picamera2 {self.camera}"


class V4l2(Live, frozen=True, tag_field="source", tag="v4l2", kw_only=True):
    """A USB camera by number or path, through OpenCV."""

    device: Annotated[int, Meta(ge=0, le=255)] | Text = 0

    @property
    def name(self) -> str:
        """What a log calls it."""
        return f"v4l2 {self.device}"


class Gstreamer(Live, frozen=True, tag_field="source", tag="gstreamer", kw_only=True):
    """A GStreamer pipeline that ends in an appsink; needs an OpenCV built with GStreamer (JetPack's or Debian's). The
    pipeline itself says size and rate: ``width``, ``height`` and ``fps`` mean nothing.
    """

    pipeline: Annotated[str, Meta(min_length=1, max_length=65_536, pattern=r"^[^\x00]+$")]

    @property
    def name(self) -> str:
        """What a log calls it: no word of the pipeline, which may hold a camera's password."""
        return "gstreamer"


class File(Strict, frozen=True, tag_field="source", tag="file", kw_only=True):
    """A video, an animated GIF or a folder of pictures, replayed with its own time stamps."""

    path: Text
    fps: Annotated[float, Meta(ge=0.001, le=1000)] = 10.0
    """Frames a second of a folder of pictures; other files carry their own."""

    @property
    def name(self) -> str:
        """What a log calls it."""
        return f"file {self.path}"


Capture = Picamera2 | V4l2 | Gstreamer | File


class DetectSettings(Strict, frozen=True, kw_only=True):
    """Which face detector, at which score, and on which frames."""

    bundle: Text = "auto"
    """``auto`` (`edge.vision.choose_detector`), the name of a shipped bundle, or the path of a card."""
    max_core_fraction: Annotated[float, Meta(gt=0, le=64)] = 0.5
    """``auto`` takes the largest detector that needs at most this fraction of one core."""
    threshold: Fraction | None = None
    """Lowest score of a face; the card's unless set."""
    max_fps: Annotated[float, Meta(gt=0, le=1000)] = 10.0
    """Detections a second at most, however many frames the camera gives."""
    follow_motion: bool = True
    """Whether the detector runs less often while nothing moves (`edge.vision.motion_gate`)."""
    every: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1
    """Only every n-th frame is looked at, moving or not."""
    threads: Threads = 1


class TrackSettings(Strict, frozen=True, kw_only=True):
    """What a visit is."""

    high_score: Fraction | None = None
    """A detection starts a track at this score or more. The detector's threshold (``detect.threshold`` or the card's)
    unless set."""
    low_score: Fraction | None = None
    """A detection continues a track at this score or more. ``LOW_RATIO`` of the high score unless set."""
    min_high_ratio: Fraction = 0.4
    """Minimum ratio of a visit's detections that have a high score."""
    min_observations: Annotated[int, Meta(ge=1, le=10_000)] = 3
    """Minimum number of detections with a high score, at 10 frames a second; scaled with the frame rate."""
    min_visit_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.4
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

    timezone: Text
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
    """Which expression classifier (`edge.vision.bundle.card_path`)."""

    bundle: Text | None = None
    threads: Threads = 1


class TallySettings(Strict, frozen=True, kw_only=True):
    """How long a window is, seconds."""

    window_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0


class PrivacySettings(Strict, frozen=True, kw_only=True):
    """No message holds fewer visits than ``k``, unless it holds none."""

    k: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    release_s: Annotated[float, Meta(ge=1, le=86_400)] = 900.0
    """Windows with fewer than ``k`` visits, none among them, leave joined, when a quarter of an hour ends: one that is
    missing then tells of a few visits to the quarter of an hour, and not to the minute. Nothing is joined if k is 1."""


class Tls(Strict, frozen=True, kw_only=True):
    """Files for an encrypted connection: the authority's certificate, and the device's own with its key."""

    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None


class BrokerSettings(Strict, frozen=True, kw_only=True):
    """The broker, and who confirms a window before it leaves the spool. The password is read from a file, so that the
    configuration can be shown. Beyond this machine nothing is sent unencrypted, unless ``plain_text`` allows it.
    """

    host: Host = "localhost"
    port: Annotated[int, Meta(gt=0, lt=65536)] = 1883
    username: Text | None = None
    password_file: Text | None = None
    tls: Tls | None = None
    plain_text: bool = False
    keepalive_s: Annotated[int, Meta(gt=0, lt=65536)] = 60
    drain_per_s: Annotated[float, Meta(ge=0.01, le=100_000)] = 50.0
    """How many windows that waited for the broker are sent a second when it is back; new ones do not wait for them."""
    confirm: Literal["collector", "broker"] = "collector"
    """``broker`` where no facetally-collector listens: a window leaves the spool when the broker has taken it."""

    def __post_init__(self) -> None:
        """Refuse to send in the clear what was not said may go so."""
        check_encrypted(self.host, self.tls is not None, self.plain_text)


class SpoolSettings(Strict, frozen=True, kw_only=True):
    """Where finished windows wait, for how many days and in how many megabytes (10^6 bytes) at most."""

    path: Text = "facetally-spool.sqlite"
    max_days: Annotated[float, Meta(gt=0, le=3660)] = 60.0
    max_mb: Annotated[float, Meta(ge=1, le=1_000_000)] = 64.0
    unsynced_hold_h: Annotated[float, Meta(ge=0, le=8784)] = 6.0
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
    publish: BrokerSettings = BrokerSettings()
    spool: SpoolSettings = SpoolSettings()

    @property
    def max_windows(self) -> int:
        """How many windows may wait: as many as end in ``spool.max_days``."""
        return max(1, round(self.spool.max_days * 86_400 / self.tally.window_s))

    @property
    def grid_s(self) -> float:
        """A replay begins at a multiple of so many seconds, so that it falls into the same messages each time."""
        return self.tally.window_s if self.privacy.k == 1 else max(self.tally.window_s, self.privacy.release_s)

    def __post_init__(self) -> None:
        """Refuse values that do not go together."""
        if self.admit.dwell_limit_s >= self.track.max_visit_s:
            raise ValueError("admit.dwell_limit_s must be less than track.max_visit_s")


def read(path: Path, overrides: tuple[str, ...] = ()) -> Settings:
    """A configuration file and ``key=value`` overrides -> settings; SettingsError that names file, key and values."""
    return read_toml(path, Settings, overrides)
