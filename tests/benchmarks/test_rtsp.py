"""A short form of the benchmark that restarts an RTSP server under two daemons."""

import pytest

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("skimage.data", reason="scikit-image brings the portrait")
from benchmarks.faults import rtsp
from benchmarks.simulation.ip_camera import has_server


@pytest.mark.skipif(not has_server(), reason="GStreamer's RTSP server is not installed")
def test_two_daemons_count_again_after_each_restart(capsys):
    """After each of two restarts both daemons count within 30 s, without more threads, files or raw log lines."""
    assert rtsp.main(["--restarts", "2", "--away", "1", "--no-counts"]) == 0, capsys.readouterr().out
