"""Turn conditions into changes that are told once: a condition must hold, or be over, for some time first."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from collector.alerts.conditions import Subject, Texts


class Change(Struct, frozen=True, kw_only=True):
    """One change that people are told."""

    subject: Subject
    state: Literal["needs_person", "recovered"]
    texts: Texts
    """The condition in words; after a recovery, as it was last seen."""
    since: datetime
    """Time at which the condition began, or was over, UTC."""


class Held(Struct, frozen=True, kw_only=True):
    """A condition that was seen."""

    subject: Subject
    texts: Texts
    is_told: bool = False
    """Whether people know that it holds."""
    changed: datetime | None = None
    """Since when it differs from what people know; None if it does not."""


def step(
    held: Mapping[Subject, Held], present: Mapping[Subject, Texts], now: datetime, hold: timedelta
) -> tuple[dict[Subject, Held], list[Change]]:
    """Return the conditions to remember, and what to tell now.

    A condition that is there for less than ``hold``, or away for less than ``hold``, is not told. A clock that was set
    back begins the time anew.
    """
    after: dict[Subject, Held] = {}
    changes = []
    for subject in {**held, **present}:
        known = held.get(subject)
        holds = subject in present
        texts = present[subject] if holds else held[subject].texts
        is_told, since = (known.is_told, known.changed) if known else (False, None)
        if holds == is_told:
            since = None
        else:
            since = now if since is None or since > now else since
            if now - since >= hold:
                is_told = not is_told
                state: Literal["needs_person", "recovered"] = "needs_person" if is_told else "recovered"
                changes.append(Change(subject=subject, state=state, texts=texts, since=since))
                since = None
        if holds or is_told:
            after[subject] = Held(subject=subject, texts=texts, is_told=is_told, changed=since)
    return after, changes
