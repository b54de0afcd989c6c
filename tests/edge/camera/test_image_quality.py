"""Faults of a camera are found in its images, in time, and people and light are not mistaken for faults."""

import cv2
import numpy as np
import pytest

from edge.camera.image_quality import LEARN_S, PATIENCE_S, ImageQuality

FPS = 2


@pytest.fixture(scope="module")
def scene():
    """A drawn shop: many rectangles of several grey levels, 480 x 270."""
    rng = np.random.default_rng(7)
    image = np.full((270, 480), 110, np.uint8)
    for _ in range(500):
        x, y, w, h = (int(value) for value in rng.integers(0, (480, 270, 40, 40)))
        cv2.rectangle(image, (x, y), (x + w, y + h), int(rng.integers(20, 240)), -1)
    return image


class Camera:
    """Shows images to an `ImageQuality`, each with noise of its own, and keeps the time."""

    def __init__(self, live=True):
        self.quality, self.time, self.rng = ImageQuality(live=live), 0.0, np.random.default_rng(1)

    def show(self, image, seconds, noise=2.0):
        """The results while an image is shown, each with the time after which it first came, seconds."""
        begin, results = self.time, {}
        for _ in range(int(seconds * FPS)):
            seen = np.clip(image + self.rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)
            results.setdefault(self.quality.assess(seen, self.time), self.time - begin)
            self.time += 1 / FPS
        return results


@pytest.fixture
def camera(scene):
    """A camera that has learnt the scene."""
    made = Camera()
    assert made.show(scene, LEARN_S + 30) == {None: 0.0}
    return made


def walkers(scene, time):
    """The scene with two people as tall as the image walking through."""
    image = scene.copy()
    for speed in (60, 37):
        x = int(time * speed) % 560 - 60
        cv2.rectangle(image, (x, 60), (x + 50, 269), 60, -1)
        cv2.circle(image, (x + 25, 40), 22, 190, -1)
    return image


FAULTS = {
    "black": lambda scene: np.full_like(scene, 3),
    "covered": lambda scene: np.full_like(scene, 120),
    "blurred": lambda scene: cv2.GaussianBlur(scene, (0, 0), 6),
    "moved": lambda scene: np.roll(scene, 60, 1),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_fault_is_reported_in_time_and_withdrawn(camera, scene, fault):
    """It is reported after its `PATIENCE_S`, within five minutes, and no longer once it is over."""
    results = camera.show(FAULTS[fault](scene), PATIENCE_S[fault] + 60)
    assert set(results) == {None, fault}
    assert PATIENCE_S[fault] <= results[fault] < 300
    assert list(camera.show(scene, 120))[-1] is None


def test_live_camera_that_repeats_one_image_is_frozen(camera, scene):
    """A live camera never gives exactly the same image twice; a file may."""
    assert set(camera.show(scene, 120, noise=0)) == {None, "frozen"}
    recorded = Camera(live=False)
    assert recorded.show(scene, 300, noise=0) == {None: 0.0}


def test_people_and_light_are_not_faults(camera, scene):
    """Two people walk through all the time; then the light fades to a half, and goes on and off."""
    for at in range(300):
        assert camera.show(walkers(scene, at / 2), 0.5) == {None: (at * 0.0)}
    for at in range(60):
        assert set(camera.show((scene * (1 - at / 120)).astype(np.uint8), 1)) == {None}
    for at in range(20):
        assert set(camera.show(scene if at % 2 else (scene * 0.5).astype(np.uint8), 10)) == {None}


def test_short_fault_is_not_reported(camera, scene):
    """A person stands in front of the lens for some seconds."""
    assert camera.show(FAULTS["covered"](scene), PATIENCE_S["covered"] - 2) == {None: 0.0}
    assert camera.show(scene, 30) == {None: 0.0}


def test_slow_changes_of_the_scene_are_not_a_moved_camera(scene):
    """Over two weeks everything is rearranged, one piece per hour, with an image every half minute."""
    camera, rng, image = Camera(), np.random.default_rng(3), scene.copy()
    camera.show(image, LEARN_S + 30)
    for _hour in range(14 * 24):
        x, y, w, h = (int(value) for value in rng.integers(0, (480, 270, 60, 60)))
        cv2.rectangle(image, (x, y), (x + w, y + h), int(rng.integers(20, 240)), -1)
        for _ in range(120):
            camera.time += 30
            image[0, 0] = (int(image[0, 0]) + 1) % 256  # a live camera never repeats an image
            assert camera.quality.assess(image, camera.time) is None
    assert np.mean(image == scene) < 0.5
