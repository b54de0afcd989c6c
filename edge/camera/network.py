"""Network cameras, over RTSP and HTTP, through FFmpeg's libraries (PyAV).

The camera is not trusted: it may send anything, at any speed, or nothing. Protocols, codecs and frame sizes are
limited, each wait has an end, and each failure becomes a `CameraLost` that says what was wrong, without a secret.
"""

import contextlib
import importlib
import logging
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np

from base.errors import SettingsError
from base.logs import line
from base.secret_file import read_secret
from edge.camera.stream_clock import StreamClock
from edge.camera_settings import Http, Network, Rtsp
from edge.errors import CameraLost
from edge.values import Frame

T = TypeVar("T")
log = logging.getLogger("edge.camera.network")
CODECS = "h264,hevc,mjpeg,mpeg4"
"""Codecs that cameras use; FFmpeg's other decoders are not reachable for a hostile camera."""
PROTOCOLS = {"rtsp": "rtsp,rtp,tcp,udp,rtsps,tls", "http": "http,https,tcp,tls,hls,crypto"}
"""Protocols that a camera may redirect to: no files, and no HTTP from RTSP."""
MIN_SIDE, MAX_PIXELS = 16, 4096 * 2304
"""Smallest side of a frame, and largest number of pixels, 4K. A decoder of 8K takes more memory than a device has."""
LIMIT_FRACTION = 0.8
"""Fraction of a time limit of the settings after which the driver itself gives up. `Camera` would count as hanging a
driver that does not return within the limit."""
LOGIN_RETRY_S = 300.0
"""Wait after the camera refused the login, seconds. Many cameras lock an account after a few wrong passwords."""
MAX_LOGIN = 120
"""FFmpeg cuts off a longer login, percent-encoded user name and password, bytes."""
LATE_S = 2.0
"""A stream is reported as late if its frames are decoded more than this long after the fastest one, seconds."""
LOSS = "RTP: missed"
"""FFmpeg's sign that packets were lost on the way. Without it many damaged frames decode without an error."""
TCP_REORDER_PACKETS = "2"
"""FFmpeg reports a loss only if it may reorder packets, at least two. For TCP its default is none, but a camera drops
packets that a slow device does not take in time."""
EARLY = 0.1
"""A frame may come this fraction of the frame interval too early, because time stamps are rounded."""


def load_pyav() -> Any:
    """Import PyAV; raises `SettingsError` if it is not installed, because that needs a person."""
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        raise SettingsError(f"network cameras need PyAV (pip install av): {error}") from error
    av.logging.set_level(av.logging.WARNING)  # captured for each connection; nothing is printed
    av.logging.set_skip_repeated(False)
    logging.getLogger("libav").setLevel(logging.CRITICAL + 1)
    return av


def read_password(settings: Network) -> str:
    """Read the camera's password, empty without one; raises `SettingsError` if it cannot be read or is too long."""
    if settings.username is None or settings.password_file is None:
        return ""
    password = read_secret(settings.password_file, "capture.password_file")
    if len(_login(settings.username, password)) > MAX_LOGIN:
        raise SettingsError(
            f"key 'capture.password_file': {settings.password_file}: user name and password must have at most"
            f" {MAX_LOGIN} bytes together, percent-encoded"
        )
    return password


@contextmanager
def network(settings: Rtsp | Http, password: str, av: Any) -> Iterator[Callable[[], Frame]]:
    """Connect to a network camera; yields a function that reads the next frame. ``av`` is PyAV."""
    begin = time.monotonic()
    with contextlib.closing(_connect(settings, password, av)) as container:
        stream = _video_stream(settings, container)
        deadline = begin + LIMIT_FRACTION * settings.open_limit_s
        with contextlib.closing(_StreamReader(settings, av, container, stream, deadline)) as reader:
            yield lambda: _translated(settings, av, reader.read)


