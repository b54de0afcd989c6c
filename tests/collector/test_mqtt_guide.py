"""The section "Listen to MQTT" of docs/analyst.md works with the shipped configuration of the broker."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from contract.message import encode
from contract.topics import topic
from tests.support.analyst_guide import BLOCKS, GUIDE, SUBSCRIBERS, endless
from tests.support.brokers import LIMIT_S, needs_mosquitto, wait_until
from tests.support.shipped_broker import ShippedBroker, shipped_broker
from tests.support.store import window

SECTION = GUIDE.partition("## Listen to MQTT")[2]


def publish_as(broker: ShippedBroker, user: str, to: str, payload: bytes) -> str:
    """Publish with `mosquitto_pub` over TLS at QoS 1, and return what it prints."""
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(broker.tls_port), "--cafile", broker.ca, "-u", user]
    command += ["-P", "secret", "-V", "5", "-q", "1", "-t", to, "-m", payload.decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return done.stdout + done.stderr


@needs_mosquitto
def test_the_subscribers_of_the_guide_receive_counts_over_tls(tmp_path: Path) -> None:
    """Both print the window of a device. The analyst may publish nothing, and nobody enters without a password."""
    with shipped_broker(tmp_path, "analyst", "shop-1/door") as broker:
        (tmp_path / "password").write_text("secret\n")
        shutil.copy(broker.ca, tmp_path / "facetally.pem")
        (options,) = re.findall(r"^```text\n(-h .*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
        home = tmp_path / ".config"
        home.mkdir()

        def ours(text: str) -> str:
            text = text.replace("broker.example", "localhost").replace("8883", str(broker.tls_port))
            return text.replace("/home/analyst/", f"{tmp_path}/").replace("PASSWORD", "secret")

        (home / "mosquitto_sub").write_text(ours(options))
        environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(home)}
        blocks = [(language, text) for language, text in BLOCKS if text.startswith(SUBSCRIBERS)]
        assert [language for language, _ in blocks] == ["sh", "python"]
        shell = ["sh", "-ec", f"exec {blocks[0][1]}"]
        program = [sys.executable, "-c", ours(blocks[1][1])]
        counts = window(1)
        to = topic(counts.site, counts.device, "counts")

        def heard(output: Path, word: str) -> bool:
            assert publish_as(broker, "shop-1/door", to, encode(counts)) == ""
            return word in output.read_text()

        # one after the other: with one user, they would end each other's connection
        for command, word in ((shell, '"happiness":3'), (program, "'happiness': 3")):
            with endless(command, tmp_path, environment) as output:
                wait_until(lambda output=output, word=word: heard(output, word), f"{command[0]} has printed a window")
        for kind in ("counts", "status", "hour"):
            answer = publish_as(broker, "analyst", f"facetally/v1/shop-1/door/{kind}", b"{}")
            assert "Not authorized" in answer, answer
        nobody = ["mosquitto_sub", "-h", "localhost", "-p", str(broker.tls_port), "--cafile", broker.ca, "-t", "#"]
        done = subprocess.run([*nobody, "-W", "5"], capture_output=True, text=True, check=False)
        assert "not authorised" in done.stderr
