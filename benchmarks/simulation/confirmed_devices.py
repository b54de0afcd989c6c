"""Publish the windows of many simulated devices over a few connections until a collector confirms each of them.

Each device keeps its windows until a receipt names them, as the daemon does, and sends them again without one.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.simulation.connection_pool import CONNECTIONS
from benchmarks.simulation.devices import SimulatedDevice, health_message, message
from contract.message import Counts
from contract.receipt import decode_receipt, stored_filter

RESEND_S = 20.0
"""Time without a receipt after which a window is sent again, doubled with each repetition, seconds. A minute in the
daemon; here time runs faster."""
MAX_RECONNECT_S = 2
MAX_FILTERS = 100
"""Subscriptions in one packet: it must stay below the broker's ``max_packet_size``."""


@dataclass(slots=True)
class Sent:
    """A window without a receipt."""

    topic: str
    payload: bytes
    first_s: float
    """Monotonic time at which it was first sent."""
    again_s: float
    """Monotonic time at which it is sent again."""
    wait_s: float
    """Time from the last sending to the next."""

    def sent_at(self, now_s: float) -> None:
        """Plan the next repetition."""
        self.again_s, self.wait_s = now_s + self.wait_s, 2 * self.wait_s


@dataclass(slots=True)
class Connection:
    """The devices that share one connection to the broker."""

    client: Client
    devices: list[SimulatedDevice]
    resend_s: float
    waiting: dict[tuple[str, str], dict[tuple[str, int], Sent]] = field(default_factory=dict)
    """By site and device, then by boot and sequence number."""
    latencies_s: list[float] = field(default_factory=list)
    """From the first sending of each window to its first receipt."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def subscribe(self, *_: object) -> None:
        """Ask for the receipts of all devices, at each connection: a killed broker has forgotten the session."""
        filters = [(stored_filter(each.site, each.device), 0) for each in self.devices]
        for first in range(0, len(filters), MAX_FILTERS):
            self.client.subscribe(filters[first : first + MAX_FILTERS])

    def confirm(self, _client: Client, _userdata: object, received: MQTTMessage) -> None:
        """Drop the windows that a receipt names."""
        site, device = received.topic.split("/")[2:4]
        receipt, now_s = decode_receipt(received.payload), time.monotonic()
        with self.lock:
            windows = self.waiting.get((site, device), {})
            for boot, seq in [key for key in windows if receipt.holds(*key)]:
                self.latencies_s.append(now_s - windows.pop((boot, seq)).first_s)

    def send(self, counts: Counts) -> bytes:
        """Publish a window, and keep it until it is confirmed; return its payload."""
        topic, payload = message(counts)
        now_s = time.monotonic()
        with self.lock:
            windows = self.waiting.setdefault((counts.site, counts.device), {})
            windows.setdefault((counts.boot, counts.seq), Sent(topic, payload, now_s, now_s, self.resend_s)).sent_at(
                now_s
            )
        self.client.publish(topic, payload, 1)
        return payload

    def send_again(self) -> int:
        """Publish what has had no receipt in time; return how many windows that were."""
        now_s = time.monotonic()
        with self.lock:
            overdue = [sent for windows in self.waiting.values() for sent in windows.values() if now_s >= sent.again_s]
            for sent in overdue:
                sent.sent_at(now_s)
        for sent in overdue:
            self.client.publish(sent.topic, sent.payload, 1)
        return len(overdue)

    def unconfirmed(self) -> int:
        """Return the number of windows without a receipt."""
        with self.lock:
            return sum(map(len, self.waiting.values()))


class ConfirmedDevices:
    """All devices of a fleet, connected to a broker."""

    def __init__(
        self, devices: Sequence[SimulatedDevice], port: int, resend_s: float = RESEND_S, host: str = "127.0.0.1"
    ) -> None:
        self._connections = [
            _connection(list(devices[number::CONNECTIONS]), (host, port), resend_s)
            for number in range(min(CONNECTIONS, len(devices)))
        ]
        self.sent = 0
        """Windows sent, repeats included."""
        self.payload_bytes = 0
        """Bytes of all payloads sent except repeats without a receipt: windows and health."""

    def send(self, number: int, messages: Iterator[Counts]) -> Iterator[bytes]:
        """Publish messages of the device with this number; yield their payloads."""
        connection = self._connections[number % len(self._connections)]
        for counts in messages:
            self.sent += 1
            payload = connection.send(counts)
            self.payload_bytes += len(payload)
            yield payload

    def report_health(self, number: int, device: SimulatedDevice, minute: int) -> None:
        """Publish the health of the device with this number, retained as the daemon's."""
        topic, payload = health_message(device, minute)
        self.payload_bytes += len(payload)
        self._connections[number % len(self._connections)].client.publish(topic, payload, 1, retain=True)

    def send_again(self) -> None:
        """Publish what has had no receipt in time."""
        self.sent += sum(connection.send_again() for connection in self._connections)

    def unconfirmed(self) -> int:
        """Return the number of windows without a receipt."""
        return sum(connection.unconfirmed() for connection in self._connections)

    def latencies_s(self) -> list[float]:
        """Return the time from the first sending of each window to its receipt."""
        return [each for connection in self._connections for each in connection.latencies_s]

    def close(self) -> None:
        """Disconnect."""
        for connection in self._connections:
            connection.client.disconnect()
            connection.client.loop_stop()


def _connection(devices: list[SimulatedDevice], broker: tuple[str, int], resend_s: float) -> Connection:
    connection = Connection(Client(CallbackAPIVersion.VERSION2), devices, resend_s)
    client = connection.client
    client.max_inflight_messages_set(1000)
    client.reconnect_delay_set(1, MAX_RECONNECT_S)
    client.on_connect, client.on_message = connection.subscribe, connection.confirm
    client.connect(*broker)
    client.loop_start()
    return connection
