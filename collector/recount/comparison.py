"""Compare a session's taps with the windows of its device.

Only windows that lie wholly within the session are compared, each with the taps of the same time. A window may span
many minutes if counts were held back for ``k``. A device counts a visit once its face has been gone for
``track.gap_s``, so a tap belongs to the window `COUNT_DELAY` later.
"""

from datetime import datetime, timedelta, timezone

import pandas as pd

from collector.recount.recount import Recount
from collector.recount.session import Session

COUNT_DELAY = timedelta(seconds=2)
"""From the moment in which a face leaves the view to that in which the visit is counted: ``track.gap_s`` of 1.5 s, and
the frames around it."""
EDGE_TOLERANCE = timedelta(seconds=1)
"""Shorter gaps between windows are none."""
LONGEST_WINDOW = timedelta(days=1)
"""Windows that began longer before a session are not looked for."""
GIVE_UP_AFTER = timedelta(days=1)
"""So long after its end a session is compared with the windows that have arrived until then, or given up."""


def is_ready(session: Session, windows: pd.DataFrame, now: datetime) -> bool:
    """Whether all taps and windows of a session are there, or are not waited for any longer."""
    if now > session.end + GIVE_UP_AFTER:
        return True
    if not session.finished:
        return False
    covered = session.start
    for start, end in sorted(zip(windows["start"], windows["end"], strict=True)):
        if start > covered + EDGE_TOLERANCE:
            break
        covered = max(covered, end)
    return now >= session.end and covered + EDGE_TOLERANCE >= session.end


def compare(session: Session, windows: pd.DataFrame, labels: list[str], now: datetime) -> Recount | None:
    """Return the two numbers of a session; None if no window lies within it, or if taps are missing.

    ``windows`` are those of the device, as of `collector.store.load.load`, with the label columns ``labels``.
    """
    inside = windows[(windows["start"] - COUNT_DELAY >= session.start) & (windows["end"] <= session.end)]
    if inside.empty or not session.finished:
        return None
    spans = list(zip(inside["start"], inside["end"], strict=True))
    by_hand = sum(any(start <= tap + COUNT_DELAY < end for start, end in spans) for tap in session.taps)
    return Recount(
        site=session.site,
        device=session.device,
        started=session.start.astimezone(timezone.utc),
        start=inside["start"].min().to_pydatetime(),
        end=inside["end"].max().to_pydatetime(),
        windows=len(inside),
        by_hand=by_hand,
        counted=int(inside[labels].fillna(0).to_numpy().sum()),
        compared=now.replace(microsecond=0),
    )
