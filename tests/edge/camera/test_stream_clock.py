"""Times of frames from the stamps of a stream, as far as they can be believed."""

import pytest

from edge.camera.stream_clock import MAX_DELAY_S, MIN_STEP_S, StreamClock


def times(*frames: tuple[float | None, float]) -> list[float]:
    """The times of frames, each with its stamp and its arrival."""
    clock = StreamClock()
    return [round(clock.time(stamp, arrived), 3) for stamp, arrived in frames]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([(0.0, 100.0), (0.1, 100.1), (0.2, 100.2)], [100.0, 100.1, 100.2]),
        ([(0.0, 100.0), (0.1, 100.3), (0.2, 100.3)], [100.0, 100.1, 100.2]),
        ([(7.0, 100.0), (7.1, 100.001), (7.2, 100.1)], [100.0, 100.001, 100.1]),
        ([(None, 100.0), (None, 100.5)], [100.0, 100.5]),
        ([(0.0, 100.0), (None, 100.1), (0.2, 100.2)], [100.0, 100.1, 100.2]),
        ([(0.0, 100.0), (0.1, 100.1), (0.1, 100.2), (0.2, 100.3)], [100.0, 100.1, 100.2, 100.3]),
        ([(9.0, 100.0), (9.1, 100.1), (0.0, 100.2), (0.1, 100.3)], [100.0, 100.1, 100.2, 100.3]),
        ([(0.0, 100.0), (500.0, 100.1), (0.2, 100.2), (0.3, 100.3)], [100.0, 100.1, 100.2, 100.3]),
        ([(0.0, 0.0), (0.1, 0.2 + MAX_DELAY_S), (0.2, 0.3 + MAX_DELAY_S)], [0.0, 0.2 + MAX_DELAY_S, 0.3 + MAX_DELAY_S]),
    ],
    ids=[
        "even", "a frame is delayed", "the first frames arrive at once", "no stamps", "a stamp is missing",
        "a stamp is repeated", "the camera starts again", "a stamp is far off", "a delay is too long",
    ],
)  # fmt: skip
def test_time_of_a_frame(frames, expected):
    """The stamp counts unless it cannot be right; the arrival counts then."""
    assert times(*frames) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("rate", [0.9998, 1.0002])
def test_clock_of_the_camera_may_run_fast_or_slow(rate):
    """After a day at a rate that is 0.2 per thousand off, a frame is still stamped within 10 ms of its arrival."""
    clock = StreamClock()
    for second in range(86_400):
        time = clock.time(second * rate, 100.0 + second)
        assert 0 <= 100.0 + second - time < 0.01


def test_frames_never_go_back():
    """Whatever the stamps, each frame is later than the one before, and none is in the future."""
    stamps = [0.0, 3.0, -1.0, 3.0, 3.0, 1e9, 0.0, None, 2.0, 1.0]
    frames = [(stamp, 100.0 + index * MIN_STEP_S) for index, stamp in enumerate(stamps)]
    found = times(*frames)
    assert found == sorted(set(found))
    assert all(time <= round(arrived, 3) for time, (_, arrived) in zip(found, frames, strict=True))
