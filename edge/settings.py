"""The daemon's configuration: one TOML file, read into frozen structs. Unknown keys are errors."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import replace

from base.broker_settings import BrokerOptions
from base.toml_settings import Seconds, Table, Text, read_toml
from contract.fields import Fraction, Id
from edge.camera_settings import Capture

Threads = Annotated[int, Meta(ge=1, le=16)]
Point = tuple[Fraction, Fraction]
"""x and y as fractions of the frame's width and height."""
Polygon = Annotated[tuple[Point, ...], Meta(min_length=3)]
AUTO, NONE = "auto", "none"
"""Values of ``detect.bundle`` and ``detect.check``: the daemon chooses; no face check."""
HIGH_SCORE = 0.75
"""High score of a tracker whose detector is not known."""
LOW_RATIO = 0.5
"""Low score of the tracker, as a ratio of its high score."""
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
RENAMED = {"publish": "broker", "track.min_sightings": "track.min_observations"}
"""Former keys and their present names."""


class DetectSettings(Table, frozen=True, kw_only=True):
    """Which face detector runs, and how often."""

    bundle: Text = AUTO
    """``auto`` (`edge.vision.choose_detector`), the name of a shipped bundle, or the path of a card."""
    max_core_fraction: Annotated[float, Meta(gt=0, le=64)] = 0.5
    """``auto`` chooses the largest detector that needs at most this fraction of one core."""
    threshold: Fraction | None = None
    """Minimum score of a detection; the card's unless set."""
    check: Text = AUTO
    """``auto`` (the shipped face check, for the shipped detectors), ``none``, the name of a shipped face check, or the
    path of its card."""
    max_fps: Annotated[float, Meta(gt=0, le=1000)] = 10.0
    """Maximum number of detections a second, whatever the camera's frame rate."""
    follow_motion: bool = True
    """Run the detector less often while nothing moves (`edge.vision.motion_gate`), and where people are small and few,
    on the part of the frame that moves (`edge.vision.region`)."""
    every: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1
    """Use only every n-th frame, whether something moves or not."""
    threads: Threads = 1


class TrackSettings(Table, frozen=True, kw_only=True):
    """Which tracks are visits."""

    high_score: Fraction | None = None
    """A detection starts a track at this face score or more; at this score where the frame's border cuts the face off.
    The detector's threshold (``detect.threshold`` or the card's) unless set."""
    low_score: Fraction | None = None
    """A detection continues a track at this score or more. ``LOW_RATIO`` of the high score unless set."""
    min_high_ratio: Fraction = 0.4
    """Minimum ratio of a visit's detections to which the detector gave a high score, unless the person walks far in
    view."""
    min_observations: Annotated[int, Meta(ge=1, le=10_000)] = 3
    """Minimum number of detections with a high face score, at 10 frames a second; scaled with the frame rate."""
    min_visit_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.4
    """Minimum duration of a visit, seconds, to the nearest frame."""
    gap_s: Seconds = 1.5
    """A track lost for less than this, seconds, and found again nearby is the same visit."""
    max_visit_s: Seconds = 180.0
    """A visit that lasts this long, seconds, is counted then."""

    def for_detector(self, threshold: float) -> "TrackSettings":
        """Return these settings with the high score of a detector, 0 to 1, unless one is set."""
        return self if self.high_score is not None else replace(self, high_score=threshold)

    @property
    def high(self) -> float:
        """The high score, 0 to 1."""
        return HIGH_SCORE if self.high_score is None else self.high_score

    @property
    def low(self) -> float:
        """The low score, 0 to 1; never above the high one."""
        return min(LOW_RATIO * self.high if self.low_score is None else self.low_score, self.high)


class Hours(Table, frozen=True, kw_only=True):
    """Opening hours in the shop's time zone: ``open = "09:00"``, ``close = "20:00"``."""

    timezone: Text
    open: Annotated[
        str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)", description="a time HH:MM from 00:00 to 23:59")
    ]
    close: Annotated[
        str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$(?!\n)", description="a time HH:MM from 00:00 to 24:00")
    ]
    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class AdmitSettings(Table, frozen=True, kw_only=True):
    """Who is never analysed: people in staff zones, outside the opening hours, or who stay in one spot."""

    staff_zones: tuple[Polygon, ...]
    """No default: polygons, or ``[]`` to state that there are none."""
    hours: Hours | None = None
    dwell_limit_s: Seconds = 120.0
    """Whoever stays in one spot for longer, seconds, is not counted."""
    forget_s: Seconds = 43_200.0
    """A spot excluded by its dwell is free again when nobody was seen in it for this long, seconds."""


