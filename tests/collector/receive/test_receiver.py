"""The receiver stores MQTT messages before it acknowledges them, with a real Mosquitto, kills and refusals."""

import json
import random
import socket
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from base.logs import line
from collector.store.load import load
from contract.message import encode
from contract.topics import topic
from tests.support.brokers import LIMIT_S, free_port, mosquitto, needs_mosquitto, publish, start_collector, wait_until
from tests.support.receiver import START, counts_messages, numbers, receiving, rows, settings_for, window


@needs_mosquitto
def test_messages_sent_are_rows_in_the_store(tmp_path: Path) -> None:
    """Messages sent to the broker are in the CSV files, and repeats are stored once."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port), receiving(settings_for(root, port)):
        publish(port, counts_messages(range(30)) + counts_messages(range(10)) + counts_messages(range(5), site="b"))
        wait_until(lambda: rows(root) == 35, "all rows are there")
    frame = load(root)
    assert frame["happiness"].sum() == sum(n % 10 for n in range(30)) + sum(range(5))
    assert list(frame[frame["site"] == "b"]["seq"]) == list(range(5))
    assert numbers(root) == sorted([*range(30), *range(5)])


@needs_mosquitto
def test_a_receiver_starts_before_its_broker_and_outlives_it(tmp_path: Path) -> None:
    """The receiver waits while the broker is down, and subscribes again to a broker that has lost its sessions."""
    port, root = free_port(), tmp_path / "store"
    with receiving(settings_for(root, port), until="event=not_connected"):
        for first in (0, 10):
            with mosquitto(tmp_path, port):

                def arrived(first: int = first) -> bool:
                    publish(port, counts_messages(range(first, first + 10)))
                    return rows(root) == first + 10

                wait_until(arrived, "rows after the broker came")
    assert numbers(root) == list(range(20))


@needs_mosquitto
def test_messages_sent_while_the_receiver_is_away_are_stored_later(tmp_path: Path) -> None:
    """The session at the broker outlives the receiver."""
    port, root = free_port(), tmp_path / "store"
    with mosquitto(tmp_path, port):
        with receiving(settings_for(root, port)):
            pass
        publish(port, counts_messages(range(500)))
        assert rows(root) == 0
        with receiving(settings_for(root, port)):
            wait_until(lambda: rows(root) == 500, "queued messages are stored")


@needs_mosquitto
def test_kills_at_random_moments_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """After five SIGKILLs during 6,000 messages the files hold each number once. SIGTERM ends the collector cleanly."""
    port, root, rng = free_port(), tmp_path / "store", random.Random(7)
    midway = 0
    with mosquitto(tmp_path, port):
        collector = start_collector(root, port)
        sender = threading.Thread(target=publish, args=(port, counts_messages(range(6000))))
        sender.start()
        try:
            for _ in range(5):
                time.sleep(rng.uniform(0.02, 0.2))
                collector.kill()
                collector.communicate()
                midway += 0 < rows(root) < 6000
                collector = start_collector(root, port)
            sender.join()
            wait_until(lambda: rows(root) == 6000, "all rows are there")
        finally:
            collector.terminate()
            log = collector.communicate(timeout=LIMIT_S)[1]
    assert numbers(root) == list(range(6000))
    assert midway >= 2, "most kills came after the last message"
    assert collector.returncode == 0
    assert b"event=received" in log


@needs_mosquitto
def test_nothing_is_acknowledged_before_it_is_on_disk(tmp_path: Path) -> None:
    """While a day's folder cannot be made the broker keeps its messages; they are stored once it can."""
    port, root = free_port(), tmp_path / "store"
    root.mkdir()
    day = root / f"date={START.date()}"
    day.write_text("in the way")
    with mosquitto(tmp_path, port), receiving(settings_for(root, port)):
        publish(port, counts_messages(range(3)))
        time.sleep(0.5)
        day.unlink()
        wait_until(lambda: rows(root) == 3, "stored in the end")
    assert numbers(root) == [0, 1, 2]


