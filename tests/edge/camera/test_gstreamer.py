"""The GStreamer driver: its frame layouts, and the daemon on a machine whose OpenCV has GStreamer, like a Jetson's."""

import json
import platform
import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.machines import nspawn
from benchmarks.machines.debian import BUILD, Target, build_wheel, debian_root, download_wheels, missing_requirements
from edge.camera.drivers import gstreamer_grey
from edge.errors import CameraLost
from tests.support.check_rows import check_rows
from tests.support.commands import CONFIG
from tests.support.waiting import LIMIT_S

ROOT = Path(__file__).parents[3]
LACKING = missing_requirements(*nspawn.PROGRAMS)
DEBIAN = Target("bookworm", "3.11", platform.machine())
EDGE, CHECK = "/opt/facetally/bin/facetally-edge", ("check", "--config", "/etc/facetally/edge.toml")
FILM = "filesrc location=/srv/clip/walk-by.avi ! avidemux ! jpegdec ! videoconvert"
WHERE = """\
[broker]
host = "127.0.0.1"
confirm = "broker"
[spool]
path = "/var/lib/facetally/spool.sqlite"
unsynced_hold_h = 0
"""
SIZED = "video/x-raw,format={form},width=642,height=480 ! appsink"
(OF_A_JETSON,) = re.findall(r'^# pipeline = "(.*)"', (ROOT / "edge/samples/edge.toml").read_text(), re.MULTILINE)
"""The installer's example; without NVIDIA's plugins OpenCV hangs in it."""
READS = f"""
import json, sys
from edge.camera.drivers import gstreamer
from edge.camera_settings import Gstreamer
read = {{}}
for form in sys.argv[1:]:
    with gstreamer(Gstreamer(pipeline="videotestsrc pattern=pinwheel ! " + {SIZED!r}.format(form=form))) as camera:
        camera()
        frame = camera()
    read[form] = [frame.shape, str(frame.dtype), frame[::60, ::40].tolist()]
print(json.dumps(read))
"""
"""Prints every 60th row and 40th column of a test image in each format."""
SHOWN = np.arange(12, dtype=np.uint8).reshape(2, 6) * 20


