"""Prove that a real Home Assistant shows the sensors of a device, and says when the device is away.

``python -m benchmarks.machines.home_assistant --folder FOLDER``

It installs Home Assistant from the package index in ``FOLDER/venv``, unless it is there already, which takes some
minutes. Home Assistant is set up as a person does it, but over HTTP: the first user, then the MQTT integration. The
broker is Mosquitto. The collector publishes hours and their description, and a device sends the windows of an hour.
Then the states that Home Assistant reports must be those of the hour.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.machines.nspawn import wait_until
from benchmarks.simulation.collector_process import Collector
from contract.labels import EXPRESSIONS
from contract.message import BundleIdentity, Counts, Message, Model, Models, Privacy, Status, encode
from contract.topics import Kind, topic
from demo.mosquitto import free_port, mosquitto, wait_for

REQUIREMENTS = ("homeassistant==2024.3.3", "paho-mqtt==1.6.1", "josepy<2")
"""The last Home Assistant for Python 3.11, and what it needs besides: its MQTT client, and an older josepy."""
START_LIMIT_S, STATE_LIMIT_S = 900.0, 180.0
"""At its first start Home Assistant installs what its integrations need."""
SITE, DEVICE, BOOT = "shop-1", "door", "0" * 16
VISITS = {"happiness": 3, "neutral": 4, "unknown": 1}
"""Visits of each of two windows."""
OFFLINE = "unavailable"


@dataclass(slots=True)
class HomeAssistant:
    """A client of a running Home Assistant."""

    port: int
    token: str = ""

    def call(self, path: str, body: object = None) -> Any:
        """Return the JSON of an answer; POST if there is a body. RuntimeError if Home Assistant refuses."""
        return self._answer(path, json.dumps(body).encode() if body is not None else None, "application/json")

    def create_user(self) -> None:
        """Create the first user, and log in."""
        client = f"http://127.0.0.1:{self.port}/"
        user = {"client_id": client, "name": "Owner", "username": "owner", "password": "secret", "language": "en"}
        code = self.call("/api/onboarding/users", user)["auth_code"]
        form = urlencode({"grant_type": "authorization_code", "code": code, "client_id": client})
        self.token = self._answer("/auth/token", form.encode(), "application/x-www-form-urlencoded")["access_token"]

    def _answer(self, path: str, body: bytes | None, kind: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(
                "POST" if body else "GET", path, body, headers | ({"Content-Type": kind} if body else {})
            )
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path}: status must be 200, is {answer.status}: {text[:300]!r}")
        return json.loads(text)

    def add_mqtt(self, port: int) -> None:
        """Set up the MQTT integration. RuntimeError if it does not take the broker."""
        flow = self.call("/api/config/config_entries/flow", {"handler": "mqtt"})["flow_id"]
        done = self.call(f"/api/config/config_entries/flow/{flow}", {"broker": "127.0.0.1", "port": port})
        if done["type"] != "create_entry":
            raise RuntimeError(f"MQTT integration: must be created, is {done}")

    def sensors(self) -> dict[str, dict[str, Any]]:
        """Return the states of the sensors of the device, by name."""
        states = self.call("/api/states")
        prefix = f"{SITE} {DEVICE} "
        names = {state["attributes"].get("friendly_name", ""): state for state in states}
        return {name.removeprefix(prefix): state for name, state in names.items() if name.startswith(prefix)}


@contextmanager
def home_assistant(folder: Path) -> Iterator[HomeAssistant]:
    """Run Home Assistant with a new configuration; its log is ``folder/home-assistant.log``."""
    programs, config, port = folder / "venv/bin", folder / "config", free_port()
    config.mkdir()
    lines = ("http:", "  server_host: 127.0.0.1", f"  server_port: {port}", "api:", "config:", "onboarding:", "")
    (config / "configuration.yaml").write_text("\n".join(lines))
    with (folder / "home-assistant.log").open("wb") as log:
        process = subprocess.Popen([programs / "hass", "--config", config], stdout=log, stderr=log)
        try:
            wait_for(port, START_LIMIT_S)
            client = HomeAssistant(port)
            wait_until(lambda: answers(client, "/api/onboarding"), START_LIMIT_S, "ready for the first user")
            yield client
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(client: HomeAssistant, path: str) -> bool:
    """Return whether a page is there."""
    try:
        client.call(path)
    except (OSError, RuntimeError):
        return False
    return True


def install(folder: Path) -> None:
    """Install Home Assistant, unless it is there."""
    if (folder / "venv/bin/hass").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([folder / "venv/bin/python", "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)


def windows(hour: datetime) -> list[Counts]:
    """Return two windows of an hour."""
    models = Models(detector="face@0123456789ab", expression="expression@ba9876543210")
    return [
        Counts(
            schema=1, site=SITE, device=DEVICE, boot=BOOT, seq=number, start=hour + timedelta(minutes=number),
            end=hour + timedelta(minutes=number + 1), clock="synced", coverage=1.0, degraded=(),
            visits=dict.fromkeys((*EXPRESSIONS, "unknown"), 0) | VISITS, merged=1, privacy=Privacy(k=1), model=models,
        )
        for number in range(2)
    ]  # fmt: skip


@contextmanager
def device(port: int) -> Iterator[Client]:
    """Connect as the device, with its state and model."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"{SITE}/{DEVICE}")
    client.connect("127.0.0.1", port)
    client.loop_start()
    detector = BundleIdentity(name="face", sha256="0123456789ab" + "0" * 52)
    expression = BundleIdentity(name="expression", sha256="ba9876543210" + "0" * 52, labels=EXPRESSIONS)
    send(client, "status", Status(schema=1, state="online", boot=BOOT))
    send(client, "model", Model(schema=1, detector=detector, expression=expression))
    yield client
    client.disconnect()
    client.loop_stop()


