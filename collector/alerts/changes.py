"""Turn conditions into changes that are told once: a condition must hold, or be over, for some time first."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from collector.alerts.conditions import Condition

State = Literal["needs_person", "recovered"]


class Change(Struct, frozen=True, kw_only=True):
    """One change, as it is sent."""

    site: str
    device: str
    kind: str
    state: State
    title: str
    detail: str
    since: datetime
    """Time at which the condition began, or was over, UTC."""


class Held(Struct, frozen=True, kw_only=True):
    """A condition that was seen."""

    site: str
    device: str
    kind: str
    title: str
    detail: str
    is_told: bool = False
    """Whether people know that it holds."""
    changed: datetime | None = None
    """Since when it differs from what people know; None if it does not."""


def step(
    held: Mapping[str, Held], present: Mapping[str, Condition], now: datetime, hold: timedelta
) -> tuple[dict[str, Held], list[Change]]:
    """Return the conditions to remember, and what to tell now.

    A condition that is there for less than ``hold``, or away for less than ``hold``, is not told. A clock that was set
    back begins the time anew.
    """
    after: dict[str, Held] = {}
    changes = []
    for key in {**held, **present}:
        condition = present.get(key)
        known = held.get(key)
        about = condition or known
        assert about is not None
        is_told, since = (known.is_told, known.changed) if known else (False, None)
        if (condition is not None) == is_told:
            since = None
        else:
            since = now if since is None or since > now else since
            if now - since >= hold:
                is_told = not is_told
                changes.append(_change(about, "needs_person" if is_told else "recovered", since))
                since = None
        if condition is not None or is_told:
            after[key] = Held(
                site=about.site, device=about.device, kind=about.kind, title=about.title, detail=about.detail,
                is_told=is_told, changed=since,
            )  # fmt: skip
    return after, changes


def _change(about: Condition | Held, state: State, since: datetime) -> Change:
    return Change(
        site=about.site, device=about.device, kind=about.kind, state=state, title=about.title, detail=about.detail,
        since=since,
    )  # fmt: skip
