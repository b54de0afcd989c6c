"""Opening hours on the days on which the clocks change."""

from datetime import datetime, timedelta, timezone

import pytest

from edge.counting.admit import AdmissionGate, is_open
from edge.settings import AdmitSettings, Hours

SPRING, AUTUMN, PLAIN = "2026-03-29", "2026-10-25", "2026-06-14"
"""Three Sundays in Berlin, of 23, 25 and 24 hours."""
DAY = Hours(timezone="Europe/Berlin", open="09:00", close="20:00", days=("sun",))
NIGHT = Hours(timezone="Europe/Berlin", open="20:00", close="03:00", days=("sat",))
EARLY = Hours(timezone="Europe/Berlin", open="02:30", close="03:30", days=("sun",))
ROUND = Hours(timezone="Europe/Berlin", open="00:00", close="24:00", days=("sun",))


@pytest.mark.parametrize(
    ("hours", "sunday", "minutes"),
    [
        (DAY, PLAIN, 660),
        (DAY, SPRING, 660),
        (DAY, AUTUMN, 660),
        (NIGHT, PLAIN, 420),
        (NIGHT, SPRING, 360),  # two o'clock is three o'clock
        (NIGHT, AUTUMN, 480),  # from two to three twice
        (EARLY, PLAIN, 60),
        (EARLY, SPRING, 30),
        (EARLY, AUTUMN, 90),  # 02:30 to 03:00, and 02:30 to 03:30 again less what lies before
        (ROUND, PLAIN, 1440),
        (ROUND, SPRING, 1380),
        (ROUND, AUTUMN, 1500),
    ],
)
def test_minutes_open(hours, sunday, minutes):
    """Hours follow the local clock: a skipped hour is not open, and a repeated hour is open twice."""
    begin = datetime.fromisoformat(f"{sunday}T00:00+00:00") - timedelta(days=1)
    instants = [begin + timedelta(minutes=minute) for minute in range(3 * 1440)]
    assert sum(is_open(hours, instant) for instant in instants) == minutes


def test_closed_again_in_the_hour_that_comes_twice():
    """A bar that closes at 02:30 closes twice on that night, because hours follow the local clock."""
    bar = Hours(timezone="Europe/Berlin", open="20:00", close="02:30", days=("sat",))
    AdmissionGate(AdmitSettings(staff_zones=(), hours=bar))
    utc = datetime(2026, 10, 25, 0, 0, tzinfo=timezone.utc)  # 02:00, summer time
    opened = [is_open(bar, utc + timedelta(minutes=minute)) for minute in (0, 29, 30, 59, 60, 89, 90)]
    assert opened == [True, True, False, False, True, True, False]
