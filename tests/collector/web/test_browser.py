"""The page in a real Chromium, without internet: what analysts do, on a desk and on a phone."""

import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from collector.devices.registry import Devices
from collector.store.load import load
from contract.message import Status, encode
from contract.topics import Address, topic
from tests.support.brokers import free_port, listens, mosquitto, needs_mosquitto, publish, start_collector, wait_until
from tests.support.browser import chromium, complaints, hosts_asked, needs_chromium, served
from tests.support.device_models import model
from tests.support.store import SEVEN, put, window

pytestmark = needs_chromium
NOW = datetime(2026, 3, 28, 17, 30, tzinfo=timezone.utc)
BOOT = "0" * 16
SLOW_S = 120.0
"""A browser draws in a second; a machine that does much else may take long."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of two shops by ten minutes, happy and sad, with a night in which the second sent nothing."""
    root = tmp_path_factory.mktemp("store")
    devices = Devices(root)
    for site, label in (("happy-shop", "happiness"), ("sad-shop", "sadness")):
        starts = [NOW - timedelta(minutes=10 * n) for n in range(1, 432)]
        kept = [start for start in starts if site == "happy-shop" or not 0 <= start.hour < 6]
        visits = dict.fromkeys(SEVEN, 0) | {label: 3, "neutral": 2}
        long = [window(n, visits, start, site=site, end=start + timedelta(minutes=10)) for n, start in enumerate(kept)]
        put(root, *long, writer=site)
        devices.note(Address(site, "door", "status"), Status(schema=1, state="online", boot=BOOT), False, NOW)
        devices.note(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    return root


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    with served(store, free_port(), "Europe/Berlin", lambda: NOW) as url:
        yield url


def text(driver: Any, name: str) -> str:
    return str(driver.execute_script("return (document.getElementById(arguments[0]) || {}).innerText || ''", name))


def opened(driver: Any, url: str) -> None:
    """Load the page, and return when its charts have said what they show."""
    driver.get(url)
    for name in ("trend", "shares", "heat", "comparison", "live"):
        wait_until(lambda name=name: len(text(driver, f"{name}-words")) > 20, f"{name} is drawn", SLOW_S)  # type: ignore[misc]


def choose(driver: Any, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", name)).select_by_value(value)


def press(driver: Any, name: str, value: str) -> None:
    """Choose one of a group of radio buttons, as a finger does: by its label."""
    button = driver.find_element("css selector", f"#{name} input[value='{value}']")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


@contextmanager
def behind_nginx(folder: Path, address: str) -> Iterator[str]:
    """The page behind nginx as `systemd/proxy/nginx.conf` has it, for analyst:word; a port and a folder of its own."""
    trustme = pytest.importorskip("trustme", reason="trustme makes the certificate")
    port, issued = free_port(), trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "facetally.key")
    issued.cert_chain_pems[0].write_to_path(folder / "facetally.pem")
    (folder / "facetally.passwords").write_text("analyst:{PLAIN}word\n")
    site = (Path(__file__).parents[3] / "systemd" / "proxy" / "nginx.conf").read_text()
    for theirs, ours in (
        ("/etc/nginx/", f"{folder}/"),
        ("    listen 443 ssl;", f"    listen 127.0.0.1:{port} ssl;"),
        ("    listen [::]:443 ssl;\n", ""),
        ("http://127.0.0.1:8050", address.rstrip("/")),
    ):
        assert theirs in site
        site = site.replace(theirs, ours)
    user = "user root; " if os.getuid() == 0 else ""  # its workers are another otherwise, and see no folder of a test
    around = f"{user}daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
    kept = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"{around}http {{ access_log off; {kept}\n{site}}}\n")
    with subprocess.Popen(["nginx", "-c", folder / "nginx.conf"]) as process:
        try:
            wait_until(lambda: listens(port), "nginx listens")
            yield f"https://127.0.0.1:{port}/"
        finally:
            process.terminate()


def test_an_analyst_filters_compares_and_downloads(address: str, tmp_path: Path) -> None:
    """All charts are drawn; a site chosen changes them all, the heat map follows its label, the comparison names what
    is clear, the file holds what is shown. Nothing is asked of another machine, and the console has no complaint.
    """
    with chromium(tmp_path) as driver:
        opened(driver, address)
        assert len(driver.find_elements("css selector", ".js-plotly-plot .main-svg")) >= 5
        assert "all sites" in text(driver, "trend-words")
        assert "happy-shop" in text(driver, "devices")
        choose(driver, "site", "sad-shop")
        wait_until(lambda: "most often sadness" in text(driver, "trend-words"), "the site is shown", SLOW_S)
        assert "gap" in text(driver, "trend-words")
        wait_until(lambda: "happy-shop" not in text(driver, "devices"), "devices of the site only", SLOW_S)
        choose(driver, "heat-of", "sadness")
        wait_until(lambda: "visits of sadness" in text(driver, "heat-words"), "the heat map follows", SLOW_S)
        press(driver, "against", "site")
        choose(driver, "other", "happy-shop")
        clear = "In sad-shop, beside happy-shop: less happiness, more sadness; no clear change in the others."
        wait_until(lambda: text(driver, "comparison-words") == clear, "the comparison is drawn", SLOW_S)
        driver.find_element("id", "as-csv").click()
        wait_until(lambda: any(tmp_path.glob("*.csv")), "the file is there", SLOW_S)
        frame = pd.read_csv(next(tmp_path.glob("facetally-sad-shop-*.csv")))
        assert f"{frame['visits'].sum():,.0f} visits" in text(driver, "trend-words")
        assert frame["visits"].isna().any(), "the night is a gap"
        assert hosts_asked(driver) == set()
        assert complaints(driver) == []


