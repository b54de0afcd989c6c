"""Devices that follow their manifests and report, over TLS with their own certificates; all they report is scripted."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from base.tls import Tls, tls_context
from contract.health import Health, Latency
from contract.message import Counts, Models, Privacy, Status, encode
from contract.release import DeviceManifest, device_path, read_manifest
from contract.topics import topic
from fleet.publication.repository import Repository
from fleet.settings import RepositorySettings

PERIOD_S = 0.2
"""How often a device reports and counts, seconds, in place of a minute."""
VISITS = 5
"""Visits in a window."""


@dataclass
class Follower:
    """One device. ``bad`` is what is wrong with releases of certain names."""

    of: Path
    site: str
    device: str
    port: int
    bad: dict[str, str] = field(default_factory=dict)
    """Release and its fault: ``refuses``, ``counts nothing``, or ``crashes``, again and again in its first minute."""
    installed: DeviceManifest | None = None
    update_failed: str | None = None
    _boot: int = 0
    _seq: int = 0

    @property
    def fault(self) -> str | None:
        """What is wrong with the installed release."""
        return self.bad.get(self.installed.release) if self.installed else None

    def run(self, stop: threading.Event) -> None:
        """Follow and report until ``stop``."""
        of, name = self.of, f"devices/{self.site}/{self.device}"
        client = Client(CallbackAPIVersion.VERSION2)
        files = Tls(
            ca=str(of / "certificates/ca.pem"),
            certificate=str(of / f"certificates/{name}.pem"),
            key=str(of / f"secrets/{name}.key"),
        )
        client.tls_set_context(tls_context(files, "tls"))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            while not stop.wait(PERIOD_S):
                self._follow()
                self._report(client)
        finally:
            client.disconnect()
            client.loop_stop()

    def _follow(self) -> None:
        """Take the manifest of the repository, unless the release is one that it refuses."""
        settings = RepositorySettings(url="https://x")
        repository = Repository(self.of / "repository", lambda _role: None, settings, datetime.now(timezone.utc))
        text = repository.read(device_path(self.site, self.device))
        wanted = None if text is None else read_manifest(text, DeviceManifest, "manifest")
        if wanted is None or wanted == self.installed:
            return
        if self.bad.get(wanted.release) == "refuses":
            self.update_failed = f"release {wanted.release}: cannot be imported"
            return
        self.installed, self._boot = wanted, self._boot + 1

    def _report(self, client: Client) -> None:
        now = datetime.now(timezone.utc)
        self._seq += 1
        self._boot += self.fault == "crashes"
        boot, wanted = f"{self._boot:016x}", self.installed
        latency = {} if self.fault == "crashes" else {"detect": Latency(p50=20.0, p95=30.0)}
        health = Health(
            schema=4, boot=boot, time=now, uptime_s=1.0, frames_per_s=10.0, latency_ms=latency, frames_dropped=0,
            spool_depth=0, spool_dropped=0, oldest_unsent=None, memory_mb=100.0, temperature_c=None, throttled=None,
            clock="synced", versions={"facetally": "1"}, release=wanted.release if wanted else "installed",
            configuration_sha256=wanted.configuration.sha256 if wanted else None, update_failed=self.update_failed,
        )  # fmt: skip
        visits = 0 if self.fault == "counts nothing" else VISITS
        window = Counts(
            schema=1, site=self.site, device=self.device, boot=boot, seq=self._seq,
            start=now - timedelta(seconds=PERIOD_S), end=now, clock="synced", coverage=1.0, degraded=(),
            visits={"happiness": visits, "neutral": 0, "unknown": 0}, merged=1, privacy=Privacy(k=5),
            model=Models(detector="face@aaaaaaaaaaaa", expression="expression@bbbbbbbbbbbb"),
        )  # fmt: skip
        me = self.site, self.device
        client.publish(topic(*me, "status"), encode(Status(schema=1, state="online", boot=boot)), 1, retain=True)
        client.publish(topic(*me, "health"), encode(health), 1, retain=True)
        client.publish(topic(*me, "counts"), encode(window), 1)


@contextmanager
def following(followers: list[Follower]) -> Iterator[None]:
    """Run devices, and stop them at the end."""
    stop = threading.Event()
    threads = [threading.Thread(target=follower.run, args=(stop,)) for follower in followers]
    with ExitStack() as stack:
        stack.callback(lambda: [thread.join(10) for thread in threads])
        stack.callback(stop.set)
        for thread in threads:
            thread.start()
        time.sleep(PERIOD_S)
        yield
