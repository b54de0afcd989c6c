"""``python -m training prepare|train|evaluate RECIPE`` and ``pool RUN...``: argument parsing and nothing else."""

import argparse
import os
import sys
from pathlib import Path

from base.errors import FacetallyError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 2 for a wrong recipe, key or file."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Data -> float models and their reports.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("prepare", "read the data once and write one compact cache"),
        ("train", "train the model, from where it was left"),
        ("evaluate", "measure the trained model on data it was not trained on"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("recipe", type=Path, help="TOML file of one model, such as training/recipes/face.toml")
        command.add_argument("--run", type=Path, required=True, help="folder of this model's cache, checkpoint, report")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. model.steps=100")
        if name == "prepare":
            command.add_argument("--data", type=Path, required=True, help="folder with scenes.zip, fer2013/ and so on")
            command.add_argument("--broken", choices=["stop", "skip"], default="stop", help="rows that cannot be read")
        if name == "evaluate":
            command.add_argument("--card", type=Path, help="a bundle's card, to measure its int8 model, too")
            command.add_argument("--beside", type=Path, nargs="*", default=[], help="other runs, to draw their courses")
    what = "measure classifiers that each held another fold of the photographs back"
    pooling = commands.add_parser("pool", help=what, description=what)
    pooling.add_argument("runs", type=Path, nargs="+", help="folders of trained runs, with model.photo_fold")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from training import recipe, tasks  # noqa: PLC0415 (Keras is slow to import; --help should not wait for it)

    try:
        if chosen.command == "pool":
            from training.evaluate.cross_validation import pool  # noqa: PLC0415

            print(pool(chosen.runs))
            return 0
        made = recipe.read(chosen.recipe, tuple(chosen.set))
        task = tasks.of(made)
        if chosen.command == "prepare":
            task.prepare(chosen.data, chosen.run, chosen.broken)
        elif chosen.command == "train":
            task.train(chosen.run)
        else:
            task.evaluate(chosen.run, chosen.card, chosen.beside)
    except (FacetallyError, FileNotFoundError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