def test_a_phone_shows_all_of_it_in_the_dark(address: str, tmp_path: Path) -> None:
    """At 375 pixels nothing is wider than the screen; dark follows the system, and the switch beats the system."""
    paper = "return getComputedStyle(document.body).backgroundColor"
    with chromium(tmp_path, width=375, height=800, dark=True) as driver:
        opened(driver, address)
        assert driver.execute_script("return document.documentElement.scrollWidth") == 375
        assert driver.execute_script(paper) == "rgb(18, 22, 28)"
        press(driver, "theme", "light")
        assert driver.execute_script(paper) == "rgb(246, 247, 249)"
        assert hosts_asked(driver) == set()


def test_keyboards_and_screen_readers_get_along(address: str, tmp_path: Path) -> None:
    """Tab leads from the link over the controls; each chart is an image with words and a table; axe finds nothing."""
    import selenium_axe_python
    from selenium.webdriver.common.keys import Keys

    with chromium(tmp_path) as driver:
        opened(driver, address)
        order = []
        for _ in range(5):
            driver.switch_to.active_element.send_keys(Keys.TAB)
            focused = driver.switch_to.active_element
            order.append(focused.get_attribute("id") or focused.get_attribute("name") or focused.text)
        assert order[0] == "Skip to the charts"
        assert "site" in order
        for name in ("live", "trend", "shares", "heat", "comparison"):
            chart = driver.find_element("id", f"{name}-chart")
            assert (chart.get_attribute("role"), len(chart.get_attribute("aria-label")) > 20) == ("img", True)
            assert driver.execute_script("return !!document.querySelector(arguments[0])", f"#{name}-table table")
        driver.set_script_timeout(SLOW_S)
        driver.execute_script(next(Path(selenium_axe_python.__file__).parent.rglob("axe.min.js")).read_text())
        run_axe = "const done = arguments[0]; axe.run({exclude: ['.js-plotly-plot']}).then(done, e => done(String(e)))"
        found = driver.execute_async_script(run_axe)
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
        assert len(found["passes"]) > 20


def says(driver: Any, name: str, begin: str) -> None:
    """Return when the words of a chart begin so."""
    try:
        wait_until(lambda: text(driver, f"{name}-words").startswith(begin), f"{name} says {begin!r}", SLOW_S)
    except AssertionError as error:
        told = (text(driver, f"{name}-words"), text(driver, "as-of"), text(driver, "devices"), complaints(driver))
        raise AssertionError(f"{error}; the page says {told}") from error


@needs_mosquitto
def test_a_window_that_arrives_is_shown_without_reload(tmp_path: Path) -> None:
    """Sent to a real broker, stored by the collector: the page that is open says so, and has not been loaded again."""
    port, root = free_port(), tmp_path / "store"
    now = datetime.now(timezone.utc).replace(microsecond=0)

    def visits(seq: int, number: int) -> tuple[str, bytes]:
        start = now - timedelta(minutes=10 - seq)
        counts = window(seq, dict.fromkeys(SEVEN, 0) | {"surprise": number}, start)
        return topic(counts.site, counts.device, "counts"), encode(counts)

    def utc_now() -> datetime:
        return datetime.now(timezone.utc)

    with mosquitto(tmp_path, port):
        collector = start_collector(root, port)
        try:
            publish(port, [visits(1, 4)])
            wait_until(lambda: len(load(root)) == 1, "the first window is stored")
            with served(root, free_port(), "UTC", utc_now) as url, chromium(tmp_path) as driver:
                opened(driver, url)
                driver.execute_script("window.sameLoad = true")
                says(driver, "live", "4 visits")
                publish(port, [visits(2, 7)])
                says(driver, "live", "11 visits")
                assert driver.execute_script("return window.sameLoad") is True
        finally:
            collector.terminate()
            collector.communicate(timeout=20)
    assert collector.returncode == 0


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not on PATH (apt-get install nginx)")
def test_the_page_works_behind_nginx(address: str, tmp_path: Path) -> None:
    """Through TLS and a login all is drawn, a site chosen changes it, and the console has no complaint."""
    login = {"headers": {"Authorization": "Basic " + b64encode(b"analyst:word").decode()}}
    with behind_nginx(tmp_path, address) as url, chromium(tmp_path) as driver:
        driver.execute_cdp_cmd("Security.setIgnoreCertificateErrors", {"ignore": True})
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", login)
        opened(driver, url)
        before = text(driver, "shares-words")
        choose(driver, "site", "sad-shop")
        wait_until(lambda: text(driver, "shares-words") != before, "the choice is drawn", SLOW_S)
        assert "sadness" in text(driver, "shares-words")
        assert complaints(driver) == []