def _connect(settings: Rtsp | Http, password: str, av: Any) -> Any:
    """Open the container of the stream."""
    try:
        socket.getaddrinfo(settings.parts.hostname, None)
    except OSError as error:
        raise CameraLost(f"{settings.name}: the host name is not known: {error.strerror}") from error
    url = settings.url
    if settings.username is not None:
        url = url.replace("://", f"://{_login(settings.username, password)}@", 1)
    options = _options(settings)
    limits = LIMIT_FRACTION * settings.open_limit_s / 2, LIMIT_FRACTION * settings.read_limit_s  # two steps of opening
    return _translated(settings, av, lambda: av.open(url, options=options, timeout=limits))


def _login(username: str, password: str) -> str:
    """User name and password as FFmpeg takes them in a URL, its only way."""
    return f"{quote(username, safe='')}:{quote(password, safe='')}"


def _options(settings: Rtsp | Http) -> dict[str, str]:
    """FFmpeg's options for a camera. Opening analyses half a second of a stream for its codec, and not its rate."""
    options = {"codec_whitelist": CODECS, "fpsprobesize": "0"}
    if settings.ca is not None:
        options |= {"ca_file": settings.ca, "tls_verify": "1"}
    if isinstance(settings, Http):
        return options | {"protocol_whitelist": PROTOCOLS["http"]}
    if settings.transport == "tcp":
        options["reorder_queue_size"] = TCP_REORDER_PACKETS
    return options | {
        "protocol_whitelist": PROTOCOLS["rtsp"],
        "rtsp_transport": settings.transport,
        "allowed_media_types": "video",
        "analyzeduration": "500000",
        "buffer_size": "1000000",
    }


def _video_stream(settings: Network, container: Any) -> Any:
    """The video stream that the settings choose; raises `CameraLost` if it cannot be decoded here."""
    streams = container.streams.video
    if not streams:
        raise CameraLost(f"{settings.name}: sends no video")
    if settings.stream >= len(streams):
        raise CameraLost(f"{settings.name}: has {len(streams)} video streams; capture.stream must be less")
    stream = streams[settings.stream]
    decoder = stream.codec_context
    name = "unknown" if decoder is None else decoder.name
    if name not in CODECS.split(","):
        raise CameraLost(f"{settings.name}: sends the codec {name}; must be one of {CODECS.replace(',', ', ')}")
    if decoder.width:
        _check_size(settings, decoder.width, decoder.height)
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}
    return stream


def _check_size(settings: Network, width: int, height: int) -> None:
    """Raise `CameraLost` for frames that are too small or too large."""
    if min(width, height) < MIN_SIDE or width * height > MAX_PIXELS:
        raise CameraLost(
            f"{settings.name}: sends {width} x {height} pixels; must have at least {MIN_SIDE} x {MIN_SIDE} and at most"
            f" {MAX_PIXELS} pixels (4K). Choose another stream of the camera"
        )