def send(client: Client, kind: Kind, message: Message) -> None:
    """Publish a message of the device, and wait for the broker."""
    client.publish(topic(SITE, DEVICE, kind), encode(message), 1, kind != "counts").wait_for_publish(30)


def expected() -> dict[str, tuple[float, str]]:
    """Return state and unit of each sensor."""
    visits = sum(VISITS.values())
    shares = {f"Share of {label}": (round(100 * VISITS.get(label, 0) / visits, 1), "%") for label in EXPRESSIONS}
    shares["Share of unknown"] = (round(100 * VISITS["unknown"] / visits, 1), "%")
    return {"Visits in the last hour": (2.0 * visits, "visits"), "Coverage": (round(200 / 60, 1), "%"), **shares}


def prove(client: HomeAssistant, sender: Client) -> None:
    """Raise unless all sensors have the values of the hour, and lose them while the device is away."""

    def found() -> dict[str, tuple[float, str]]:
        return {
            name: (float(state["state"]), state["attributes"]["unit_of_measurement"])
            for name, state in client.sensors().items()
            if state["state"] not in (OFFLINE, "unknown")
        }

    wait_until(lambda: found() == expected(), STATE_LIMIT_S, "the values of the hour")
    for name, (value, unit) in found().items():
        print(f"{name}: {value:g} {unit}")
    total = client.sensors()["Visits in the last hour"]["attributes"]
    print(f"visits: state class {total['state_class']}, last reset {total['last_reset']}")
    send(sender, "status", Status(schema=1, state="offline", boot=BOOT))
    wait_until(lambda: states(client) == {OFFLINE}, STATE_LIMIT_S, "without values while the device is offline")
    send(sender, "status", Status(schema=1, state="online", boot=BOOT))
    wait_until(lambda: found() == expected(), STATE_LIMIT_S, "with values again")
    print("device offline: all sensors unavailable; online again: the same values")


def states(client: HomeAssistant) -> set[str]:
    """Return the different states of the device's sensors."""
    return {each["state"] for each in client.sensors().values()}


def main() -> None:
    """Run broker, collector, device and Home Assistant; exit code 1 if a sensor is not as expected."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.machines.home_assistant", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="folder for Home Assistant; each run gets a new folder in it"
    )
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    install(folder)
    run = folder / f"run-{time.strftime('%H%M%S')}"
    run.mkdir()
    (run / "venv").symlink_to(folder.absolute() / "venv")
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    with mosquitto(run) as broker, device(broker.port) as sender, ExitStack() as stack:
        with Collector(run / "store", broker.port, "publish.hours=true", "publish.home_assistant=true"):
            for counts in windows(hour):
                send(sender, "counts", counts)
            client = stack.enter_context(home_assistant(run))
            client.create_user()
            client.add_mqtt(broker.port)
            prove(client, sender)
        with Collector(run / "store", broker.port):
            wait_until(lambda: not client.sensors(), STATE_LIMIT_S, "gone after publishing was switched off")
            print("switched off: no sensors")


if __name__ == "__main__":
    main()
