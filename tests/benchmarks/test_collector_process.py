"""The collector that benchmarks run."""

from pathlib import Path

import pytest

from benchmarks.simulation.collector_process import Collector
from tests.support.brokers import free_port, mosquitto, needs_mosquitto


@needs_mosquitto
def test_it_is_stopped_when_a_benchmark_fails(tmp_path: Path) -> None:
    """No process is left behind."""
    port = free_port()
    with mosquitto(tmp_path, port):
        with pytest.raises(ZeroDivisionError), Collector(tmp_path / "store", port) as collector:
            1 / 0  # noqa: B018 - the failure
        assert not Path(f"/proc/{collector.pid}").exists()
