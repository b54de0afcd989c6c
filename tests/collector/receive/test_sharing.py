"""Collectors of a shared subscription lose no window and count none twice."""

import subprocess
import time
from pathlib import Path

from collector.devices.registry import read_devices
from collector.store.load import load
from contract.message import Status, encode
from contract.topics import topic
from tests.support.brokers import LIMIT_S, free_port, mosquitto, needs_mosquitto, publish, start_collector, wait_until
from tests.support.receiver import counts_messages, rows

BOOT = "0" * 15 + "1"


def start(root: Path, port: int, writer: str) -> subprocess.Popen[bytes]:
    """Start a collector of a shared subscription."""
    return start_collector(root, port, "broker.share=all", f"store.writer={writer}")


@needs_mosquitto
def test_two_collectors_share_the_counts_while_one_is_killed(tmp_path: Path) -> None:
    """Both write into their own files. After SIGKILL of one and its restart each window is loaded once.

    The files of both together hold few repeats: only windows that were delivered to both.
    """
    port, root = free_port(), tmp_path / "store"
    status = (topic("shop-1", "door", "status"), encode(Status(schema=1, state="online", boot=BOOT)))
    with mosquitto(tmp_path, port):
        publish(port, [status], retain=True)
        one, two = start(root, port, "w1"), start(root, port, "w2")
        try:
            publish(port, counts_messages(range(2000)))
            two.kill()
            two.communicate()
            publish(port, counts_messages(range(2000, 4000)))
            two = start(root, port, "w2")
            wait_until(lambda: rows(root) == 4000, "all rows are there")
            time.sleep(0.5)
        finally:
            for each in (one, two):
                each.terminate()
                each.communicate(timeout=LIMIT_S)
    assert list(load(root)["seq"]) == list(range(4000))
    by_writer = {
        writer: sum(text.count("\n") - 1 for path in root.glob(f"*/*/*-{writer}.csv") for text in [path.read_text()])
        for writer in ("w1", "w2")
    }
    assert min(by_writer.values()) > 100, "both have stored a part"
    assert sum(by_writer.values()) < 4200, "only unacknowledged windows are delivered to both"
    assert {path.name for path in root.glob("devices*.json")} == {"devices-w1.json", "devices-w2.json"}
    assert [(each.state, each.boot) for each in read_devices(root)] == [("online", BOOT)], (
        "retained messages reach both"
    )
