"""The page for drawing staff zones, in a real Chromium."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.commands.zones import zones_page
from edge.counting.admit import first_polygon
from edge.counting.zone_advice import advise
from edge.settings import read
from tests.support.browser import chromium, complaints, needs_chromium
from tests.support.commands import CONFIG

pytestmark = needs_chromium
DESK = [(0.1, 0.25), (0.4, 0.3), (0.35, 0.75), (0.1, 0.8)]
TILL = [(0.7, 0.5), (0.95, 0.5), (0.95, 0.9)]


@pytest.fixture
def page(tmp_path):
    """The page, with an image of a camera open."""
    image = np.full((480, 640), 90, np.uint8)
    cv2.rectangle(image, (64, 120), (256, 384), 200, 3)
    cv2.imwrite(str(tmp_path / "view.png"), image)
    with chromium(tmp_path) as driver:
        (tmp_path / "zones.html").write_text(zones_page())
        driver.get((tmp_path / "zones.html").as_uri())
        opened(driver, tmp_path / "view.png")
        assert driver.find_element("id", "stage").is_displayed()
        yield driver


def opened(driver, image):
    """Choose an image file, and return when it is shown or refused."""
    driver.find_element("id", "file").send_keys(str(image))
    ready = "const p = arguments[0], d = arguments[1]; p.decode().then(d, d)"
    driver.execute_async_script(ready, driver.find_element("id", "image"))


def click(driver, *corners):
    """Click corners, given as fractions of the image."""
    from selenium.webdriver import ActionChains

    drawing = driver.find_element("id", "drawing")
    size = drawing.size
    for x, y in corners:
        move = (round((x - 0.5) * size["width"]), round((y - 0.5) * size["height"]))
        ActionChains(driver).move_to_element_with_offset(drawing, *move).click().perform()


def line(driver):
    return driver.find_element("id", "line").get_property("value")


def message(driver):
    return driver.find_element("id", "message").text


def configured(folder, line):
    """Return the zones that the daemon reads from a line of its configuration."""
    (folder / "edge.toml").write_text(CONFIG.replace("staff_zones = []", line))
    return read(folder / "edge.toml").admit.staff_zones


def test_clicked_zones_are_those_of_the_daemon(page, tmp_path):
    """Two zones are drawn and a wrong corner removed; the daemon reads the line, with the corners as clicked."""
    assert (line(page), message(page)) == ("staff_zones = []", "0 zones.")
    click(page, *DESK)
    page.find_element("id", "next").click()
    click(page, *TILL[:2], (0.5, 0.1))
    page.find_element("id", "undo").click()
    assert message(page) == "A zone must have at least three corners."
    click(page, TILL[2])
    assert message(page) == "2 zones."
    zones = configured(tmp_path, line(page))
    for drawn, clicked in zip(zones, (DESK, TILL), strict=True):
        assert np.abs(np.array(drawn) - clicked).max() < 0.004
    assert first_polygon((0.2, 0.5), zones) == 0
    assert first_polygon((0.9, 0.6), zones) == 1
    assert first_polygon((0.55, 0.5), zones) is None
    assert len(page.find_elements("css selector", "#drawing polygon")) == 2


def test_an_existing_line_is_drawn(page, tmp_path):
    """A line with a comment and a trailing comma is drawn; a line that is not valid gives a message."""
    area = page.find_element("id", "line")
    area.clear()
    area.send_keys("staff_zones = [[[0.0, 0.3], [0.4, 0.3], [0.4, 1.0],], ]  # the desk")
    assert message(page) == "1 zone."
    assert len(page.find_elements("css selector", "#drawing polygon")) == 1
    click(page, *TILL)
    assert configured(tmp_path, line(page))[0] == ((0.0, 0.3), (0.4, 0.3), (0.4, 1.0))
    assert len(configured(tmp_path, line(page))) == 2
    for wrong in ("staff_zones = [[[0.0, 0.3], [1.4, 0.3], [0.4, 1.0]]]", "staff_zones = [[[0.0, 0.3]]]", "zones"):
        area.clear()
        area.send_keys(wrong)
        assert "Not a line of zones" in message(page)


def test_the_page_warns_as_check_does(page):
    """For 100 random sets of zones, some along the edge, page and Python give the same sentences."""
    rng = np.random.default_rng(27)
    sets = []
    for _ in range(100):
        corners = rng.uniform(-0.2, 1.2, (rng.integers(0, 4), rng.integers(3, 7), 2)).clip(0, 1).round(3)
        sets.append([[tuple(corner) for corner in zone] for zone in corners.tolist()])
    expected = [advise(zones) for zones in sets]
    assert page.execute_script("return arguments[0].map(advise)", sets) == expected
    assert 10 < sum(map(bool, expected)) < 90
    area = page.find_element("id", "line")
    area.clear()
    area.send_keys("staff_zones = [[[0, 0], [0.05, 0], [0.05, 1], [0, 1]]]")
    assert [item.text for item in page.find_elements("css selector", "#advice li")] == [
        "zone 1 covers 100 % of the left edge: people who walk in or out there are not counted",
        "the zones lie on 55 % of the straight paths through the frame: few visitors are counted",
    ]
    area.clear()
    area.send_keys("staff_zones = []")
    assert page.find_elements("css selector", "#advice li") == []


def test_the_page_cannot_send_the_image(page, tmp_path):
    """The content security policy blocks the network for all scripts. A file that is no image is refused."""
    requests = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)

    assert complaints(page) == []
    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sends = "const done = arguments[1]; fetch(arguments[0]).then(() => done('sent'), e => done(String(e)))"
        error = page.execute_async_script(sends, f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert ("Failed to fetch" in error, requests) == (True, [])
    (tmp_path / "notes.png").write_text("not an image")
    opened(page, tmp_path / "notes.png")
    assert message(page) == "notes.png: must be an image."


def test_the_page_is_accessible(page):
    """Axe finds no violation of its accessibility rules."""
    import selenium_axe_python

    page.execute_script(next(Path(selenium_axe_python.__file__).parent.rglob("axe.min.js")).read_text())
    click(page, *DESK)
    run_axe = "const done = arguments[0]; axe.run().then(done, e => done(String(e)))"
    found = page.execute_async_script(run_axe)
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