BAD = [
    (b"nonsense", "not JSON"),
    (encode(window(0)).replace(b'"merged"', b'"who":"Ann","merged"'), "unknown key 'who'"),
    (encode(window(3)).replace(b'"happiness":3', b'"happiness":-3'), ">= 0"),
    (encode(window(0)).replace(b"09:01:00", b"08:59:00"), "start"),
    (
        encode(window(0)).replace(b'"site":"shop-1"', b'"site":"shop-2"'),
        "those of the topic, shop-1/door, are shop-2/door",
    ),
    (encode(window(0)).replace(b'"happiness"', b'"device"', 1), "name of a column"),
    (encode(window(0)).replace(b"faces@", b"faces\\n@"), "printable"),
    (b"[" * 18_000, "at most"),
]


@needs_mosquitto
def test_malformed_messages_become_dead_letters(tmp_path: Path) -> None:
    """Each is a line in dead-letters.jsonl with reason and time, and is acknowledged; valid messages are stored."""
    port, root = free_port(), tmp_path / "store"
    counts_topic = topic("shop-1", "door", "counts")
    bad = [(counts_topic, payload) for payload, _ in BAD] + [("facetally/v1/sh op/door/counts", b"{}")]
    with mosquitto(tmp_path, port):
        with receiving(settings_for(root, port)):
            publish(port, bad[:4] + counts_messages(range(1)) + bad[4:] + counts_messages(range(1, 2)))
            wait_until(lambda: rows(root) == 2, "the valid messages are stored")
        with receiving(settings_for(root, port)):  # nothing is delivered again
            time.sleep(0.5)
    letters = [json.loads(text) for text in (root / "dead-letters.jsonl").read_text().splitlines()]
    assert len(letters) == len(bad)
    for letter, (_, reason) in zip(letters, BAD, strict=False):
        assert reason in letter["reason"]
        assert letter["topic"] == counts_topic
        assert datetime.fromisoformat(letter["time"].replace("Z", "+00:00")).year >= 2026
    assert "'sh op'" in letters[-1]["reason"]
    assert letters[-2]["bytes"] == 18_000
    assert len(letters[-2]["payload"]) < 5000


@needs_mosquitto
def test_a_wrong_password_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Repeated attempts with a wrong password log one line; the right password connects."""
    port, root = free_port(), tmp_path / "store"
    users, secret = tmp_path / "users", tmp_path / "secret"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "reader", "right"], check=True, capture_output=True)
    with mosquitto(tmp_path, port, "allow_anonymous false", f"password_file {users}"):
        settings = settings_for(root, port, username="reader", password_file=str(secret))
        secret.write_text("wrong\n")
        with caplog.at_level("INFO"), receiving(settings, until="refused"):
            time.sleep(1.2)  # several attempts
            refusals = [text for text in caplog.messages if "refused" in text]
            assert len(refusals) == 1
            assert "authorized" in refusals[0].lower()
            assert not any("event=connected" in text for text in caplog.messages)
            secret.write_text("right\n")
            wait_until(lambda: any("event=connected" in text for text in caplog.messages), "connected")


@pytest.mark.parametrize("answer", [b"", bytes([0x20, 2, 0, 1])], ids=["closes", "answers"])
def test_a_broker_without_mqtt_5_is_connected_to_in_3_1_1(tmp_path: Path, answer: bytes) -> None:
    """If a CONNECT of protocol level 5 is refused, the next has level 4 and asks for a persistent session."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        receiving(settings_for(tmp_path / "store", listener.getsockname()[1]), until=None),
    ):
        listener.settimeout(LIMIT_S)
        first, _ = listener.accept()
        with first:
            assert first.recv(1024)[8] == 5
            first.sendall(answer)
        second, _ = listener.accept()
        with second:
            connect = second.recv(1024)
            assert connect[8] == 4
            assert not connect[9] & 0b10, "clean session"
            second.sendall(bytes([0x20, 2, 0, 0]))  # CONNACK, accepted
            assert second.recv(1024)[0] == 0x82, "subscribes"


def test_a_log_event_is_one_line() -> None:
    """Text from outside is quoted, so that it cannot forge a log line."""
    assert line("set_aside", topic="a/b", reason="x\ntime=now") == 'event=set_aside topic=a/b reason="x\\ntime=now"'


def test_the_receiver_imports_neither_the_page_nor_pandas() -> None:
    """The receiver imports no large library, so that it fits on a small machine."""
    code = (
        "import sys, collector.receive.receiver, collector.store.writer, collector.__main__;"
        "heavy = ('dash', 'plotly', 'matplotlib', 'pandas', 'numpy', 'tensorflow', 'cv2', 'babel');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
