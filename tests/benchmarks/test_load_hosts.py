"""Broker, collectors, scheduler and workers on hosts of their own, of which two are cut off."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="dask.distributed is not installed (extra scale)")

from benchmarks.machines.network import missing_network
from tests.support.brokers import needs_mosquitto

ROOT = Path(__file__).parents[2]
MISSING = missing_network()


@needs_mosquitto
@pytest.mark.skipif(bool(MISSING), reason=f"cannot make hosts: {MISSING}")
def test_stores_and_sums_are_those_of_the_messages_although_two_hosts_are_cut_off() -> None:
    """Two collectors store what was sent; a cluster compacts the united stores and sums them up like the messages."""
    command = [sys.executable, "-m", "benchmarks.load.hosts", "--devices", "60", "--minutes", "12"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("none lost, none twice") == done.stdout.count("rows equal, none twice") == 1
    assert "equal those of the messages" in done.stdout
