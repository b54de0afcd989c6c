"""Settings of the camera section, one struct for each source. `edge.settings` has the other sections."""

from typing import Annotated, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from base.toml_settings import Seconds, Table, Text

Pixels = Annotated[int, Meta(ge=16, le=16_384)]
FourCc = Annotated[
    str,
    Meta(pattern=r"^[A-Z0-9]{2,4}$(?!\n)", description="the code of a V4L2 pixel format, such as MJPG, YUYV or GREY"),
]


class Live(Table, frozen=True, kw_only=True):
    """Keys that all cameras have: the frame rate, and how long to wait for a frame."""

    fps: Annotated[int, Meta(ge=1, le=1000)] = 15
    """Frame rate, frames a second: requested from a camera of this device, the maximum used of a network camera."""
    open_limit_s: Seconds = 15.0
    """A camera that takes longer to open is lost, seconds."""
    read_limit_s: Seconds = 5.0
    """A camera that gives no frame for longer is lost, seconds."""


class Local(Live, frozen=True, kw_only=True):
    """Keys that all cameras of this device have: the size requested from the camera."""

    width: Pixels = 640
    height: Pixels = 480


class Picamera2(Local, frozen=True, tag_field="source", tag="picamera2", kw_only=True):
    """A Raspberry Pi camera, through picamera2 (Debian package python3-picamera2)."""

    camera: Annotated[int, Meta(ge=0, le=255)] = 0

    @property
    def name(self) -> str:
        """Name of the camera in the log."""
        return f"picamera2 {self.camera}"


class V4l2(Local, frozen=True, tag_field="source", tag="v4l2", kw_only=True):
    """A USB camera by number or path, through OpenCV."""

    device: Annotated[int, Meta(ge=0, le=255)] | Text = 0
    format: FourCc | None = None
    """Pixel format requested from the camera, such as MJPG, YUYV or GREY; chosen by the driver unless set."""

    @property
    def path(self) -> str:
        """Path of the device."""
        return self.device if isinstance(self.device, str) else f"/dev/video{self.device}"

    @property
    def name(self) -> str:
        """Name of the camera in the log."""
        return f"v4l2 {self.device}"


class Gstreamer(Local, frozen=True, tag_field="source", tag="gstreamer", kw_only=True):
    """A GStreamer pipeline that ends in an appsink.

    It needs an OpenCV built with GStreamer (JetPack's or Debian's). The pipeline sets size and rate: ``width``,
    ``height`` and ``fps`` have no effect.
    """

    pipeline: Annotated[
        str,
        Meta(min_length=1, max_length=65_536, pattern=r"^[^\x00]+$", description="a text without a NUL character"),
    ]

    @property
    def name(self) -> str:
        """Name of the camera in the log, without the pipeline, which may hold a camera's password."""
        return "gstreamer"


class Network(Live, frozen=True, kw_only=True):
    """Keys that all network cameras have: the address of a stream, and who may read it."""

    schemes: ClassVar[dict[str, int]] = {}
    """Schemes that the URL may have, each with its usual port."""

    url: Text
    """Address of the stream, without user name and password."""
    username: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    password_file: Text | None = None
    """File whose first line is the password of ``username``."""
    ca: Text | None = None
    """PEM file with the camera's certificate or that of its authority. An encrypted camera is verified only with it."""
    stream: Annotated[int, Meta(ge=0, le=15)] = 0
    """Which of the video streams at this address, from 0."""

    @property
    def parts(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    @property
    def address(self) -> str:
        """Host and port."""
        parts = self.parts
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"{host}:{parts.port or self.schemes[parts.scheme]}"

    @property
    def name(self) -> str:
        """Name of the camera in the log: its address without the query, which may hold a secret."""
        return f"{self.parts.scheme}://{self.address}{self.parts.path}"

    def __post_init__(self) -> None:
        """Reject a URL of another kind or with a secret, and half a login. The error must not show the URL."""
        if "@" in self.url:
            raise ValueError("url must not hold a user name or password; set username and password_file")
        if not self._is_complete():
            allowed = " or ".join(f"{each}://HOST[:PORT]/PATH" for each in self.schemes)
            raise ValueError(f"url must be {allowed}, without spaces")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file must be set together")

    def _is_complete(self) -> bool:
        """Whether the URL has an allowed scheme and a host, a valid port if it has one, and no white space."""
        try:
            parts = self.parts
            has_port = parts.port != 0
        except ValueError:  # such as a port that is no number
            return False
        is_text = self.url.isprintable() and " " not in self.url
        return parts.scheme in self.schemes and bool(parts.hostname) and has_port and is_text


class Rtsp(Network, frozen=True, tag_field="source", tag="rtsp", kw_only=True):
    """A network camera that speaks RTSP, through PyAV."""

    schemes = {"rtsp": 554, "rtsps": 322}  # noqa: RUF012

    transport: Literal["tcp", "udp"] = "tcp"
    """How frames travel: ``udp`` may lose some, ``tcp`` delays them instead."""


class Http(Network, frozen=True, tag_field="source", tag="http", kw_only=True):
    """A network camera that sends MJPEG, HLS or another format that FFmpeg knows over HTTP, through PyAV."""

    schemes = {"http": 80, "https": 443}  # noqa: RUF012


class File(Table, frozen=True, tag_field="source", tag="file", kw_only=True):
    """A video, an animated GIF or a folder of images, replayed with its own time stamps."""

    path: Text
    fps: Annotated[float, Meta(ge=0.001, le=1000)] = 10.0
    """Frame rate of a folder of images, frames a second; other files carry their own."""

    @property
    def name(self) -> str:
        """Name of the source in the log."""
        return f"file {self.path}"


Capture = Picamera2 | V4l2 | Gstreamer | Rtsp | Http | File


def camera_keys(camera: str) -> dict[str, str | int]:
    """The keys of the camera section for a camera of the command line: the number or path of a USB camera, or a URL."""
    scheme, separator, _ = camera.partition("://")
    if separator:
        return {"source": "http" if scheme.lower() in Http.schemes else "rtsp", "url": camera}
    return {"source": "v4l2", "device": int(camera) if camera.isdigit() else camera}
