"""A headless Chromium driven by Selenium, with a log of its requests and console messages."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest

from collector.settings import Access, Api, Page, Settings, Store
from tests.support.brokers import LIMIT_S, listens, wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not on PATH (apt-get install chromium-driver)"
)
THIS_MACHINE = ("127.0.0.1", "localhost")


@contextmanager
def chromium(
    folder: Path, width: int = 1280, height: int = 1000, dark: bool = False, *, insecure: bool = False
) -> Iterator[Any]:
    """Yield a browser window of a size in CSS pixels; downloads go to the folder.

    An ``insecure`` one accepts a certificate that nobody signed.
    """
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "headless=new",
        "disable-gpu",
        "disable-dev-shm-usage",
        "hide-scrollbars",
        "force-color-profile=srgb",
    ):
        options.add_argument(f"--{argument}")
    if os.getuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium requires it for root, as in CI
    options.set_capability("acceptInsecureCerts", insecure)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with Chrome(options=options, service=ChromeService(DRIVER)) as driver:
        driver.set_script_timeout(LIMIT_S)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        yield driver


def text(driver: Any, name: str) -> str:
    """The visible text of the element with an id; empty if there is none."""
    return str(driver.execute_script("return (document.getElementById(arguments[0]) || {}).innerText || ''", name))


def again(action: Callable[[], object]) -> bool:
    """Whether an action on an element succeeds; False if the element is not there yet, or was replaced meanwhile."""
    from selenium.common.exceptions import (
        ElementNotInteractableException,
        NoSuchElementException,
        StaleElementReferenceException,
    )

    try:
        action()
    except (ElementNotInteractableException, NoSuchElementException, StaleElementReferenceException):
        return False
    return True


def click(driver: Any, selector: str) -> None:
    """Click the element with a CSS selector in the middle of the screen, as soon as it is there."""

    def scrolled_to() -> None:
        element = driver.find_element("css selector", selector)
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    wait_until(lambda: again(scrolled_to), f"{selector} can be clicked")


def choose(driver: Any, name: str, value: str) -> None:
    """Select a value in a list, as soon as it is offered."""
    from selenium.webdriver.support.ui import Select

    wait_until(
        lambda: again(lambda: Select(driver.find_element("id", name)).select_by_value(value)),
        f"{name} offers {value}",
    )


def wait_for_charts(driver: Any, *names: str) -> None:
    """Return when the charts with these ids have lines or bars."""
    drawn = (
        "return arguments[0].every((name) => {"
        " const plot = document.querySelector(`#${name} .js-plotly-plot`);"
        " return plot && plot.querySelector('.main-svg') && plot.data.length })"
    )
    wait_until(lambda: driver.execute_script(drawn, names), f"{', '.join(names)} are drawn")


def wait_for_width(driver: Any, pixels: int) -> None:
    """Return when nothing on the page is wider than the screen."""
    wide = "return document.documentElement.scrollWidth"
    wait_until(lambda: driver.execute_script(wide) == pixels, f"nothing is wider than {pixels} pixels")


def hosts_asked(driver: Any) -> set[str]:
    """Return the hosts other than this machine that the page has sent requests to."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    hosts = {urlsplit(url).hostname for url in urls if url.startswith(("http", "ws"))}
    assert hosts, "the log has no requests at all"
    return {host for host in hosts if host and host not in THIS_MACHINE}


def complaints(driver: Any) -> list[str]:
    """Return the warnings and errors in the browser's console."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]


def violations(driver: Any) -> list[Any]:
    """Return what axe finds wrong with the page for people with disabilities: rules with the elements that break
    them."""
    import selenium_axe_python

    driver.execute_script(next(Path(selenium_axe_python.__file__).parent.rglob("axe.min.js")).read_text())
    run = "const done = arguments[0]; axe.run({exclude: ['.js-plotly-plot']}).then(done, e => done(String(e)))"
    found = driver.execute_async_script(run)
    assert len(found["passes"]) > 20, "axe has checked the page"
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]]


def sent_bytes(driver: Any) -> int:
    """Return the bytes of all responses over the wire since the log of requests was last read."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    finished = [each["params"] for each in events if each["method"] == "Network.loadingFinished"]
    return int(sum(each["encodedDataLength"] for each in finished))


@contextmanager
def served(
    root: Path,
    port: int,
    zone: str,
    now: Callable[[], datetime],
    *,
    token_file: str | None = None,
    access: Access | None = None,
    **page: Any,
) -> Iterator[str]:
    """Serve the page of a store as `facetally-collector serve` does, with settings of ``page``; yield its URL."""
    from collector.web.serve import serve

    stop = threading.Event()
    settings = Settings(
        store=Store(root=str(root)),
        page=Page(port=port, **page),
        api=Api(token_file=token_file),
        access=access or Access(),
    )
    thread = threading.Thread(target=serve, args=(settings, ZoneInfo(zone), stop, now))
    thread.start()
    wait_until(lambda: listens(port), "the page is served")
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        stop.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive(), "the server must end when it is stopped"
