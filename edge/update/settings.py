"""The updater's configuration, ``/etc/facetally/update.toml``: who the device is, and where its releases are."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from base.loopback import is_loopback
from base.tls import Tls
from base.toml_settings import Table, Text, read_toml
from contract.fields import Id

TRIAL_S = 330.0
"""Default length of a trial, seconds: a release that crashes five minutes after its start is seen to do so."""
LOOK_S = 300.0
"""Default of ``look_s``."""


class UpdateSettings(Table, frozen=True, kw_only=True):
    """The whole file."""

    site: Id
    device: Id
    repository: Text
    """URL with ``https://``, or the absolute path of a mirror, such as a USB stick. It holds ``metadata`` and
    ``targets``."""
    tls: Tls | None = None
    """Authority of the server, and the device's certificate and key."""
    root: Text = "/etc/facetally/root.json"
    """Trusted root metadata, installed with the device."""
    trial_s: Annotated[float, Meta(ge=1, le=86_400)] = TRIAL_S
    """How long a release must prove healthy before it is kept, seconds."""
    look_s: Annotated[float, Meta(ge=1, le=86_400)] = LOOK_S
    """Longest time of a look for a release, which reads all metadata and this device's manifest, seconds."""
    require_synchronised_clock: bool = True
    """Whether to wait for a synchronised clock; false in a network without a time server."""
    program: Text = "/opt/facetally"
    """Folder with the slots and the link ``current``."""
    state: Text = "/var/lib/facetally-update"
    """Folder of the updater's own state and downloads."""
    runtime: Text = "/run"
    """Folder in which systemd creates the runtime directories of the daemons."""

    def __post_init__(self) -> None:
        """Reject a repository that is neither encrypted nor on this machine."""
        url = urlsplit(self.repository)
        local = url.scheme == "http" and is_loopback(url.hostname or "")
        if url.scheme != "https" and not local and not Path(self.repository).is_absolute():
            raise ValueError(f"repository must start with https:// or be an absolute path, is {self.repository!r}")

    @property
    def base_url(self) -> str:
        """URL of the repository, without a slash at the end; ``file://`` for a mirror."""
        text = self.repository.rstrip("/")
        return f"file://{text}" if Path(self.repository).is_absolute() else text


def read(path: Path, overrides: tuple[str, ...] = ()) -> UpdateSettings:
    """Read a configuration file, with ``key=value`` overrides on top. Raise SettingsError as `read_toml`."""
    return read_toml(path, UpdateSettings, overrides)
