"""Command line of the conversion: ``python -m convert quantise|verify|optimise``."""

import argparse
import os
import sys
from pathlib import Path

from base.errors import FacetallyError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 2 for wrong input and for a bundle that the gate refuses."""
    chosen = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from convert import verify as verifying  # noqa: PLC0415 (TensorFlow is slow to import; --help must not wait)
        from convert import write_bundle  # noqa: PLC0415
        from convert.optimise_bundle import optimise_bundle  # noqa: PLC0415
        from edge.vision.bundle import card_path  # noqa: PLC0415
        from training.trained_run import open_run  # noqa: PLC0415

        if chosen.command == "quantise":
            run = open_run(chosen.run, chosen.size)
            card = write_bundle.make(run, chosen.out, min_threshold=chosen.threshold, force=chosen.force)
            print(write_bundle.figures_table(card))
        elif chosen.command == "optimise":
            card = optimise_bundle(card_path(chosen.card), chosen.out, chosen.version)
            print(f"{chosen.out / card.name}.json: version {card.version}, same outputs")
        else:
            print(verifying.verify(open_run(chosen.run), chosen.card))
    except (FacetallyError, OSError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m convert", description="Convert float models to int8 bundles.")
    commands = parser.add_subparsers(dest="command", required=True)
    quantise = commands.add_parser("quantise", help="quantise a run, measure it and write its bundle")
    quantise.add_argument("run", type=Path, help="folder of a training run")
    quantise.add_argument("--out", type=Path, required=True, help="folder for NAME.tflite and NAME.json")
    quantise.add_argument("--size", type=_size, metavar="WxH", help="input size of a detector, if not the recipe's")
    quantise.add_argument(
        "--threshold", type=_score, default=0.0, metavar="SCORE", help="lowest threshold of a detector, 0 to 1"
    )
    quantise.add_argument(
        "--force", action="store_true", help="write the bundle even if the gate refuses it; the card's notes say why"
    )
    verify = commands.add_parser("verify", help="measure a bundle again through the device's code")
    verify.add_argument("card", type=Path, help="card of a bundle, NAME.json")
    verify.add_argument("--run", type=Path, required=True, help="folder of the training run with the test data")
    optimise = commands.add_parser("optimise", help="make the network of an older bundle faster, with the same outputs")
    optimise.add_argument("card", help="card of a bundle, NAME.json, or the name of a shipped one")
    optimise.add_argument("--version", required=True, help="version of the new bundle")
    optimise.add_argument("--out", type=Path, required=True, help="folder for NAME.tflite and NAME.json")
    return parser


def _score(text: str) -> float:
    """A number from 0 to 1."""
    score = float(text)
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, is {text!r}")
    return score


def _size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` in pixels as (height, width), multiples of 8."""
    width, _, height = text.partition("x")
    if (
        not (width.isdecimal() and height.isdecimal() and int(width) and int(height))
        or int(width) % 8
        or int(height) % 8
    ):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in multiples of 8, such as 320x240, is {text!r}")
    return int(height), int(width)


if __name__ == "__main__":
    sys.exit(main())
