"""Run the commands of a chain, each in a process of its own, and continue after an interruption."""

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from base.errors import FacetallyError, SettingsError
from training.build import chain, sample
from training.build.chain import Chain, Step

RECORD = "build.json"
"""File in the output folder with the commands that have finished."""
ROOT = Path(__file__).parents[2]


class StepFailed(FacetallyError):
    """A command of a chain failed; the chain can be resumed."""


def build(
    name: str, data: Path, out: Path, *, inputs: Mapping[str, str], smoke: bool = False, resume: bool = False
) -> Path:
    """Run a chain from published data to its bundles, and return the folder of the bundles.

    Finished commands are skipped with ``resume``. ``smoke`` runs all commands on a small sample of the data, for a few
    steps, past the gate. SettingsError for wrong input, StepFailed if a command fails.
    """
    if (out / RECORD).exists() and not resume:
        raise SettingsError(f"{out}: must be an empty folder, holds a build; --resume continues it")
    loaded = chain.read(name)
    paths = chain.resolve_inputs(loaded, data, inputs)
    out.mkdir(parents=True, exist_ok=True)
    if smoke:
        data = sample.write(data, out / "sample")
    _run(loaded, list(chain.steps(loaded, paths, data, out.resolve(), smoke)), out.resolve())
    return out / "bundles"


def _run(loaded: Chain, steps: Sequence[Step], out: Path) -> None:
    caches = {stage.name: stage.cache for stage in loaded.stages if stage.cache}
    finished = _read_record(out)
    for number, (step, key) in enumerate(zip(steps, _keys(steps), strict=True), 1):
        if key in finished and step.output.exists():
            print(f"[{number}/{len(steps)}] {step.stage}: finished before: {shlex.join(step.command[1:])}", flush=True)
            continue
        if step.stage in caches:
            _share_cache(out / caches[step.stage], out / step.stage)
        print(f"[{number}/{len(steps)}] {step.stage}: {shlex.join(step.command[1:])}", flush=True)
        done = subprocess.run(step.command, env=_environment(step), check=False)
        if done.returncode or not step.output.exists():
            raise StepFailed(
                f"{step.stage}: exit code must be 0, is {done.returncode}, of: {shlex.join(step.command[1:])}"
                " (--resume continues from here)"
            )
        finished = [*finished, key]
        _write_record(out, finished)


def _environment(step: Step) -> dict[str, str]:
    """The environment of a command. Conversion needs TensorFlow, whatever backend of Keras training uses."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    backend = {"KERAS_BACKEND": "tensorflow"} if "convert" in step.command else {}
    return os.environ | {"PYTHONPATH": path} | backend


def _keys(steps: Sequence[Step]) -> Iterator[str]:
    """A hash for each command, of its words, its recipe, and the training commands before it.

    A changed recipe makes all later commands run again; a changed conversion none but itself.
    """
    before = ""
    for step in steps:
        text = "\0".join([before, *step.command[1:]]).encode() + step.recipe.read_bytes()
        key = hashlib.sha256(text).hexdigest()
        yield key
        before = before if "convert" in step.command else key


def _share_cache(source: Path, run: Path) -> None:
    """Link the prepared data of another run into this one."""
    run.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (run / "cache.npz").symlink_to(Path("..") / source.name / "cache.npz")


def _read_record(out: Path) -> list[str]:
    try:
        return list(json.loads((out / RECORD).read_text())["finished"])
    except FileNotFoundError:
        return []
    except (ValueError, KeyError) as error:
        raise SettingsError(f"{out / RECORD}: must be the record of a build, is not valid: {error}") from error


def _write_record(out: Path, finished: Sequence[str]) -> None:
    partial = out / f"{RECORD}.writing"
    partial.write_text(json.dumps({"finished": finished}, indent=1))
    partial.replace(out / RECORD)
