"""A classifier in shadow, from the daemon over the shipped rules of the broker to the collector's store."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest

from collector.devices.registry import read_devices
from contract.card import read_card
from edge.__main__ import main
from edge.vision.bundle import DEFAULT_CLASSIFIER
from tests.support.brokers import free_port, mosquitto, needs_mosquitto, wait_until
from tests.support.commands import CONFIG
from tests.support.receiver import collecting, rows
from tests.support.shipped_broker import shipped_rules

pytestmark = needs_mosquitto


@pytest.fixture(scope="module")
def clip(astronaut, tmp_path_factory):
    """Four faces that cross the frame side by side, in 24 frames."""
    folder = tmp_path_factory.mktemp("clip")
    head = cv2.resize(astronaut[:230, 110:340], (150, 150), interpolation=cv2.INTER_AREA)
    for at in range(24):
        frame = np.full((480, 640), 90, np.uint8)
        for x, y in ((10, 30), (10, 270), (300, 30), (300, 270)):
            left = x + 7 * at
            frame[y : y + 150, left : left + 150] = head
        cv2.imwrite(str(folder / f"{at:02}.png"), frame)
    return folder


@pytest.fixture
def shadow(tmp_path):
    """The shipped classifier under another name, which calls every face unknown."""
    card = json.loads(DEFAULT_CLASSIFIER.read_bytes()) | {"name": "cautious", "unknown_below": 1.0}
    (tmp_path / "cautious.json").write_text(json.dumps(card))
    shutil.copy(DEFAULT_CLASSIFIER.with_suffix(".tflite"), tmp_path / "cautious.tflite")
    return tmp_path / "cautious.json"


def visits(root):
    """Rows of the store without boot and times: what was counted."""
    paths = sorted(root.glob("date=*/site=*/*.csv"))
    rows = [row for path in paths for row in csv.DictReader(path.read_text().splitlines())]
    return [{name: cell for name, cell in row.items() if name not in ("boot", "start", "end")} for row in rows]


def test_an_agreement_table_reaches_the_collector_and_changes_no_count(tmp_path, clip, shadow):
    """With a second classifier, and with one that does not exist, exactly the same is counted.

    The table has a random part of the visits, and the store keeps it apart from the counts.
    """
    port, config = free_port(), tmp_path / "edge.toml"
    lines, secret = shipped_rules(tmp_path, "shop-1/door", "collector")
    broker = f'[broker]\nport = {port}\nusername = "shop-1/door"\npassword_file = "{secret}"\n'
    sections = {
        "without": "",
        "with": f'[shadow]\nbundle = "{shadow}"\nfraction = 0.5\n',
        "missing": '[shadow]\nbundle = "/none/new.json"\n',
    }
    found = {}
    with mosquitto(tmp_path, port, *lines):
        for name, section in sections.items():
            config.write_text(CONFIG + broker + section)
            root = tmp_path / name
            with collecting(root, port, username="collector", password_file=secret):
                spool = f'spool.path="{tmp_path}/spool-{name}.sqlite"'
                assert main(["run", "--config", str(config), "--clip", str(clip), "--set", spool]) == 0
                wait_until(lambda root=root: rows(root) >= 2, "all windows are stored")
                if section:
                    wait_until(
                        lambda root=root: any(each.shadows for each in read_devices(root)), "the table is stored"
                    )
            found[name] = tuple(table for each in read_devices(root) for table in each.shadows)
    assert visits(tmp_path / "without") == visits(tmp_path / "with") == visits(tmp_path / "missing")
    assert found["without"] == ()
    card = read_card(shadow.read_bytes(), "")
    assert sum(int(row[label]) for row in visits(tmp_path / "with") for label in card.labels) == 4
    (table,) = found["with"]
    assert (table.shadow, table.failed, table.skipped) == (card.identity, None, 0)
    assert 0 < table.visits < 4
    assert sum(row[-1] for row in table.table) == table.visits  # all unknown
    assert sum(table.table[-1]) < table.visits  # counted under an expression
    missing = found["missing"][-1]
    assert (missing.visits, missing.shadow) == (0, "")
    assert missing.failed.startswith("/none/new.json: ")
