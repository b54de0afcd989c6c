"""Videos, animations and folders give frames with their own time stamps; cut-off files are reported."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from edge.camera.file_source import read_frames, read_image, to_grey
from edge.camera_settings import File
from edge.errors import ClipError
from tests.support.fakes import lines_of

HEIGHT, WIDTH = 48, 64


def uniform(level):
    """A uniform grey image in three channels."""
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def frames_of(path, **of):
    return list(read_frames(File(path=str(path), **of)))


def write_video(path, count=40, fps=10.0, code="mp4v"):
    """A video that becomes brighter by 3 grey levels per frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (WIDTH, HEIGHT))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {path.suffix}")
    for index in range(count):
        writer.write(uniform(20 + 3 * index))
    writer.release()
    return path


def write_gif(path, durations):
    """An animation whose images are shown for these times, milliseconds."""
    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this OpenCV writes no animations")
    animation = cv2.Animation()
    animation.frames = [uniform(20 + 30 * index) for index in range(len(durations))]
    animation.durations = np.array(durations, np.int32)
    assert cv2.imwriteanimation(str(path), animation)
    return path


def levels(frames):
    return [round(float(frame.pixels.mean())) for frame in frames]


@pytest.mark.parametrize(("name", "code"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_video_gives_all_frames_in_order(tmp_path, name, code):
    """Forty frames at ten per second: grey, in order, and a tenth of a second apart, starting at zero."""
    frames = frames_of(write_video(tmp_path / name, code=code))
    assert [frame.pixels.shape for frame in frames] == [(HEIGHT, WIDTH)] * 40
    assert [frame.time for frame in frames] == pytest.approx([index / 10 for index in range(40)], abs=2e-3)
    assert levels(frames) == pytest.approx([20 + 3 * index for index in range(40)], abs=4)


def test_animation_keeps_its_durations(tmp_path):
    """Images of a GIF are shown for the times in the file."""
    frames = frames_of(write_gif(tmp_path / "clip.gif", [100, 300, 200, 100, 100]))
    assert levels(frames) == pytest.approx([20, 50, 80, 110, 140], abs=3)
    times = [frame.time - frames[0].time for frame in frames]
    assert times == pytest.approx([0, 0.1, 0.4, 0.6, 0.7], abs=0.02)


def test_time_always_increases(tmp_path):
    """Every frame is later than the one before."""
    for path in (write_video(tmp_path / "a.mp4", fps=29.97), write_gif(tmp_path / "a.gif", [20] * 8)):
        times = [frame.time for frame in frames_of(path)]
        assert all(later > earlier for earlier, later in pairwise(times))


def test_replay_is_the_same_each_time(tmp_path):
    """Two readings of one file give equal pixels and times."""
    path = write_video(tmp_path / "clip.mp4")
    first, second = frames_of(path), frames_of(path)
    assert [frame.time for frame in first] == [frame.time for frame in second]
    assert all((one.pixels == other.pixels).all() for one, other in zip(first, second, strict=True))


def test_folder_gives_images_in_the_order_of_their_names(tmp_path):
    """They come at the configured rate; files with other endings are ignored."""
    for index, name in enumerate(["b.png", "a.jpg", "c.BMP", "d.webp"]):
        cv2.imwrite(str(tmp_path / name), uniform(20 + 40 * index))
    (tmp_path / "notes.txt").write_text("not an image")
    frames = frames_of(tmp_path, fps=4.0)
    assert [frame.time for frame in frames] == [0, 0.25, 0.5, 0.75]
    assert levels(frames) == pytest.approx([60, 20, 100, 140], abs=2)


def test_unreadable_image_in_a_folder_is_skipped(tmp_path):
    """It is logged and its time passes, so that the others keep theirs."""
    for name in ("a.png", "c.png"):
        cv2.imwrite(str(tmp_path / name), uniform(50))
    (tmp_path / "b.png").write_bytes(b"not an image")
    with lines_of("edge.camera.file_source") as lines:
        assert [frame.time for frame in frames_of(tmp_path, fps=1.0)] == [0, 2]
    assert len(lines) == 1
    assert "b.png" in lines[0]


def test_truncated_video_gives_its_frames_before_the_error(tmp_path):
    """Half a video gives its frames first, then an error with both numbers of frames."""
    path = write_video(tmp_path / "clip.avi", count=60, code="MJPG")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    frames = []
    with pytest.raises(ClipError, match=r"clip\.avi: cut off: \d+ of 60 frames"):
        for frame in read_frames(File(path=str(path))):
            frames.append(frame.time)
    assert 10 <= len(frames) <= 40


@pytest.mark.parametrize("content", [b"", b"not a video" * 100, b"\x00" * 5000, b"GIF89a"])
def test_file_that_is_not_a_video_is_named(tmp_path, content):
    """The error comes on opening, or at the latest when no frame could be read."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ClipError, match=r"clip\.mp4: "):
        frames_of(path)


def test_path_without_frames_is_named(tmp_path):
    """The path is missing, the folder has no images, or none of them can be read."""
    with pytest.raises(ClipError, match=r"none: no such file or folder"):
        read_frames(File(path=str(tmp_path / "none")))
    with pytest.raises(ClipError, match=r"no images \(\.bmp, "):
        read_frames(File(path=str(tmp_path)))
    (tmp_path / "a.png").write_bytes(b"not an image")
    with pytest.raises(ClipError, match="none of 1 images can be read"):
        frames_of(tmp_path)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\x89PNG\r\n\x1a\n", b"P5\n100000 100000\n255\n" + b"\x00" * 100, b"text" * 50],
    ids=["missing", "empty", "cut off", "far too large", "text"],
)
def test_unreadable_image_is_none(tmp_path, content):
    """Whatever is wrong with the file, the result is None and OpenCV raises nothing."""
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    assert read_image(path) is None
    assert read_image(tmp_path) is None


def test_colour_image_becomes_grey(tmp_path):
    """The weights are those of ITU-R BT.601: blue least, green most."""
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert to_grey(colours).tolist() == [[29, 150, 76, 255]]
    assert cv2.imwrite(str(tmp_path / "a.png"), colours)
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - [[29, 150, 76, 255]]).max() <= 1


def test_grey_image_is_not_changed():
    """It may have two dimensions, or a third of length 1."""
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (to_grey(pixels) == pixels).all()
    assert (to_grey(pixels[..., None]) == pixels).all()
