"""What holds for all tests."""

import os

os.environ["PATH"] += os.pathsep + "/usr/local/sbin:/usr/sbin"
"""Debian puts Mosquitto where only root looks."""

_skipped = []


def pytest_runtest_logreport(report):
    """Note what is skipped."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_collectreport(report):
    """Note whole modules that are skipped."""
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session):
    """In CI nothing may be skipped, unless its data are not there at all."""
    if os.environ.get("FACETALLY_CI") and os.environ.get("FACETALLY_DATA") and _skipped:
        print(f"\nskipped, which CI must not: {', '.join(_skipped)}")
        session.exitstatus = 1