@pytest.mark.parametrize(
    "image",
    [
        SHOWN,
        SHOWN[..., None],
        cv2.cvtColor(SHOWN, cv2.COLOR_GRAY2BGR),
        cv2.cvtColor(SHOWN, cv2.COLOR_GRAY2BGRA),
        np.vstack([SHOWN, np.full((1, 6), 128, np.uint8)]),
        np.vstack([SHOWN, np.full((1, 6), 128, np.uint8)])[..., None],
    ],
    ids=["GRAY8", "GRAY8, one channel", "BGR", "BGRx", "NV12", "NV12, one channel"],
)
def test_frame_of_a_pipeline_is_grey(image):
    """Colour planes below the grey image are removed; otherwise zones, in fractions of the height, would shift."""
    assert (gstreamer_grey(image, (6, 2)) == SHOWN).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 6, 2), np.uint8), "uint8 (2, 6, 2) for 6 x 2"),  # YUY2
        (np.zeros((2, 6), np.uint16), "uint16 (2, 6) for 6 x 2"),  # GRAY16_LE
        (np.zeros((1, 9000), np.uint8), "uint8 (1, 9000) for 6 x 2"),  # image/jpeg
    ],
)
def test_frame_of_an_unknown_layout_is_reported(image, message):
    """The error gives the layout and what to write in the pipeline; nothing is guessed."""
    with pytest.raises(CameraLost, match=re.escape(message) + r".*format=GRAY8"):
        gstreamer_grey(image, (6, 2))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The demonstration's clip, five visits, as motion JPEG, which GStreamer reads without more packages."""
    pytest.importorskip("skimage.data", reason="scikit-image brings the portrait")
    from demo.clip import FPS, HEIGHT, WIDTH, compose

    folder = tmp_path_factory.mktemp("clip")
    compose(folder / "walk-by.mp4")
    film = cv2.VideoCapture(str(folder / "walk-by.mp4"))
    copy = cv2.VideoWriter(str(folder / "walk-by.avi"), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    while (read := film.read())[0]:
        copy.write(read[1])
    copy.release()
    folder.chmod(0o755)  # the daemon runs as a user of its own
    return folder


@pytest.fixture(scope="module")
def jetson(tmp_path_factory, clip):
    """A machine with the OpenCV of its distribution, which the installer takes for a Jetson, and a running broker."""
    if LACKING:
        pytest.skip(f"no machine can be booted: {LACKING}")
    ours = build_wheel()
    wheels = download_wheels(DEBIAN, BUILD / "wheels-jetson", *nspawn.jetson_requirements())
    binds = {wheels: "/srv/wheels", ours.parent: "/srv/ours", ROOT / "systemd": "/srv/systemd", clip: "/srv/clip"}
    log = tmp_path_factory.mktemp("machine") / "boot.log"
    try:
        with nspawn.boot(debian_root(DEBIAN, "minbase", nspawn.JETSON), log, binds) as booted:
            booted.run("touch", "/etc/nv_tegra_release")
            booted.run(*nspawn.INSTALL, "edge", f"/srv/ours/{ours.name}")
            yield booted
    except nspawn.NotBooted as error:
        pytest.skip(f"systemd-nspawn does not boot here: {error}")


def configured(jetson, pipeline):
    camera = f'"gstreamer"\nopen_limit_s = 4\npipeline = "{pipeline}"'
    jetson.write("/etc/facetally/edge.toml", CONFIG.replace('"v4l2"', camera) + WHERE)


@pytest.mark.timeout(900)
def test_opencv_of_the_distribution_is_used(jetson):
    """The installer adds no other OpenCV, and a NumPy that fits it; `check` succeeds with both."""
    names = "import cv2, numpy; print(cv2.__file__, numpy.__version__)"
    file, version = jetson.run("/opt/facetally/bin/python", "-c", names).split()
    assert file.startswith("/usr/lib/python3/dist-packages/")
    assert version.startswith("1.")
    configured(jetson, f"{FILM} ! video/x-raw,format=GRAY8 ! appsink")
    rows = check_rows(jetson.run(EDGE, *CHECK))
    assert "FAILED" not in {row.state for row in rows.values()}
    assert rows["camera"].state == "ok"
    assert "640 x 480" in rows["camera"].text


@pytest.mark.timeout(900)
def test_each_format_gives_the_same_image(jetson):
    """With 642 pixels GStreamer pads the rows. Colour has levels of 0 and 255 where grey has 16 and 235."""
    forms = ("GRAY8", "BGR", "BGRx", "BGRA", "NV12", "NV21", "I420", "YV12")
    printed = jetson.run("/opt/facetally/bin/python", "-c", READS, *forms)
    read = json.loads(printed.splitlines()[-1])
    grey = np.array(read["GRAY8"][2])
    assert grey.std() > 50
    for form in forms:
        shape, kind, pixels = read[form]
        assert (shape, kind) == ([480, 642], "uint8"), form
        assert np.abs(np.array(pixels) - grey).max() <= (20 if form.startswith("BGR") else 0), form


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (f"videotestsrc ! {SIZED.format(form='YUY2')}", "pipeline gives uint8 (480, 642, 2) for 642 x 480"),
        (f"{FILM.partition(' ! jpegdec')[0]} ! appsink", "pipeline gives uint8 (1, "),
        ("videotestsrc ! ! appsink", "capture.pipeline does not open"),
        ("videotestsrc ! fakesink", "capture.pipeline does not open"),
        (OF_A_JETSON, "no frame within 4 s"),
    ],
)
@pytest.mark.timeout(900)
def test_pipeline_without_frames_is_reported(jetson, pipeline, message):
    """`check` fails for the camera alone, and returns even where GStreamer hangs, as without NVIDIA's plugins."""
    configured(jetson, pipeline)
    done = subprocess.run(jetson.command(EDGE, *CHECK), capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 2
    rows = check_rows(done.stdout)
    assert [part for part, row in rows.items() if row.state == "FAILED"] == ["camera"]
    assert message in rows["camera"].text


@pytest.mark.timeout(900)
def test_pipeline_gives_the_same_counts_as_the_file(jetson):
    """The installed unit counts each visit once, with the label that replaying the file gives.

    When the pipeline ends the camera is lost, and reopened.
    """
    configured(jetson, f"{FILM} ! video/x-raw,format=NV12 ! appsink drop=true max-buffers=1")
    listens = ("mosquitto_sub", "-h", "127.0.0.1", "-q", "1", "-W", "300", "-t", "facetally/v1/shop-1/door/counts")
    visits = {}
    with subprocess.Popen(jetson.command(*listens), stdout=subprocess.PIPE, text=True) as listening:
        jetson.run("systemctl", "start", "facetally-edge")
        for window in map(json.loads, listening.stdout):
            for label, count in window["visits"].items():
                visits[label] = visits.get(label, 0) + count
            if "no_camera" in window["degraded"]:
                break
        else:
            pytest.fail(jetson.run("journalctl", "--no-pager", "--unit=facetally-edge"))
        nspawn.wait_until(
            lambda: "event=camera_back" in jetson.run("journalctl", "--unit=facetally-edge"), LIMIT_S, "back"
        )
        assert jetson.run("systemctl", "show", "--property=NRestarts", "--value", "facetally-edge") == "0"
        jetson.run("systemctl", "stop", "facetally-edge")
        assert jetson.run("systemctl", "show", "--property=Result", "--value", "facetally-edge") == "success"
        listening.kill()
    of_the_file = ("--clip", "/srv/clip/walk-by.avi", "--stdout", "--set", "tally.window_s=60")
    printed = jetson.run(EDGE, "run", *CHECK[1:], *of_the_file).splitlines()
    (counted,) = (json.loads(line)["visits"] for line in printed if line.startswith("{"))
    assert visits == counted
    assert sum(visits.values()) == 5