class ClassifySettings(Table, frozen=True, kw_only=True):
    """Which expression classifier runs."""

    bundle: Text | None = None
    """Name of a shipped bundle or path of a card (`edge.vision.bundle.card_path`); the shipped one unless set."""
    threads: Threads = 1


class ShadowSettings(Table, frozen=True, kw_only=True):
    """A second classifier that is only compared with the one that counts. None runs unless the section is there."""

    bundle: Text
    """Name of a shipped bundle or path of a card, as ``classify.bundle``. It must have the same labels."""
    fraction: Annotated[float, Meta(gt=0, le=0.5)] = 0.1
    """Fraction of the visits that are compared; at most half, so that nobody can tell which ones."""
    max_core_fraction: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """It takes at most this fraction of one core. Visits for which that is too little are not compared."""


class TallySettings(Table, frozen=True, kw_only=True):
    """How visits are summed up."""

    window_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    """Duration of a window, seconds."""


class PrivacySettings(Table, frozen=True, kw_only=True):
    """When counts may leave the device: no message holds fewer than ``k`` visits, unless it holds none."""

    k: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    release_s: Annotated[float, Meta(ge=1, le=86_400)] = 900.0
    """Windows with fewer than ``k`` visits, also empty ones, are joined and leave at multiples of this, seconds.

    A missing message then reveals a few visits to the quarter of an hour, not to the minute. With ``k`` = 1 nothing is
    joined."""


class BrokerSettings(BrokerOptions, frozen=True, kw_only=True):
    """The broker, and when a window that was sent to it may leave the spool."""

    drain_per_s: Annotated[float, Meta(ge=0.01, le=100_000)] = 50.0
    """Maximum rate at which windows that waited for the broker are sent, windows a second; new ones do not wait."""
    confirm: Literal["collector", "broker"] = "collector"
    """Who confirms a window before it leaves the spool: ``broker`` where no facetally-collector listens."""


class SpoolSettings(Table, frozen=True, kw_only=True):
    """Where finished windows wait for the broker, and the limits of that store."""

    path: Text = "facetally-spool.sqlite"
    max_days: Annotated[float, Meta(gt=0, le=3660)] = 60.0
    max_mb: Annotated[float, Meta(ge=1, le=1_000_000)] = 64.0
    """Maximum size of the file, 10^6 bytes."""
    unsynced_hold_h: Annotated[float, Meta(ge=0, le=8784)] = 6.0
    """Windows recorded before the clock was synchronised wait at most this long for it, hours, and are then sent as
    ``unsynced``. 0 for a device in a network without a time server."""


class Settings(Table, frozen=True, kw_only=True):
    """The whole file."""

    site: Id
    device: Id
    capture: Capture
    admit: AdmitSettings
    detect: DetectSettings = DetectSettings()
    track: TrackSettings = TrackSettings()
    classify: ClassifySettings = ClassifySettings()
    shadow: ShadowSettings | None = None
    tally: TallySettings = TallySettings()
    privacy: PrivacySettings = PrivacySettings()
    broker: BrokerSettings = BrokerSettings()
    spool: SpoolSettings = SpoolSettings()

    @property
    def max_windows(self) -> int:
        """Maximum number of windows in the spool: as many as end in ``spool.max_days``."""
        return max(1, round(self.spool.max_days * 86_400 / self.tally.window_s))

    @property
    def grid_s(self) -> float:
        """A replay begins at a multiple of this, seconds, so that it yields the same messages each time."""
        return self.tally.window_s if self.privacy.k == 1 else max(self.tally.window_s, self.privacy.release_s)

    def __post_init__(self) -> None:
        """Reject values that contradict each other."""
        if self.admit.dwell_limit_s >= self.track.max_visit_s:
            raise ValueError(
                f"admit.dwell_limit_s must be less than track.max_visit_s ({self.track.max_visit_s:g}),"
                f" is {self.admit.dwell_limit_s:g}"
            )


def sha256(path: Path) -> str:
    """SHA-256 of a configuration file that could be read, hexadecimal, as health reports it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path, overrides: tuple[str, ...] = ()) -> Settings:
    """Read a configuration file, with ``key=value`` overrides on top. Raise SettingsError as `read_toml`."""
    return read_toml(path, Settings, overrides, RENAMED)
