"""The page in a real Chromium without internet: what analysts do, on a desktop and on a phone."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.machines.nginx import nginx
from collector.devices.registry import DeviceRegistry
from collector.store.load import load
from contract.message import Status, encode
from contract.topics import Address, topic
from tests.support.brokers import LIMIT_S, free_port, mosquitto, needs_mosquitto, publish, start_collector, wait_until
from tests.support.browser import (
    choose,
    chromium,
    click,
    complaints,
    hosts_asked,
    needs_chromium,
    served,
    text,
    violations,
    wait_for_charts,
    wait_for_width,
)
from tests.support.device_models import model
from tests.support.nginx import needs_nginx
from tests.support.store import SEVEN, put, window

pytestmark = needs_chromium
NOW = datetime(2026, 3, 28, 17, 30, tzinfo=timezone.utc)
BOOT = "0" * 16


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of two shops in windows of ten minutes, one happy, one sad; the second sent nothing at night."""
    root = tmp_path_factory.mktemp("store")
    devices = DeviceRegistry(root)
    for site, label in (("happy-shop", "happiness"), ("sad-shop", "sadness")):
        starts = [NOW - timedelta(minutes=10 * n) for n in range(1, 432)]
        kept = [start for start in starts if site == "happy-shop" or not 0 <= start.hour < 6]
        visits = dict.fromkeys(SEVEN, 0) | {label: 3, "neutral": 2}
        long = [window(n, visits, start, site=site, end=start + timedelta(minutes=10)) for n, start in enumerate(kept)]
        put(root, *long, writer=site)
        devices.record(Address(site, "door", "status"), Status(schema=1, state="online", boot=BOOT), False, NOW)
        devices.record(Address(site, "door", "model"), model(), False, NOW)
    devices.save()
    return root


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    groups = store / "groups.csv"
    groups.write_text("site,device,group\nhappy-shop,door,north\nsad-shop,door,south\n")
    with served(store, free_port(), "Europe/Berlin", lambda: NOW, groups=str(groups)) as url:
        yield url


def opened(driver: Any, url: str) -> None:
    """Load the page, scroll to its charts, and return when they have descriptions."""
    driver.get(url)
    wait_until(lambda: text(driver, "tile-visits") and text(driver, "ranking"), "the first screen is drawn")
    driver.execute_script("document.getElementById('below').scrollIntoView()")
    for name in ("trend", "shares", "heat", "comparison", "live"):
        wait_until(lambda name=name: len(text(driver, f"{name}-words")) > 20, f"{name} is drawn")  # type: ignore[misc]
    wait_for_charts(driver, "trend", "shares", "heat", "comparison", "live")


def press(driver: Any, name: str, value: str) -> None:
    """Select a radio button or a check box."""
    click(driver, f"#{name} input[value='{value}']")


def downloaded(folder: Path, pattern: str) -> list[Path]:
    """Return the files of this pattern in a folder, once a browser has written them as a whole."""
    complete = lambda: any(folder.glob(pattern)) and not any(folder.glob("*.crdownload"))  # noqa: E731 - one line
    wait_until(lambda: complete() and all(each.stat().st_size for each in folder.glob(pattern)), "the file is there")
    return list(folder.glob(pattern))


@contextmanager
def behind_nginx(folder: Path, address: str) -> Iterator[str]:
    """Serve the page behind nginx with `systemd/proxy/nginx.conf`, for the login analyst:word."""
    trustme = pytest.importorskip("trustme", reason="trustme makes the certificate")
    port, issued = free_port(), trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "facetally.key")
    issued.cert_chain_pems[0].write_to_path(folder / "facetally.pem")
    (folder / "facetally.passwords").write_text("analyst:{PLAIN}word\n")
    replaced = {
        "/etc/nginx/": f"{folder}/",
        "    listen 443 ssl;": f"    listen 127.0.0.1:{port} ssl;",
        "    listen [::]:443 ssl;\n": "",
        "http://127.0.0.1:8050": address.rstrip("/"),
    }
    with nginx(folder, "nginx.conf", port, replaced):
        yield f"https://127.0.0.1:{port}/"


