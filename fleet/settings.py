"""The fleet's settings, ``fleet.toml`` in its folder: addresses, lifetimes of signatures, bounds of rollouts."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from base.broker_settings import BrokerOptions
from base.toml_settings import Table, Text, read_toml
from contract.fields import Fraction

Days = Annotated[int, Meta(ge=1, le=36_500)]
Ratio = Annotated[float, Meta(gt=0, le=100)]
Seconds = Annotated[float, Meta(ge=1, le=31_622_400)]
SAMPLE = """\
# A fleet of facetally devices. `facetally-fleet init` has written this file; docs/operator.md explains it.

[repository]
url = "{url}"     # where devices reach the release repository

[broker]
host = "{broker}"
port = 8883
tls = {{ ca = "certificates/ca.pem", certificate = "certificates/operator.pem", key = "secrets/operator.key" }}

# With the collector's API a rollout compares visits with the same hours of the week before.
# [collector]
# url = "https://collector.example"
# token_file = "secrets/collector.token"
"""


class RepositorySettings(Table, frozen=True, kw_only=True):
    """The release repository: its address, and how long the signatures of each role are valid, days."""

    url: Annotated[str, Meta(pattern=r"^https://[^\s/?#]+[^\s?#]*$(?!\n)", description="an address https://...")]
    root_days: Days = 730
    targets_days: Days = 730
    devices_days: Days = 90
    snapshot_days: Days = 30
    timestamp_days: Days = 7
    """A device that is shown an older list of releases for longer than this refuses it (freeze attack)."""


class CertificateSettings(Table, frozen=True, kw_only=True):
    """Lifetimes of certificates, days."""

    authority_days: Days = 7300
    server_days: Days = 825
    device_days: Days = 1825
    renew_before_days: Days = 60
    """``renew`` renews certificates that end within this, and ``status`` shows them."""


class CollectorSettings(Table, frozen=True, kw_only=True):
    """The collector's HTTP API, for the visits of earlier weeks."""

    url: Annotated[str, Meta(pattern=r"^https?://[^\s/?#]+[^\s?#]*$(?!\n)", description="an address http(s)://...")]
    token_file: Text | None = None
    ca: Text | None = None
    """Certificate of the authority of the API's server; the system's authorities unless set."""


class Bounds(Table, frozen=True, kw_only=True):
    """Bounds within which a device counts as healthy on a new release. Beyond one of them it is bad."""

    silent_s: Seconds = 300.0
    """Longest time without a health message, seconds. Devices send one a minute."""
    restarts: Annotated[int, Meta(ge=0, le=1000)] = 1
    """Starts of the daemon after the one that took the release."""
    min_speed_ratio: Ratio = 0.8
    """Frames a second, as a ratio of those before."""
    max_latency_ratio: Ratio = 1.5
    """Median time of all stages for a frame, as a ratio of that before."""
    max_memory_ratio: Ratio = 1.5
    """Memory, as a ratio of that before."""
    max_coverage_drop: Fraction = 0.1
    """Fall of the mean coverage of its windows."""
    max_unknown_rise: Fraction = 0.15
    """Rise of the share of visits that are ``unknown``; a smaller one within the error of counting is no reason."""
    min_visits_ratio: Ratio = 0.5
    max_visits_ratio: Ratio = 2.0
    """Visits an hour, as a ratio of those in the same hours before, beyond the error of counting."""
    compare_visits: bool = True
    """Whether the last three bounds count. A rollout of zones, hours or models that change visits sets it aside."""
    significance: Annotated[float, Meta(gt=0, le=0.1)] = 0.001
    """Probability with which counting error alone may look like a change of visits or of ``unknown``."""
    max_bad_ratio: Fraction = 0.05
    """More bad devices in a stage than this ratio of them, rounded down, take the whole release back."""
    min_taken_ratio: Fraction = 0.9
    """Ratio of the stage's devices that must have taken the release in time; else the rollout stops for a person."""


class RolloutSettings(Table, frozen=True, kw_only=True):
    """How a rollout proceeds unless the command says otherwise."""

    stages: Text = "1,5%,25%,100%"
    bake: Text = "60m"
    """How long a stage is observed after its devices have taken the release."""
    take_limit: Text = "60m"
    """How long a stage may need to take the release."""
    bounds: Bounds = Bounds()


class PromotionSettings(Table, frozen=True, kw_only=True):
    """When a classifier in shadow may be promoted, which a person does by a release."""

    min_visits: Annotated[int, Meta(ge=1)] = 500
    """Compared visits of all devices."""
    min_agreement: Fraction = 0.8
    """Lower end of the 95 % interval of the share of visits with the same label."""
    max_share_change: Fraction = 0.05
    """Largest change of a label's share of the compared visits."""


class Settings(Table, frozen=True, kw_only=True):
    """The whole file."""

    repository: RepositorySettings
    broker: BrokerOptions
    collector: CollectorSettings | None = None
    certificates: CertificateSettings = CertificateSettings()
    rollout: RolloutSettings = RolloutSettings()
    promotion: PromotionSettings = PromotionSettings()


def read_settings(folder: Path, name: str = "fleet.toml") -> Settings:
    """Read the settings of a fleet; paths in it are relative to the folder. Raise SettingsError if it is wrong."""
    settings = read_toml(folder / name, Settings)
    broker, collector = settings.broker, settings.collector
    if broker.tls is not None:
        tls = broker.tls
        files = {name: str(folder / path) for name in ("ca", "certificate", "key") if (path := getattr(tls, name))}
        broker = replace(broker, tls=replace(tls, **files))
    if collector is not None:
        files = {name: str(folder / path) for name in ("token_file", "ca") if (path := getattr(collector, name))}
        collector = replace(collector, **files)
    return replace(settings, broker=broker, collector=collector)
