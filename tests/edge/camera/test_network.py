"""RTSP cameras: a real server, with all that an installer and a hostile camera do wrong."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from base.errors import SettingsError
from benchmarks.faults.tcp_proxy import tcp_proxy
from edge.camera.capture import Camera, live_frames
from edge.camera.drivers import driver_for
from edge.camera.file_source import read_frames
from edge.camera_settings import File, Rtsp
from edge.errors import CameraLost
from edge.values import Frame, MissingFrame
from tests.support.fakes import lines_of

pytest.importorskip("av", reason="PyAV is not installed")
from benchmarks.simulation.ip_camera import IpCamera, Stream, encode, ip_camera, write_units
from tests.support.network_camera import PASSWORD, SIZE, USER, decoded, lost, needs_server, read, scene
from tests.support.waiting import LIMIT_S, wait_until

LOSSY = {codec: encode(scene(50), codec, key_every=10) for codec in ("h264", "h265")}
"""Access units of streams that lose packets, by codec."""


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IpCamera]:
    """A camera with a stream for each case."""
    folder, rng = tmp_path_factory.mktemp("streams"), np.random.default_rng(2)

    def stream(name: str, units: list[bytes], codec: str = "h264", **of: float | bool) -> Stream:
        return Stream(write_units(folder / name, units), codec, **{"fps": 25} | of)

    header = encode(scene(1))[0]
    h264 = encode(scene(50), fps=25)
    streams = {
        "/h264": stream("h264", h264),
        "/once": stream("once", h264, loop=False),
        "/lossy-h264": stream("lossy-h264", LOSSY["h264"], loss=0.05),
        "/lossy-h265": stream("lossy-h265", LOSSY["h265"], "h265", loss=0.05),
        "/h265": stream("h265", encode(scene(25), "h265"), "h265"),
        "/mjpeg": stream("mjpeg", encode(scene(25, (640, 480)), "mjpeg"), "mjpeg"),
        "/vp8": stream("vp8", encode(scene(10), "vp8"), "vp8"),
        "/unknown": stream("unknown", [b"?" * 100] * 25, "unknown"),
        "/audio": stream("audio", [b"\x7f" * 160] * 50, "audio", fps=50),
        "/tiny": stream("tiny", encode(scene(10, (8, 8)))),
        "/5k": stream("5k", encode([np.zeros((2880, 5120, 3), np.uint8)])),
        "/garbage": stream("garbage", [header[:60] + rng.bytes(2000), *(b"\0\0\0\1\x65" + rng.bytes(2000),) * 25]),
        "/resized": stream("resized", encode(scene(10)) + encode(scene(10, (160, 120)))),
    }
    with ip_camera(streams) as camera:
        yield camera


def settings(camera: IpCamera, path: str, **of: object) -> Rtsp:
    return Rtsp(url=camera.url(path), **{"open_limit_s": 30.0, "read_limit_s": 20.0, "fps": 100} | of)


@needs_server
@pytest.mark.parametrize(
    ("path", "transport", "size"),
    [("/h264", "tcp", SIZE), ("/h264", "udp", SIZE), ("/h265", "tcp", SIZE), ("/mjpeg", "tcp", (640, 480))],
)
def test_frames_arrive_with_their_own_times(camera, path, transport, size):
    """25 frames a second are as far apart as their stamps say, however they arrive, and never in the future."""
    with driver_for(settings(camera, path, transport=transport))() as next_frame:
        frames = [(next_frame(), time.monotonic()) for _ in range(35)]
    assert {frame.pixels.shape for frame, _ in frames} == {size[::-1]}
    assert all(frame.time <= arrived for frame, arrived in frames)
    gaps = np.diff([frame.time for frame, _ in frames[-20:]])
    assert (np.abs(gaps - 0.04) < 0.015).sum() >= 15, gaps  # a busy machine may lose a packet or deliver one late


@needs_server
def test_frames_are_those_of_the_file(camera, tmp_path):
    """Each frame of the stream is a frame of the same video as a file, in its order, to within rounding."""
    (tmp_path / "clip.h264").write_bytes(b"".join(encode(scene(50), fps=25)))
    filed = [frame.pixels.astype(int) for frame in read_frames(File(path=str(tmp_path / "clip.h264")))]
    streamed = []
    with pytest.raises(CameraLost, match="has ended the stream"), driver_for(settings(camera, "/once"))() as next_frame:
        while True:
            streamed.append(next_frame().pixels.astype(int))
    numbers = [min(range(50), key=lambda n: np.abs(filed[n] - image).mean()) for image in streamed]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 30  # the first ones wait while the stream is opened, and only the newest counts
    assert max(np.abs(filed[number] - image).max() for number, image in zip(numbers, streamed, strict=True)) <= 8


@needs_server
def test_rate_is_limited(camera):
    """At ``fps = 5`` frames are 0.2 s apart, and the others are not converted."""
    gaps = np.diff([frame.time for frame in read(settings(camera, "/h264", fps=5), 8)[1:]])
    assert gaps.min() > 0.14
    assert np.median(gaps) == pytest.approx(0.2, abs=0.06)


@needs_server
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_frames_that_refer_to_lost_packets_are_not_used(camera, transport, codec):
    """With every twentieth RTP packet lost, the frames that remain are exactly those that were sent."""
    sent = decoded(LOSSY[codec], codec)
    for frame in read(settings(camera, f"/lossy-{codec}", transport=transport), 25):
        assert any(np.array_equal(frame.pixels, image) for image in sent)


@needs_server
def test_size_may_change(camera):
    """A camera that changes its resolution goes on, and each size is logged."""
    with lines_of("edge.camera.network") as lines:
        frames = read(settings(camera, "/resized"), 25)
    assert {frame.pixels.shape for frame in frames} == {(240, 320), (120, 160)}
    assert {line.partition("width=")[2] for line in lines} == {"320 height=240", "160 height=120"}


@needs_server
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none", "the camera has no stream at this path"),
        ("/audio", "the camera plays nothing at this path; it may have no video"),
        ("/unknown", "the camera plays nothing at this path; it may have no video"),
        ("/vp8", "sends the codec vp8; must be one of h264, hevc, mjpeg, mpeg4"),
        ("/tiny", "sends 8 x 8 pixels; must have at least 16 x 16 "),
        ("/5k", "sends 5120 x 2880 pixels; must have at least 16 x 16 and at most 9437184 pixels (4K). Choose another"),
        ("/garbage", "sends nothing that can be decoded as h264"),
    ],
)
def test_stream_that_cannot_be_used_is_named(camera, path, reason):
    """The reason says what the camera sends, and what it must."""
    limits = {"open_limit_s": 5.0, "read_limit_s": 5.0} if path == "/garbage" else {}  # only time tells
    assert lost(settings(camera, path, **limits)).startswith(reason)


@needs_server
def test_stream_beyond_the_last_is_named(camera):
    """``stream`` counts the video streams of one address."""
    assert lost(settings(camera, "/h264", stream=2)) == "has 1 video streams; capture.stream must be less"


@needs_server
def test_login(tmp_path, capfd):
    """The right password opens the camera, whatever its characters; a refused one is not tried again for minutes.

    No library prints it.
    """
    for name, word in (("right", PASSWORD), ("wrong", "1234"), ("long", 200 * "x")):
        (tmp_path / name).write_text(word + "\n")
    units = write_units(tmp_path / "units", encode(scene(10)))
    with ip_camera({"/1": Stream(units)}, USER, PASSWORD) as camera:

        def login(name: str) -> Rtsp:
            return settings(camera, "/1", username=USER, password_file=str(tmp_path / name))

        assert len(read(login("right"), 2)) == 2
        assert lost(login("wrong")) == "the camera refuses capture.username, or the password in capture.password_file"
        assert lost(settings(camera, "/1")) == "the camera asks for capture.username and capture.password_file"
        with pytest.raises(CameraLost) as refused:
            read(login("wrong"), 1)
        assert refused.value.retry_s >= 60
        for name, text in (("none", "No such file"), ("long", "must have at most 120 bytes together")):
            with pytest.raises(SettingsError, match=text):
                driver_for(login(name))
    assert capfd.readouterr() == ("", "")


@needs_server
def test_camera_comes_back_after_every_fault(tmp_path):
    """Killed, stalled and cut off, the camera is lost and counts again; threads and files stay."""
    units = write_units(tmp_path / "units", encode(scene(20), fps=25))
    with ip_camera({"/1": Stream(units, fps=25)}) as camera, tcp_proxy(camera.port, random.Random(1)) as proxy:
        limits = Rtsp(url=f"rtsp://127.0.0.1:{proxy.port}/1", open_limit_s=10, read_limit_s=1)
        faults = [
            (camera.kill, camera.start),
            (camera.stall, camera.resume),
            (proxy.cut, proxy.restore),
        ]
        stop, used = threading.Event(), []
        stream = live_frames(Camera(driver_for(limits), 10, 1), stop, random.Random(2))
        for fault, repair in [*faults, faults[0]]:
            assert until(stream, Frame)
            used.append(in_use())
            fault()
            assert until(stream, MissingFrame), fault
            repair()
        assert until(stream, Frame)
        wait_until(lambda: in_use() == used[0], f"threads and files are as at first, {used}")
        stop.set()
        stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def proxy_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name != "camera" and thread.daemon]


def in_use() -> tuple[int, int]:
    """Number of threads besides those of the proxy, and of open files."""
    return threading.active_count() - len(proxy_threads()), open_files()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def until(stream: Iterator[Frame | MissingFrame], kind: type) -> bool:
    """Read a stream until an item of this kind, for at most `LIMIT_S`."""
    end = time.monotonic() + LIMIT_S
    for item in stream:
        if isinstance(item, kind):
            return True
        if time.monotonic() > end:
            break
    return False
