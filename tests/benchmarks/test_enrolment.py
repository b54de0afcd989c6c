"""A small fleet enrolled by the benchmark; `python -m benchmarks.load.enrolment` enrols a large one."""

from benchmarks.load.enrolment import measure
from tests.support.fleets import light_wheel


def test_devices_are_enrolled_released_and_get_a_card(tmp_path, capsys):
    """Each step is timed, and the card has the files of a device."""
    times = measure(tmp_path, light_wheel(tmp_path), devices=12, cards=1)
    assert list(times) == ["enrol", "enrol again, unchanged", "release", "cards"]
    printed = capsys.readouterr().out
    assert "enrolled 12, changed 0, unchanged 0" in printed
    assert "enrolled 0, changed 0, unchanged 12" in printed
    assert "a card has 0.0 MB" not in printed