class _StreamReader:
    """Decodes the stream of one connection, and chooses the frames to use."""

    def __init__(self, settings: Rtsp | Http, av: Any, container: Any, stream: Any, deadline: float) -> None:
        """``deadline`` is that of the first frame, monotonic seconds."""
        self._settings, self._av, self._deadline = settings, av, deadline
        self._frames = self._decode(container, stream)
        self._codec = stream.codec_context.name
        self._clock, self._reformatter = StreamClock(), av.video.reformatter.VideoReformatter()
        self._has_stamps = container.format.name != "mpjpeg"  # FFmpeg invents stamps for it, at 25 frames a second
        self._is_paced = isinstance(settings, Http) and self._has_stamps
        self._due = float("-inf")
        self._size = (0, 0)
        self._begin: tuple[float, float] | None = None
        self._is_late = False

    def read(self) -> Frame:
        """The next frame to use, as grey pixels with its time; the others are decoded, but not converted."""
        interval = 1 / self._settings.fps
        while True:
            image = next(self._frames)
            stamp = image.time if self._has_stamps else None
            if self._is_paced and stamp is not None:
                self._wait(stamp)
            taken = self._clock.time(stamp, time.monotonic())
            self._report(image)
            if taken >= self._due - EARLY * interval:
                self._due = max(self._due + interval, taken)
                pixels = self._reformatter.reformat(image, format="gray").to_ndarray()
                self._deadline = time.monotonic() + LIMIT_FRACTION * self._settings.read_limit_s
                return Frame(np.asarray(pixels, np.uint8), taken)

    def close(self) -> None:
        """Free decoder and converter with their threads now; the garbage collector runs once a minute."""
        self._frames.close()
        del self._reformatter

    def _decode(self, container: Any, stream: Any) -> Generator[Any, None, None]:
        """Decode packets to undamaged images; raises `CameraLost` if there is none for too long.

        After damage the images up to the next key frame refer to what is missing, and are not used.
        """
        is_whole = True
        with self._av.logging.Capture() as messages:
            for packet in container.demux():  # PyAV would wait for this stream's packets without a limit
                if time.monotonic() > self._deadline:
                    raise CameraLost(f"{self._settings.name}: sends nothing that can be decoded as {self._codec}")
                if packet.stream.index != stream.index:
                    continue
                images = self._images(packet)
                is_lossless = images is not None and not any(LOSS in text for _, _, text in messages)
                messages.clear()
                is_whole = (is_whole or packet.is_keyframe) and is_lossless
                for image in images or ():
                    _check_size(self._settings, image.width, image.height)
                    is_whole = is_whole and not image.is_corrupt
                    if is_whole:
                        yield image
        raise CameraLost(f"{self._settings.name}: the camera has ended the stream")

    def _images(self, packet: Any) -> list[Any] | None:
        """The images of a packet; None if it is damaged."""
        try:
            return list(packet.decode())
        except self._av.error.FFmpegError:
            return None

    def _wait(self, stamp: float) -> None:
        """Wait until an image is due: over HTTP whole seconds arrive at once, or a file does."""
        now = time.monotonic()
        begin, first = self._begin or (now, stamp)
        self._begin = begin, first
        early = (stamp - first) - (now - begin)
        if 0 < early < self._settings.read_limit_s:
            time.sleep(early)
        else:
            self._begin = now, stamp

    def _report(self, image: Any) -> None:
        """Log the size of the images when it changes, and once that they are late."""
        if (image.width, image.height) != self._size:
            self._size = image.width, image.height
            fields = {"codec": self._codec, "width": image.width, "height": image.height}
            log.info(line("camera_stream", source=self._settings.name, **fields))
        if self._clock.delay_s > LATE_S and not self._is_late:
            self._is_late = True
            log.warning(line("camera_late", source=self._settings.name, delay_s=round(self._clock.delay_s, 1)))


def _translated(settings: Network, av: Any, call: Callable[[], T]) -> T:
    """Call PyAV; its errors, whose text shows the URL with the password, become `CameraLost` without it."""
    try:
        return call()
    except av.error.FFmpegError as error:
        raise _lost(settings, av, error) from None


def _lost(settings: Network, av: Any, error: Any) -> CameraLost:
    """The error of FFmpeg in words for an installer."""
    name, errors = settings.name, av.error
    if isinstance(error, (errors.HTTPUnauthorizedError, errors.HTTPForbiddenError)):
        what = "asks for capture.username and capture.password_file"
        if settings.username is not None:
            what = "refuses capture.username, or the password in capture.password_file"
        return CameraLost(f"{name}: the camera {what}", retry_s=LOGIN_RETRY_S)
    reasons = (
        (errors.ConnectionRefusedError, f"{settings.address} refuses connections"),
        (errors.HTTPNotFoundError, "the camera has no stream at this path"),
        (errors.HTTPOtherClientError, "the camera plays nothing at this path; it may have no video"),
        (errors.ExitError, "no answer, or nothing more, within the time limit"),
        (errors.TimeoutError, "no answer within the time limit"),
        (errors.InvalidDataError, "the answer is no stream that FFmpeg can read"),
    )
    what = next((text for kind, text in reasons if isinstance(error, kind)), str(error.strerror))
    return CameraLost(f"{name}: {what}")
