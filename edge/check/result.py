"""What a check of one part has found, as a line of a table and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

from base.logs import hide_secrets

State: TypeAlias = Literal["ok", "warning", "FAILED"]
Figures: TypeAlias = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a part."""

    text: str
    """What works, or what is wrong and what is allowed."""
    state: State = "ok"
    """``warning``: the device counts, but needs attention. ``FAILED``: it does not do what is configured."""
    figures: Figures = field(default_factory=dict)
    """Measured values, for programs."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The finding of one part of the device."""

    part: str
    finding: Finding

    @property
    def failed(self) -> bool:
        """Whether the part does not do what is configured."""
        return self.finding.state == "FAILED"

    def row(self) -> str:
        """A row of the table: state, part and text."""
        return f"{self.finding.state:<9}{self.part:<13}{hide_secrets(self.finding.text)}"


def as_json(site: str, device: str, results: Sequence[CheckResult]) -> str:
    """All results as one JSON object."""
    parts = [{"part": each.part, **asdict(each.finding), "text": hide_secrets(each.finding.text)} for each in results]
    return json.dumps(
        {"site": site, "device": device, "works": not any(each.failed for each in results), "parts": parts}
    )
