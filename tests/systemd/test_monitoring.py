"""The shipped monitoring files work in a real Prometheus that reads a real collector."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from collector.devices.registry import DeviceRegistry
from collector.receive.dead_letters import DeadLetters
from collector.receive.intake import Intake, ReceivedMessage
from collector.settings import Limits
from collector.store.writer import StoreWriter
from contract.message import Message, Status, encode
from tests.support.brokers import free_port, listens, wait_until
from tests.support.messages import BOOT, MESSAGES
from tests.support.prometheus import MONITORING, ask, needs_prometheus, prometheus
from tests.support.store import window

RULE_TESTS = Path(__file__).with_name("facetally-rules-test.yml")
ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((MONITORING / "grafana-prometheus.json").read_text())


def receive(root: Path, *messages: tuple[str, Message]) -> None:
    """Let a collector take messages of shop-1/door, and end."""
    with StoreWriter(root, "collector") as writer:
        limits = Limits(past_days=36_500, future_days=36_500)
        intake = Intake(writer, DeviceRegistry(root), DeadLetters(root, 10_000), limits)
        received = [ReceivedMessage(f"facetally/v1/shop-1/door/{kind}", encode(message)) for kind, message in messages]
        intake.process(received, datetime.now(timezone.utc))
        intake.save_devices()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Prometheus that reads a collector with a device whose camera was moved and whose certificate ends soon."""
    folder = tmp_path_factory.mktemp("monitoring")
    now = datetime.now(timezone.utc)
    health = replace(MESSAGES["health-4"], time=now, certificate_ends=now + timedelta(days=9))
    counted = window(1, start=now - timedelta(minutes=3), schema=2, doubtful_low=1, degraded=("moved",))
    receive(folder, ("status", Status(schema=1, state="online", boot=BOOT)), ("health", health), ("counts", counted))
    page = free_port()
    command = [sys.executable, "-m", "collector", "serve", "--root", str(folder), "--set", f"page.port={page}"]
    command += ["--set", "api.requests_per_minute=10000"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: listens(page), "the collector serves")
            with prometheus(folder, page) as asked:
                count = 'count_over_time(up{job="facetally"}[1m]) > 2'
                wait_until(lambda: bool(ask(asked, "query", query=count)["result"]), "three scrapes")
                yield asked
        finally:
            process.terminate()


@needs_prometheus
def test_the_alert_rules_pass_their_tests(tmp_path: Path) -> None:
    """Promtool accepts rules and tests. Each alert has a test, and the tests fail for another rule."""
    rules = MONITORING / "facetally-rules.yml"
    subprocess.run(["promtool", "check", "config", MONITORING / "prometheus.yml"], check=True, capture_output=True)
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-ec", commands], check=True, capture_output=True, cwd=ROOT)
    text = rules.read_text()
    names = [line.partition("alert: ")[2] for line in text.splitlines() if "alert: " in line]
    assert [name for name in names if f"alertname: {name}\n" not in RULE_TESTS.read_text()] == []
    assert names == re.findall(r"`(Facetally\w+)`", GUIDE)
    (tmp_path / "rules.yml").write_text(text.replace('kind="moved"} == 1', 'kind="moved"} == 2'))
    changed = tmp_path / RULE_TESTS.name
    changed.write_text(RULE_TESTS.read_text().replace("../../systemd/monitoring/facetally-rules.yml", "rules.yml"))
    done = subprocess.run(["promtool", "test", "rules", changed], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "FacetallyCameraMoved" in done.stderr + done.stdout


def query(port: int, text: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each sample of an instant query."""
    found = ask(port, "query", query=text)["result"]
    return [(each["metric"], float(each["value"][1])) for each in found]


@needs_prometheus
def test_prometheus_has_the_counters_and_states(port: int) -> None:
    """Visits, watched time, doubtful visits, and what needs a person, are there as the device has sent them."""
    visits = {key["label"]: value for key, value in query(port, "facetally_device_visits_total")}
    assert visits["happiness"] == 3 and sum(visits.values()) == 3
    ((_, watched),) = query(port, "facetally_device_watched_seconds_total")
    assert watched == pytest.approx(60 * 0.983)
    doubtful = {key["may_be"]: value for key, value in query(port, "facetally_device_doubtful_visits_total")}
    assert doubtful == {"none": 1, "two": 0}
    wanted = {"moved", "update", "certificate"}
    assert {key["kind"] for key, _ in query(port, "facetally_device_attention == 1")} >= wanted
    assert query(port, "facetally_device_clock_synced")[0][1] == 1


@needs_prometheus
def test_the_guide_names_every_metric(port: int) -> None:
    """Prometheus knows the metrics of docs/monitoring.md, but for those of what did not happen, and no other."""
    known = {name for name in ask(port, "label/__name__/values") if name.startswith("facetally_")}
    named = set(re.findall(r"`(facetally_\w+)`", GUIDE))
    assert known <= named
    assert named - known <= {"facetally_refused_messages_total"}


@needs_prometheus
def test_prometheus_evaluates_every_rule(port: int) -> None:
    """No rule fails, and the camera that was moved has a pending alert, which fires after ten minutes."""

    def rules() -> list[Any]:
        found: list[Any] = ask(port, "rules")["groups"][0]["rules"]
        return found

    wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()), "the rules are evaluated")
    assert {rule["health"] for rule in rules()} == {"ok"}
    states = {rule["name"]: rule["state"] for rule in rules()}
    assert states["FacetallyCameraMoved"] == states["FacetallyUpdateFailed"] == "pending"
    assert states["FacetallyDeviceOffline"] == "inactive"


@needs_prometheus
def test_prometheus_answers_every_query_of_the_dashboard(port: int) -> None:
    """Each expression is valid, and each but the one of refused messages has samples."""
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert len(expressions) > 10
    for expression in expressions:
        text = expression.replace("$site", ".*").replace("$__range", "1h")
        assert "$" not in text
        samples = query(port, text)
        assert samples or "refused_messages" in expression, expression


def test_the_telegraf_snippet_is_toml() -> None:
    """It reads the counts as the user `analyst`. Telegraf itself is not run."""
    read = msgspec.toml.decode((MONITORING / "telegraf.conf").read_text())
    (consumer,) = read["inputs"]["mqtt_consumer"]
    assert (consumer["username"], consumer["client_id"]) == ("analyst", "analyst")


def test_counters_go_on_after_a_restart(tmp_path: Path) -> None:
    """A collector that starts again adds to the sums of the one before; a repeated window is not added."""
    from collector.api.metrics import exposition
    from collector.reading.reader import Reader

    receive(tmp_path, ("counts", window(1)))
    receive(tmp_path, ("counts", window(1)), ("counts", window(2)))
    text = exposition(Reader(tmp_path, lambda: datetime.now(timezone.utc)), lambda: datetime.now(timezone.utc)).decode()
    assert 'facetally_device_windows_total{device="door",site="shop-1"} 2.0' in text
    assert 'facetally_device_visits_total{device="door",label="happiness",site="shop-1"} 6.0' in text
