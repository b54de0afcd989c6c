"""Publish the messages of many simulated devices over a few MQTT connections."""

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

CONNECTIONS = 20
"""Connections that the devices share. With one thread for each of 1,000 devices the threads would be measured."""
BROKER_CONFIG = ("max_queued_messages 0", "max_inflight_messages 5000")
"""Lines of mosquitto.conf for a broker that drops no queued message."""
UNACKNOWLEDGED = 20_000
ACKNOWLEDGE_LIMIT_S = 120.0


class ConnectionPool:
    """Some connections to a broker on this machine that publish at QoS 1."""

    def __init__(self, port: int, connections: int = CONNECTIONS) -> None:
        self._clients = [Client(CallbackAPIVersion.VERSION2) for _ in range(connections)]
        self._sent: list[MQTTMessageInfo] = []
        for client in self._clients:
            client.max_inflight_messages_set(1000)
            client.connect("127.0.0.1", port)
            client.loop_start()

    def publish(self, device: int, topic: str, payload: bytes) -> None:
        """Publish a message over the connection of this device; wait while too many are unacknowledged."""
        self._sent.append(self._clients[device % len(self._clients)].publish(topic, payload, 1))
        if len(self._sent) >= UNACKNOWLEDGED:
            self.wait_until_acknowledged()

    def wait_until_acknowledged(self) -> None:
        """Return when the broker has acknowledged all messages."""
        for sent in self._sent:
            sent.wait_for_publish(ACKNOWLEDGE_LIMIT_S)
        self._sent.clear()

    def close(self) -> None:
        """Disconnect."""
        for client in self._clients:
            client.disconnect()
            client.loop_stop()
