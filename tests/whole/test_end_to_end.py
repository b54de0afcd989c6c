"""Daemon, Mosquitto and collector together: the store holds exactly what was sent."""

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from collector.store.load import labels, load
from contract.message import Counts, decode
from contract.topics import subscription
from demo.broker import broker
from tests.support.brokers import LIMIT_S, needs_mosquitto, start_collector, wait_until

ROOT = Path(__file__).parents[2]
pytestmark = needs_mosquitto
CONFIG = """\
site = "shop"
device = "door"
[capture]
source = "file"
path = {clip}
[admit]
staff_zones = []
[tally]
window_s = {window_s}
[privacy]
k = {k}
[broker]
port = {port}
confirm = "{confirm}"
[spool]
path = {spool}
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The clip of the demonstration."""
    pytest.importorskip("skimage", reason="scikit-image provides the portrait of the clip")
    from demo.clip import compose

    path = tmp_path_factory.mktemp("clip") / "walk-by.mp4"
    compose(path)
    return path


class Listener:
    """A client at the broker that keeps the payload of every counts message."""

    def __init__(self, port):
        self.payloads = []
        self._subscribed = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, message: self.payloads.append(message.payload)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(subscription("counts"), qos=1)
        self._client.loop_start()
        assert self._subscribed.wait(LIMIT_S)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def count(folder, clip, port, k, window_s, confirm="collector"):
    """Run the daemon on a clip to its end."""
    config = folder / "edge.toml"
    spool = json.dumps(str(folder / "spool.sqlite"))
    values = {
        "clip": json.dumps(str(clip)),
        "k": k,
        "window_s": window_s,
        "port": port,
        "spool": spool,
        "confirm": confirm,
    }
    config.write_text(CONFIG.format(**values))
    subprocess.run([sys.executable, "-m", "edge", "run", "--config", str(config)], cwd=ROOT, check=True, timeout=300)


def waiting(spool):
    """Return the number of windows that wait in a spool; 0 if there is no spool yet."""
    try:
        with closing(sqlite3.connect(f"file:{spool}?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM ready").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_the_store_holds_what_was_sent(clip, tmp_path):
    """Every message at the broker is one row of the CSV, with the same values, and there is no other row.

    The daemon runs twice, the second time with windows held back for k.
    """
    with broker(tmp_path, "mosquitto") as (_, port):
        listener = Listener(port)
        root = tmp_path / "store"
        collector = start_collector(root, port)
        try:
            for k, window_s in ((1, 2.0), (3, 3.0)):
                count(tmp_path, clip, port, k, window_s)
            frame = load(root)  # complete: the daemon ends when the collector has confirmed all
            wait_until(lambda: len(listener.payloads) >= len(frame), "the listener has received all")
        finally:
            listener.close()
            collector.terminate()
            collector.communicate(timeout=LIMIT_S)
    assert collector.returncode == 0
    sent = {message.key: message for message in (decode(payload, Counts) for payload in listener.payloads)}
    assert len(sent) == len(listener.payloads) == len(frame)
    for row in frame.itertuples():
        message = sent[row.site, row.device, row.boot, row.seq]
        assert (row.start, row.end, row.clock) == (message.start, message.end, message.clock)
        assert (row.coverage, row.merged, row.privacy_k) == (message.coverage, message.merged, message.privacy.k)
        assert {label: getattr(row, label) for label in labels(frame)} == message.visits
    first, second = (frame[frame.privacy_k == k] for k in (1, 3))
    assert first[labels(frame)].to_numpy().sum() == 5
    totals = second[labels(frame)].sum(axis=1)
    assert ((totals == 0) | (totals >= 3)).all()
    assert second.merged.max() > 1


def test_counts_made_while_the_broker_is_away_arrive(clip, tmp_path):
    """Windows counted without a broker stay in the spool; the next run with a broker sends all of them."""
    with broker(tmp_path, "mosquitto") as (_, port):
        pass  # the port is free again
    config = tmp_path / "edge.toml"
    spool = json.dumps(str(tmp_path / "spool.sqlite"))
    values = {"clip": json.dumps(str(clip)), "k": 1, "window_s": 2.0, "port": port, "spool": spool, "confirm": "broker"}
    config.write_text(CONFIG.format(**values))
    command = [sys.executable, "-m", "edge", "run", "--config", str(config)]
    away = subprocess.Popen(command, cwd=ROOT)
    wait_until(lambda: waiting(tmp_path / "spool.sqlite") == 15, "the clip is counted")
    away.terminate()
    assert away.wait(LIMIT_S) == 0
    with broker(tmp_path, "mosquitto") as (_, again):
        listener = Listener(again)
        count(tmp_path, clip, again, 1, 2.0, "broker")
        wait_until(lambda: len(listener.payloads) >= 30, "the windows of both runs are received")
        listener.close()
    messages = [decode(payload, Counts) for payload in listener.payloads]
    by_boot = {boot: [each for each in messages if each.boot == boot] for boot in {each.boot for each in messages}}
    assert sorted(len(each) for each in by_boot.values()) == [15, 15]
    assert all([each.seq for each in some] == list(range(15)) for some in by_boot.values())
    assert sum(sum(each.visits.values()) for each in messages) == 10