def test_an_analyst_filters_compares_and_downloads(address: str, tmp_path: Path) -> None:
    """All charts are drawn and follow the selected site, the heat map follows its label, the comparison names clear
    changes, and the file has what is shown. No other host is contacted and the console has no warnings.
    """
    with chromium(tmp_path) as driver:
        opened(driver, address)
        assert "all sites" in text(driver, "trend-words")
        wait_until(lambda: "happy-shop" in text(driver, "devices"), "the devices are listed")
        choose(driver, "group", "south")
        wait_until(lambda: "happy-shop" not in text(driver, "devices"), "devices of the group only")
        choose(driver, "group", "north")
        wait_until(lambda: "happy-shop" in text(driver, "devices"), "devices of the other group")
        assert "sad-shop" not in text(driver, "devices")
        opened(driver, address)
        click(driver, "#sites-chosen")
        press(driver, "sites", "sad-shop")
        wait_until(lambda: "most often sadness" in text(driver, "trend-words"), "the site is shown")
        assert "gap" in text(driver, "trend-words")
        wait_until(lambda: "happy-shop" not in text(driver, "devices"), "devices of the site only")
        choose(driver, "heat-of", "sadness")
        wait_until(lambda: "Visits of sadness" in text(driver, "heat-words"), "the heat map follows")
        choose(driver, "against", "site")
        choose(driver, "other", "happy-shop")
        clear = "sad-shop, compared with happy-shop: less happiness, more sadness; no clear change in the others."
        wait_until(lambda: text(driver, "comparison-words") == clear, "the comparison is drawn")
        click(driver, "#as-csv")
        (file,) = downloaded(tmp_path, "facetally-sad-shop-*.csv")
        frame = pd.read_csv(file)
        assert f"{frame['visits'].sum():,.0f} visits" in text(driver, "trend-words")
        assert frame["visits"].isna().any(), "the night is a gap"
        assert hosts_asked(driver) == set()
        assert complaints(driver) == []


def test_the_page_fits_a_phone_in_dark_mode(address: str, tmp_path: Path) -> None:
    """At 375 pixels nothing is wider than the screen; dark mode follows the system, and the switch overrides it."""
    paper = "return getComputedStyle(document.body).backgroundColor"
    with chromium(tmp_path, width=375, height=800, dark=True) as driver:
        opened(driver, address)
        wait_for_width(driver, 375)
        wait_until(lambda: driver.execute_script(paper) == "rgb(18, 22, 28)", "the page is dark")
        press(driver, "theme", "light")
        wait_until(lambda: driver.execute_script(paper) == "rgb(246, 247, 249)", "the page is light")
        assert hosts_asked(driver) == set()


def test_the_page_works_with_keyboards_and_screen_readers(address: str, tmp_path: Path) -> None:
    """Tab visits link and controls; each chart is an image with a description and a table; axe finds no violation."""
    from selenium.webdriver.common.keys import Keys

    with chromium(tmp_path) as driver:
        opened(driver, address)
        order = []
        for _ in range(8):
            driver.switch_to.active_element.send_keys(Keys.TAB)
            focused = driver.switch_to.active_element
            order.append(focused.get_attribute("id") or focused.get_attribute("name") or focused.text)
        assert order[0] == "Skip to the figures"
        assert "sites-chosen" in order
        for name in ("live", "trend", "shares", "heat", "comparison"):
            chart = driver.find_element("id", f"{name}-chart")
            assert (chart.get_attribute("role"), len(chart.get_attribute("aria-label")) > 20) == ("img", True)
            assert driver.execute_script("return !!document.querySelector(arguments[0])", f"#{name}-table table")
        assert violations(driver) == []


def wait_for_description(driver: Any, name: str, begin: str) -> None:
    """Return when the description of a chart begins with this text."""
    try:
        wait_until(
            lambda: text(driver, f"{name}-words").startswith(begin),
            f"the description of {name} begins with {begin!r}",
        )
    except AssertionError as error:
        shown = (text(driver, f"{name}-words"), text(driver, "as-of"), text(driver, "devices"), complaints(driver))
        raise AssertionError(f"{error}; the page shows {shown}") from error


@needs_mosquitto
def test_a_window_that_arrives_is_shown_without_reload(tmp_path: Path) -> None:
    """A window sent through a real broker and stored by the collector appears on the open page."""
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
                wait_for_description(driver, "live", "4 visits")
                publish(port, [visits(2, 7)])
                wait_for_description(driver, "live", "11 visits")
                assert driver.execute_script("return window.sameLoad") is True
        finally:
            collector.terminate()
            collector.communicate(timeout=LIMIT_S)
    assert collector.returncode == 0


@needs_nginx
def test_the_page_works_behind_nginx(address: str, tmp_path: Path) -> None:
    """Through TLS and a login everything is drawn and follows the site; the console has no warnings."""
    login = {"headers": {"Authorization": "Basic " + b64encode(b"analyst:word").decode()}}
    with behind_nginx(tmp_path, address) as url, chromium(tmp_path) as driver:
        driver.execute_cdp_cmd("Security.setIgnoreCertificateErrors", {"ignore": True})
        driver.execute_cdp_cmd("Network.enable", {})
        driver.execute_cdp_cmd("Network.setExtraHTTPHeaders", login)
        opened(driver, url)
        before = text(driver, "shares-words")
        click(driver, "#sites-chosen")
        press(driver, "sites", "sad-shop")
        wait_until(lambda: "sadness" in (now := text(driver, "shares-words")) and now != before, "the choice is drawn")
        assert complaints(driver) == []
