"""Chain files: the training runs and conversions that make shipped bundles, as a list of commands."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from base.errors import SettingsError
from base.toml_settings import read_toml

RECIPES = Path(__file__).parents[1] / "recipes"
CHAINS = RECIPES / "chains"
SHIPPED = Path(__file__).parents[2] / "edge" / "models"


class Conversion(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bundle that a stage's model is quantised to."""

    size: str | None = None
    """Input size of a detector, ``WIDTHxHEIGHT``; the recipe's if not set."""
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Lowest threshold of a detector."""
    out: str = "{out}/bundles"
    """Folder of the bundle."""


class Stage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One training run, in the folder ``OUT/NAME``."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$(?!\n)")]
    """Name of the run's folder; ``{NAME}`` stands for its path in later stages."""
    recipe: str
    """File in ``training/recipes``."""
    cache: str | None = None
    """Earlier stage whose prepared data are used; if not set, data are prepared."""
    model: dict[str, Any] = {}
    """Keys of the recipe to override, mostly those with paths. Keys that become empty are left out."""
    smoke: dict[str, Any] = {}
    """Keys of the recipe to override with ``--smoke``."""
    bundles: tuple[Conversion, ...] = ()
    """Bundles to make of the model."""


class Chain(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The stages of a chain, in order.

    Strings may hold placeholders: ``{data}`` and ``{out}`` (folders of the command line), ``{shipped}``
    (``edge/models``), ``{INPUT}`` and ``{STAGE}``.
    """

    inputs: dict[str, str] = {}
    """Files from elsewhere by name, and where they are by default."""
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a chain."""

    stage: str
    command: tuple[str, ...]
    output: Path
    """File that exists once the command has finished."""
    recipe: Path
    """Recipe that the command depends on."""


def names() -> list[str]:
    """Names of the chains in ``training/recipes/chains``."""
    return sorted(path.stem for path in CHAINS.glob("*.toml"))


def read(name: str) -> Chain:
    """Read a chain file by name; SettingsError if it is not valid or names an unknown stage."""
    path = CHAINS / f"{name}.toml"
    chain = read_toml(path, Chain)
    earlier: list[str] = []
    for stage in chain.stages:
        if stage.cache and stage.cache not in earlier:
            raise SettingsError(f"{path}: stage {stage.name}: cache must be an earlier stage, is {stage.cache!r}")
        earlier.append(stage.name)
    return chain


def resolve_inputs(chain: Chain, data: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Paths of a chain's inputs; ``given`` replaces defaults, and an empty path leaves an input out.

    SettingsError for a name that the chain does not have and a file that does not exist.
    """
    if unknown := set(given) - set(chain.inputs):
        raise SettingsError(f"--input {min(unknown)}: must be one of {', '.join(chain.inputs)}")
    folders = {"data": str(data), "shipped": str(SHIPPED)}
    paths = {name: given.get(name, _filled(default, folders)) for name, default in chain.inputs.items()}
    for name, path in paths.items():
        if path and not Path(path).exists():
            raise SettingsError(f"--input {name}=PATH: must be an existing file, is {path}")
    return paths


def steps(chain: Chain, inputs: Mapping[str, str], data: Path, out: Path, smoke: bool) -> Iterator[Step]:
    """The commands of a chain, in order."""
    places = {"out": str(out), "data": str(data), "shipped": str(SHIPPED), **inputs}
    places |= {stage.name: str(out / stage.name) for stage in chain.stages}
    for stage in chain.stages:
        recipe, run = RECIPES / stage.recipe, out / stage.name
        keys = _overrides(stage.model | (stage.smoke if smoke else {}), places)
        training = (sys.executable, "-m", "training")
        common = (str(recipe), "--run", str(run), *keys)
        if not stage.cache:
            yield Step(stage.name, (*training, "prepare", *common, "--data", str(data)), run / "cache.npz", recipe)
        yield Step(stage.name, (*training, "train", *common), run / "model.keras", recipe)
        for each in stage.bundles:
            yield _conversion(stage.name, each, recipe, places, smoke)


def _conversion(stage: str, each: Conversion, recipe: Path, places: Mapping[str, str], smoke: bool) -> Step:
    folder = Path(_filled(each.out, places))
    command = [sys.executable, "-m", "convert", "quantise", places[stage], "--out", str(folder)]
    command += ["--size", each.size] if each.size else []
    command += ["--threshold", str(each.threshold)] if each.threshold else []
    command += ["--force"] if smoke else []
    name = str(read_toml(recipe, _Named).model["name"]) + (f"-{each.size}" if each.size else "")
    return Step(stage, tuple(command), folder / f"{name}.json", recipe)


class _Named(Struct, frozen=True):
    model: dict[str, Any]


def _overrides(keys: Mapping[str, Any], places: Mapping[str, str]) -> Iterator[str]:
    """``--set`` arguments; a JSON value is a TOML value, tables apart."""
    for key, value in keys.items():
        filled = _filled_value(value, places)
        if filled not in ("", []):
            yield from ("--set", f"model.{key}={json.dumps(filled)}")


def _filled_value(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _filled(value, places)
    return [path for each in value if (path := _filled_value(each, places))] if isinstance(value, list) else value


def _filled(text: str, places: Mapping[str, str]) -> str:
    """Replace placeholders; SettingsError for an unknown one. A text with an empty placeholder is empty."""
    found = re.findall(r"\{([\w-]+)\}", text)
    if unknown := [name for name in found if name not in places]:
        raise SettingsError(f"{text}: {{{unknown[0]}}} must be one of {', '.join(places)}")
    if not all(places[name] for name in found):
        return ""
    return re.sub(r"\{([\w-]+)\}", lambda match: places[match[1]], text)
