"""Fixtures and settings of all tests."""

import logging
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from base.logs import LineFormatter
from edge.__main__ import main
from tests.support import training_commands
from tests.support.commands import CONFIG
from tests.support.drawings import RECIPE, draw_cache, train

os.environ.setdefault("PIP_NO_COMPILE", "0")
"""pip then compiles nothing, which is most of its work. For an option that begins with "no", 0 is how it is set."""
os.environ["PATH"] += os.pathsep + "/usr/local/sbin:/usr/sbin"
"""Debian installs Mosquitto's tools in /usr/sbin, which is on the PATH of root only."""

LONGEST = (
    "training/test_face_chain.py",
    "whole/test_docs.py",
    "systemd/test_arm64.py",
    "training/test_expression_chain.py",
    "systemd/test_nspawn.py",
    "systemd/test_first_boot.py",
    "training/test_face_commands.py",
    "training/test_accelerator.py",
    "training/test_commands.py",
    "training/test_quick_starts.py",
    "edge/camera/test_gstreamer.py",
    "whole/test_wheel.py",
)
"""These modules take a minute or more, and run first. Else the other workers would wait for one of them at the end."""

FORBIDDEN = "not permitted"
"""A test may skip in CI, too, if its reason has these words: the machine forbids what it needs."""
_skipped = []


def pytest_collection_modifyitems(items):
    """Move the tests of `LONGEST` to the front; the order is otherwise unchanged."""
    order = {name: rank for rank, name in enumerate(LONGEST)}
    tests = Path(__file__).parent
    items.sort(key=lambda item: order.get(item.path.relative_to(tests).as_posix(), len(order)))


def pytest_runtest_logreport(report):
    """Record a skipped test."""
    _record(report)


def pytest_collectreport(report):
    """Record a skipped module."""
    _record(report)


def _record(report):
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if FORBIDDEN not in reason:
            _skipped.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session):
    """Fail the session in CI if a test was skipped although the data folder is available."""
    if os.environ.get("FACETALLY_CI") and os.environ.get("FACETALLY_DATA") and _skipped:
        print("\nCI must not skip tests, but skipped:", *_skipped, sep="\n")
        session.exitstatus = 1


@pytest.fixture(autouse=True)
def _no_log_of_commands():
    """Remove the log that a command has set up in this process: its stream is that of the test, and closed by then."""
    yield
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each.formatter, LineFormatter)]:
        root.removeHandler(handler)


@pytest.fixture
def command(capsys):
    """Returns a function that runs a command in this process: exit code, lines of stdout, lines of stderr."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments):
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    yield run
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    for number, handler in signals.items():
        signal.signal(number, handler)


@pytest.fixture
def config(tmp_path):
    """A configuration file for the daemon."""
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def astronaut():
    """Portrait of Eileen Collins (NASA), grey, (512, 512): a smiling face with its centre near (224, 115)."""
    data = pytest.importorskip("skimage.data", reason="scikit-image provides the portrait")
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)


@pytest.fixture(scope="session")
def portrait(tmp_path_factory):
    """Image file of the same portrait, in colour."""
    data = pytest.importorskip("skimage.data", reason="scikit-image provides the portrait")
    path = tmp_path_factory.mktemp("images") / "portrait.png"
    cv2.imwrite(str(path), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="session")
def clip(portrait, tmp_path_factory):
    """Video of five seconds: a smiling face moves from left to right, and stops for a second."""
    path = tmp_path_factory.mktemp("clips") / "walk.avi"
    head = cv2.imread(str(portrait))[:260, 100:360]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (640, 480))
    assert writer.isOpened()
    for index in range(50):
        frame = np.full((480, 640, 3), 120, np.uint8)
        left = [*range(-260, 190, 30), *[190] * 10, *range(190, 640, 30)][index] if index < 40 else 640
        low, high = max(left, 0), min(left + 260, 640)
        frame[100:360, low:high] = head[:, low - left : high - left]
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run folder of a classifier with other categories, trained by the command."""
    run = tmp_path_factory.mktemp("run")
    draw_cache(run / "cache.npz")
    (run / "mood.toml").write_text(RECIPE)
    train(run, run / "mood.toml")
    return run


@pytest.fixture(scope="session")
def quantised(trained, tmp_path_factory):
    """The card of the bundle that the command makes of this run; the model is beside it."""
    folder = tmp_path_factory.mktemp("bundle")
    training_commands.run("convert", "quantise", trained, "--out", folder)
    return folder / "mood.json"
