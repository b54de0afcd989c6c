"""Command line of training: ``python -m training prepare|train|evaluate|pool|build|keys``."""

import argparse
import os
import sys
from pathlib import Path

from base.errors import FacetallyError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 2 for wrong input, with file, key and what is allowed."""
    chosen = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        _run(chosen)
    except (FacetallyError, FileNotFoundError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    return 0


def _run(chosen: argparse.Namespace) -> None:
    """Run the chosen command. Keras is slow to import, so it is imported here and not for ``--help``."""
    if chosen.command == "pool":
        from training.evaluate.cross_validation import pool  # noqa: PLC0415

        print(pool(chosen.runs))
        return
    if chosen.command == "build":
        from training.build.runner import build  # noqa: PLC0415

        inputs = dict(chosen.input)
        print(build(chosen.chain, chosen.data, chosen.out, inputs=inputs, smoke=chosen.smoke, resume=chosen.resume))
        return
    if chosen.command == "keys":
        from training.recipe_table import markdown  # noqa: PLC0415

        print(markdown())
        return
    from training import recipe, tasks  # noqa: PLC0415

    task = tasks.of(recipe.read(chosen.recipe, tuple(chosen.set)))
    if chosen.command == "prepare":
        task.prepare(chosen.data, chosen.run, chosen.broken)
    elif chosen.command == "train":
        task.train(chosen.run)
    else:
        task.evaluate(chosen.run, chosen.card, chosen.beside)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train and evaluate float models.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("prepare", "read the data once and write a cache"),
        ("train", "train a model, or continue its training"),
        ("evaluate", "measure a trained model on data it was not trained on"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("recipe", type=Path, help="recipe, a TOML file such as training/recipes/face.toml")
        command.add_argument("--run", type=Path, required=True, help="folder for cache, checkpoints, log and reports")
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key, such as model.steps=100"
        )
        if name == "prepare":
            command.add_argument("--data", type=Path, required=True, help="folder with scenes.zip, fer2013/ and so on")
            command.add_argument(
                "--broken", choices=["stop", "skip"], default="stop", help="what to do with unreadable rows and images"
            )
        if name == "evaluate":
            command.add_argument("--card", type=Path, help="card of a bundle, to measure its int8 model, too")
            command.add_argument(
                "--beside", type=Path, nargs="*", default=[], help="other runs whose learning curves are drawn, too"
            )
    _add_pool(commands)
    _add_build(commands)
    what = "print all recipe keys as Markdown tables"
    commands.add_parser("keys", help=what, description=what)
    return parser


def _add_pool(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "measure classifiers that each held out another fold of the photographs"
    command = commands.add_parser("pool", help=what, description=what)
    command.add_argument("runs", type=Path, nargs="+", help="folders of trained runs with model.photo_fold")


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from training.build import chain  # noqa: PLC0415

    what = "rebuild shipped bundles: all training runs and conversions, from data to bundles"
    command = commands.add_parser("build", help=what, description=what)
    command.add_argument("chain", choices=chain.names(), help="file in training/recipes/chains")
    command.add_argument("--data", type=Path, required=True, help="folder with scenes.zip, fer2013/ and so on")
    command.add_argument("--out", type=Path, required=True, help="folder for the runs, and for bundles/")
    command.add_argument("--resume", action="store_true", help="continue a build; finished commands are not run again")
    command.add_argument("--smoke", action="store_true", help="run all commands on a tiny sample, past the gate")
    command.add_argument(
        "--input", type=_pair, action="append", default=[], metavar="NAME=PATH",
        help="file that the chain takes from elsewhere, such as yunet=FILE.onnx; an empty PATH leaves it out",
    )  # fmt: skip


def _pair(text: str) -> tuple[str, str]:
    """``NAME=PATH`` as a pair."""
    name, equals, path = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"must be NAME=PATH, is {text!r}")
    return name, path


if __name__ == "__main__":
    sys.exit(main())
