"""The aiming page in a real Chromium, with a clip as the camera."""

import re
from pathlib import Path

import numpy as np
import pytest

from edge.settings import read
from tests.support.aiming import aiming, configured, entered, small_faces
from tests.support.browser import chromium, complaints, needs_chromium
from tests.support.waiting import LIMIT_S

pytestmark = needs_chromium
TILL = [(0.1, 0.3), (0.9, 0.3), (0.9, 0.7), (0.1, 0.7)]


@pytest.fixture(scope="module")
def small_clip(astronaut, tmp_path_factory):
    """A clip with faces of about 18 pixels."""
    path = tmp_path_factory.mktemp("small") / "small.avi"
    small_faces(astronaut, path, 0.16)
    return path


def waited(driver, until, seconds=LIMIT_S):
    """Return what a function gives as soon as it is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, poll_frequency=0.1).until(lambda _: until())


def text(driver, name):
    return driver.find_element("id", name).text


def boxes(driver, name):
    """A property of each box in the live view, all at the same time."""
    return driver.execute_script("return [...document.querySelectorAll('#boxes g')].map(b => b[arguments[0]])", name)


def states(driver):
    """The states of the faces in the live view."""
    return {each["baseVal"] for each in boxes(driver, "className")}


def points(driver, corners):
    """Positions in the window of corners that are given as fractions of the live view."""
    box = driver.execute_script("return document.getElementById('drawing').getBoundingClientRect().toJSON()")
    return [(box["left"] + x * box["width"], box["top"] + y * box["height"]) for x, y in corners]


def tap(driver, corners, kind):
    """Press and release at each corner, with the mouse or a finger."""
    for x, y in points(driver, corners):
        if kind == "touch":
            driver.execute_cdp_cmd(
                "Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
            )
            driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            continue
        for event in ("mousePressed", "mouseReleased"):
            position = {"type": event, "x": x, "y": y, "button": "left", "clickCount": 1}
            driver.execute_cdp_cmd("Input.dispatchMouseEvent", position)


def accessible(driver):
    """Assert that axe finds no violation of its accessibility rules."""
    import selenium_axe_python

    driver.execute_script(next(Path(selenium_axe_python.__file__).parent.rglob("axe.min.js")).read_text())
    found = driver.execute_async_script("const done = arguments[0]; axe.run().then(done, e => done(String(e)))")
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def test_small_faces_are_measured_and_zones_drawn_with_the_mouse(small_clip, tmp_path):
    """The code opens the page: boxes with sizes on grey, the advice to move closer, and zones that exclude faces."""
    config = configured(tmp_path, small_clip)
    with aiming(config) as aim, chromium(tmp_path, insecure=True) as driver:
        entered(driver, aim)
        waited(driver, lambda: states(driver) == {"small"})
        size = int(re.fullmatch(r"(\d+) px, too small", waited(driver, lambda: boxes(driver, "textContent"))[0])[1])
        assert 14 <= size < 24
        sentence = re.compile(r"Move about [\d.]+ m closer: faces are (\d+) px, 24 are needed\.")
        advice = waited(driver, lambda: sentence.fullmatch(text(driver, "advice-text")))
        assert abs(int(advice[1]) - size) < 6
        assert not driver.find_element("id", "image").is_displayed()
        assert "no image leaves the device" in text(driver, "images-note")
        assert complaints(driver) == []
        accessible(driver)

        driver.find_element("id", "edit").click()
        driver.find_element("id", "clear").click()
        tap(driver, TILL, "mouse")
        assert text(driver, "message") == "1 zone."
        driver.find_element("id", "save").click()
        waited(driver, lambda: text(driver, "message").startswith(f"Saved in {config}"))
        (zone,) = read(config).admit.staff_zones
        assert np.abs(np.array(zone) - TILL).max() < 0.005
        assert "# the door\n" in config.read_text()
        assert "]]]  # the till\n" in config.read_text()
        waited(driver, lambda: states(driver) == {"excluded"})
        driver.find_element("id", "stop").click()
        waited(driver, lambda: "has ended" in driver.find_element("tag name", "body").text)
        assert aim.process.wait(LIMIT_S) == 0


def test_images_on_a_phone_zones_by_touch_and_the_end(clip, tmp_path):
    """A wrong code is refused; with --images the image is under the boxes; a corner is dragged; the page ends."""
    config = configured(tmp_path, clip)
    with (
        aiming(config, "--images") as aim,
        chromium(tmp_path, 390, 1300, dark=True, insecure=True) as driver,
    ):
        driver.get(aim.url)
        waited(driver, lambda: driver.find_element("id", "code").is_displayed())
        driver.find_element("id", "code").send_keys("12")
        driver.find_element("css selector", "#form button").click()
        waited(driver, lambda: text(driver, "refused") == "This is not the code in the terminal.")
        entered(driver, aim)
        waited(driver, lambda: states(driver) == {"good"})
        width = driver.execute_script("return document.getElementById('image').naturalWidth")
        assert (width, driver.find_element("id", "image").is_displayed()) == (640, True)
        assert "never stored" in text(driver, "images-note")
        accessible(driver)

        driver.find_element("id", "edit").click()
        driver.find_element("id", "clear").click()
        tap(driver, TILL[:3], "touch")
        (start, goal) = points(driver, [TILL[1], (0.5, 0.1)])
        for kind, at in (("touchStart", [start]), ("touchMove", [goal]), ("touchEnd", [])):
            touches = {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in at]}
            driver.execute_cdp_cmd("Input.dispatchTouchEvent", touches)
        assert text(driver, "message") == "1 zone."
        driver.find_element("id", "save").click()
        waited(driver, lambda: text(driver, "message").startswith("Saved in "))
        (zone,) = read(config).admit.staff_zones
        assert np.abs(np.array(zone) - [TILL[0], (0.5, 0.1), TILL[2]]).max() < 0.01
        aim.process.terminate()
        assert aim.process.wait(LIMIT_S) == 0
        waited(driver, lambda: "has ended" in driver.find_element("tag name", "body").text)
