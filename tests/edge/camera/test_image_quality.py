"""What keeps a camera from seeing, told frame by frame."""

import cv2
import numpy as np
import pytest

from edge.camera.image_quality import LEARN_S, PATIENCE_S, ImageQuality

FPS = 2


@pytest.fixture(scope="module")
def place():
    """A shop: many shapes of several greys, 480 x 270."""
    rng = np.random.default_rng(7)
    picture = np.full((270, 480), 110, np.uint8)
    for _ in range(500):
        x, y, w, h = (int(value) for value in rng.integers(0, (480, 270, 40, 40)))
        cv2.rectangle(picture, (x, y), (x + w, y + h), int(rng.integers(20, 240)), -1)
    return picture


class Camera:
    """Plays seconds of pictures to a condition; every picture has its own noise."""

    def __init__(self, live=True):
        self.condition, self.time, self.rng = ImageQuality(live=live), 0.0, np.random.default_rng(1)

    def show(self, picture, seconds, noise=2.0):
        """The verdicts while a picture is shown, and the seconds after which each first came."""
        begin, verdicts = self.time, {}
        for _ in range(int(seconds * FPS)):
            seen = np.clip(picture + self.rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)
            verdicts.setdefault(self.condition.look(seen, self.time), self.time - begin)
            self.time += 1 / FPS
        return verdicts


@pytest.fixture
def camera(place):
    """One that knows the place."""
    made = Camera()
    assert made.show(place, LEARN_S + 30) == {None: 0.0}
    return made


def walkers(place, time):
    """Two people as tall as the picture, walking through."""
    picture = place.copy()
    for speed in (60, 37):
        x = int(time * speed) % 560 - 60
        cv2.rectangle(picture, (x, 60), (x + 50, 269), 60, -1)
        cv2.circle(picture, (x + 25, 40), 22, 190, -1)
    return picture


FAULTS = {
    "black": lambda place: np.full_like(place, 3),
    "covered": lambda place: np.full_like(place, 120),
    "blurred": lambda place: cv2.GaussianBlur(place, (0, 0), 6),
    "moved": lambda place: np.roll(place, 60, 1),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_is_said_in_time_and_taken_back(camera, place, fault):
    """After its patience, well within five minutes; and not any more when it is over."""
    verdicts = camera.show(FAULTS[fault](place), PATIENCE_S[fault] + 60)
    assert set(verdicts) == {None, fault}
    assert PATIENCE_S[fault] <= verdicts[fault] < 300
    assert list(camera.show(place, 120))[-1] is None


def test_a_live_camera_that_gives_one_picture_for_ever_is_frozen(camera, place):
    """Not a bit changes; a file may show the same picture as long as it likes."""
    assert set(camera.show(place, 120, noise=0)) == {None, "frozen"}
    recorded = Camera(live=False)
    assert recorded.show(place, 300, noise=0) == {None: 0.0}


def test_people_and_light_are_no_fault(camera, place):
    """Two walk through all the time; then the light falls to a half within a minute, and goes on and off."""
    for at in range(300):
        assert camera.show(walkers(place, at / 2), 0.5) == {None: (at * 0.0)}
    for at in range(60):
        assert set(camera.show((place * (1 - at / 120)).astype(np.uint8), 1)) == {None}
    for at in range(20):
        assert set(camera.show(place if at % 2 else (place * 0.5).astype(np.uint8), 10)) == {None}


def test_a_short_fault_is_nothing(camera, place):
    """Somebody stands before the lens for some seconds."""
    assert camera.show(FAULTS["covered"](place), PATIENCE_S["covered"] - 2) == {None: 0.0}
    assert camera.show(place, 30) == {None: 0.0}


def test_a_place_that_changes_slowly_is_the_same_place(place):
    """Over two weeks everything is put elsewhere, one piece an hour, a picture every half minute: nothing was moved."""
    camera, rng, picture = Camera(), np.random.default_rng(3), place.copy()
    camera.show(picture, LEARN_S + 30)
    for _hour in range(14 * 24):
        x, y, w, h = (int(value) for value in rng.integers(0, (480, 270, 60, 60)))
        cv2.rectangle(picture, (x, y), (x + w, y + h), int(rng.integers(20, 240)), -1)
        for _ in range(120):
            camera.time += 30
            picture[0, 0] = (int(picture[0, 0]) + 1) % 256  # a live camera gives no picture twice
            assert camera.condition.look(picture, camera.time) is None
    assert np.mean(picture == place) < 0.5
