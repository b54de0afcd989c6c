"""One run of the updater: recover, look for a newer manifest, install its release and try it."""

import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from base.durable_file import make_folder
from base.errors import FacetallyError
from base.logs import line
from contract.errors import ReleaseError
from contract.release import DeviceManifest
from edge.system.clock import is_synchronised
from edge.update import slot
from edge.update.errors import (
    InstallFailed,
    NoRoom,
    ReleaseBad,
    ReleaseWithdrawn,
    RepositoryRefused,
    RepositoryUnreachable,
)
from edge.update.layout import Layout
from edge.update.proof import read_progress
from edge.update.repository import Repository
from edge.update.settings import UpdateSettings
from edge.update.state import State, StateFile
from edge.update.trial import Trial, request_restart

log = logging.getLogger(__name__)
WATCH_S = 10.0
"""Longest time of a look while a release is on trial, seconds: the rest of ten minutes (`edge.update.proof`)."""


def trial_of(settings: UpdateSettings) -> Trial:
    """Return the steps of a switch on this device."""
    state = Path(settings.state)
    return Trial(
        layout=Layout(Path(settings.program)),
        file=StateFile(state),
        readings=lambda: read_progress(Path(settings.runtime)),
        restart=lambda: request_restart(state),
        trial_s=settings.trial_s,
    )


@contextmanager
def locked(settings: UpdateSettings) -> Iterator[None]:
    """Keep other runs of the updater away. Raise FacetallyError if one is at work."""
    folder = Path(settings.state)
    make_folder(folder)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FacetallyError(f"{file.name}: another run of the updater is at work") from error
        yield


def recover(settings: UpdateSettings) -> State:
    """Bring the device back to exactly one good setup, after whatever interrupted the last run."""
    with locked(settings):
        return trial_of(settings).recover()


def run(settings: UpdateSettings) -> bool:
    """Update the device if there is a newer manifest for it. Returns whether all went well.

    Nothing that goes wrong here stops the daemon. A problem that lasts is logged once.
    """
    with locked(settings):
        trial = trial_of(settings)
        state = trial.recover()
        trial.tidy(state)
        if settings.require_synchronised_clock and not is_synchronised():
            _note(trial, state, "clock: not synchronised yet; expiry dates cannot be checked", logging.INFO)
            return True
        try:
            repository = Repository(settings)
            manifest = repository.look(settings.look_s)
            _check_number(manifest, state)
            look = watch(settings, manifest)
            kept = not state.wants(manifest.number) or _update(trial, state, repository, manifest, look)
            _note(trial, trial.file.read(), "")
            return kept
        except (RepositoryUnreachable, NoRoom) as error:
            _note(trial, trial.file.read(), str(error), logging.WARNING)
        except (RepositoryRefused, ReleaseError) as error:
            _note(trial, trial.file.read(), str(error), logging.ERROR)
        return False


def _check_number(manifest: DeviceManifest, state: State) -> None:
    """Raise RepositoryRefused if a manifest is older than the one that was kept."""
    if manifest.number < state.number:
        raise RepositoryRefused(f"manifest: number must be at least {state.number}, is {manifest.number}")


def watch(settings: UpdateSettings, tried: DeviceManifest) -> Callable[[], None]:
    """Return a function that raises ReleaseWithdrawn once the repository wants another program than that on trial.

    A rollout takes a release back in this way while it is on trial. After a failure nothing is asked any more: a server
    that does not answer may keep the trial waiting only once, for `WATCH_S`. The next run says what is wrong.
    """
    answers = True

    def look() -> None:
        nonlocal answers
        if not answers:
            return
        try:
            wanted = Repository(settings).look(min(settings.look_s, WATCH_S))
        except FacetallyError:
            answers = False
            return
        if wanted.number > tried.number and not wanted.has_program_of(tried):
            raise ReleaseWithdrawn(f"the repository has withdrawn it, and names release {wanted.release} now")

    return look


def _update(
    trial: Trial, state: State, repository: Repository, manifest: DeviceManifest, look: Callable[[], None]
) -> bool:
    """Install and try what a manifest names. Returns whether it was kept."""
    if state.good != state.previous and not trial.layout.slot(manifest.release).exists():
        state = msgspec.structs.replace(state, previous=None)  # two slots at most: the good one and the new one
        trial.file.write(state)
        trial.tidy(state)
    try:
        release = repository.release(manifest.release)
        slot.make_slot(trial.layout, release, repository.fetch)
        setup = slot.make_setup(trial.layout, manifest, repository.fetch)
        slot.check_setup(trial.layout, setup)
    except (ReleaseBad, ReleaseError, InstallFailed) as error:
        reason = f"release {manifest.release}, number {manifest.number}: {error}"
        trial.layout.write_failure(reason)
        state = state.failed(manifest.number, str(error), final=not isinstance(error, InstallFailed))
        trial.file.write(state)
        log.error(line("release_refused", release=manifest.release, number=manifest.number, reason=error))
        trial.tidy(state)
        return False
    repository.forget_files()
    state = trial.run(state, setup, manifest.number, look)
    trial.tidy(state)
    return state.good == setup


def back(settings: UpdateSettings) -> str:
    """Return to the release before the present one. Returns its name; FacetallyError if there is none."""
    with locked(settings):
        trial = trial_of(settings)
        state = trial.recover()
        if state.previous is None or not trial.layout.is_complete(state.previous):
            raise FacetallyError("there is no release before this one to go back to")
        state = trial.back(state, "rolled back by hand")
        return trial.layout.release_of(state.good or "") or ""


def _note(trial: Trial, state: State, problem: str, level: int = logging.INFO) -> State:
    """Log a problem if it is not the one that was logged last, and remember it."""
    if problem == state.problem:
        return state
    log.log(level, line("update_problem", reason=problem) if problem else line("update_problem_over"))
    state = msgspec.structs.replace(state, problem=problem)
    trial.file.write(state)
    return state
