"""Windows -> visits per bucket of time, site or device, with how much of it was watched.

Every table here has one float64 column a label and then `FIGURES`. Three things that look alike are kept apart:

- zero: ``visits`` is 0 and ``coverage`` is above 0. Somebody watched, nobody came.
- gap: ``visits`` is NaN, ``windows`` is 0. Nobody knows.
- degraded: ``degraded`` above 0, the share of the windows' time in which a device gave a reason for seeing less.

A window that lies in two buckets adds to both in proportion to the time it has in each, so sums are kept and counts of a
bucket need not be whole; windows joined under the privacy rule may be hours long. ``coverage`` is the seconds watched,
sum of coverage times duration, by the bucket's seconds and the number of devices in the table; above 1 only where windows
of one device overlap, as after a clock was put back. A bucket that has not ended yet is counted whole.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from collector.load import labels

By = Literal["hour", "day", "weekday", "site", "device"]
FIGURES = ("visits", "windows", "coverage", "degraded")
"""Visits of all labels; windows that touch the bucket; shares of 1 as said above."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Span = tuple[datetime, datetime]
