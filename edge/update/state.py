"""What the updater remembers across power cuts: one small file, replaced as a whole and synced."""

import logging
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from base.durable_file import replace_file
from base.logs import line

log = logging.getLogger(__name__)
MAX_TRIES = 3
"""A number whose trials failed for reasons outside of it, such as power cuts, is tried this often."""


class Failure(Struct, frozen=True, kw_only=True):
    """A manifest that was tried and rolled back."""

    number: int
    reason: str
    tries: int = 1
    final: bool = False
    """Whether the release itself is to blame, so that its number is not tried again."""

    @property
    def given_up(self) -> bool:
        """Whether the number is not tried again."""
        return self.final or self.tries >= MAX_TRIES


class State(Struct, frozen=True, kw_only=True):
    """Which setups are good, and which one is on trial. Names are those of setups."""

    schema: Literal[1] = 1
    number: int = 0
    """Number of the last manifest that was kept."""
    good: str | None = None
    """The setup that proved healthy last."""
    previous: str | None = None
    """The one before, for `facetally-update back`."""
    trial: str | None = None
    """The setup that is being tried; set before the link is switched."""
    trial_number: int = 0
    failure: Failure | None = None
    problem: str = ""
    """The last problem that was logged, so that it is logged once."""

    def wants(self, number: int) -> bool:
        """Whether a manifest with this number is to be tried."""
        failed = self.failure is not None and self.failure.number == number and self.failure.given_up
        return number > self.number and not failed

    def failed(self, number: int, reason: str, *, final: bool) -> "State":
        """Return the state after a trial of this number that failed."""
        before = self.failure.tries if self.failure and self.failure.number == number else 0
        failure = Failure(number=number, reason=reason, tries=before + 1, final=final)
        return msgspec.structs.replace(self, trial=None, trial_number=0, failure=failure)

    def kept(self) -> "State":
        """Return the state after the trial succeeded."""
        before = self.good if self.good != self.trial else self.previous
        return State(number=self.trial_number, good=self.trial, previous=before)


class StateFile:
    """Reads and replaces the file. The one before is kept, in case that the medium damages one."""

    def __init__(self, folder: Path) -> None:
        self._path, self._last = folder / "state.json", folder / "state-last.json"

    def read(self) -> State:
        """Return the state; that of the first start if there is none that can be read."""
        for path in (self._path, self._last):
            try:
                return msgspec.json.decode(path.read_bytes(), type=State)
            except FileNotFoundError:
                continue
            except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
                log.error(line("state_damaged", file=path, reason=error))
        return State()

    def write(self, state: State) -> None:
        """Replace the state; it is on disk when this returns."""
        replace_file(self._path, msgspec.json.encode(state), previous=self._last)
