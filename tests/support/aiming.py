"""Run `facetally-aim` as an installer does, and a browser or client that has entered its code."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.support.waiting import LIMIT_S

ROOT = Path(__file__).parents[2]
INTRODUCED = "It shows "
"""Begin of the last line that the program prints at its start."""


@dataclass(frozen=True)
class Aim:
    """A running `facetally-aim`."""

    process: "subprocess.Popen[str]"
    introduction: str
    """What it printed at its start."""

    @property
    def port(self) -> int:
        """Its TCP port."""
        return int(self._found(r"page: https://[\d.]+:(\d+)/"))

    @property
    def code(self) -> str:
        """Its one-time code, as printed."""
        return self._found(r"code: ([\d ]+)")

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of its certificate, as printed."""
        return self._found(r"SHA-256: ([\dA-F:]+)")

    @property
    def url(self) -> str:
        """Address of the page on this machine."""
        return f"https://127.0.0.1:{self.port}/"

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self.introduction)
        assert found, self.introduction
        return found[1]


@contextmanager
def aiming(config: Path, *options: str) -> Iterator[Aim]:
    """Start `facetally-aim` on any free port, with a configuration and options; end it afterwards."""
    command = [sys.executable, "-m", "edge.aiming.aim", str(config), "--port", "0", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        (config.parent / "aim.log").open("w") as log,
        subprocess.Popen(
            command, cwd=config.parent, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(INTRODUCED):
                break
        try:
            assert lines, (config.parent / "aim.log").read_text()
            yield Aim(process, "".join(lines))
        finally:
            process.terminate()


def entered(driver: Any, aim: Aim) -> None:
    """Open the page in a browser, and enter the code."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get(aim.url)
    WebDriverWait(driver, LIMIT_S).until(lambda _: driver.find_element("id", "code").is_displayed())
    driver.find_element("id", "code").send_keys(aim.code)
    driver.find_element("css selector", "#form button").click()
    WebDriverWait(driver, LIMIT_S).until(lambda _: driver.find_element("id", "view").is_displayed())


def small_faces(portrait: Any, path: Path, scale: float) -> None:
    """Write a clip of eight seconds, at 10 frames a second, in which a smaller portrait walks by."""
    head = cv2.resize(portrait[:260, 100:360], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = head.shape
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (640, 480), isColor=False)
    assert writer.isOpened()
    for index in range(80):
        frame = np.tile(np.linspace(60, 180, 640, dtype=np.uint8), (480, 1))
        left = 120 + 4 * index
        frame[200 : 200 + height, left : left + width] = head
        writer.write(frame)
    writer.release()


def configured(folder: Path, clip: Path, max_fps: int = 4) -> Path:
    """Write a configuration that plays a clip, at a rate for busy machines; it has comments and a staff zone."""
    config = folder / "edge.toml"
    config.write_text(
        f'# the door\nsite = "shop-1"\ndevice = "door"\n[capture]\nsource = "file"\npath = "{clip}"\n'
        "[admit]\nstaff_zones = [[[0.4, 0.05], [0.6, 0.05], [0.5, 0.1]]]  # the till\n"
        f'[detect]\nbundle = "face-640x480"\nmax_fps = {max_fps}\n[spool]\npath = "{folder}/spool.sqlite"\n'
    )
    return config
