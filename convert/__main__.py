"""``python -m convert quantise|verify``: argument parsing and nothing else."""

import argparse
import os
import sys
from pathlib import Path

from base.errors import FacetallyError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 2 for a missing or bad file, and for a bundle that the gate refuses."""
    parser = argparse.ArgumentParser(prog="python -m convert", description="Float models -> int8 bundles.")
    commands = parser.add_subparsers(dest="command", required=True)
    quantise = commands.add_parser("quantise", help="quantise, measure and write a bundle; refuse a bad one")
    quantise.add_argument("run", type=Path, help="folder of a training run")
    quantise.add_argument("--out", type=Path, required=True, help="folder for NAME.tflite and NAME.json")
    quantise.add_argument("--size", type=_size, metavar="WxH", help="a detector's input, if not the recipe's: 320x240")
    quantise.add_argument(
        "--threshold",
        type=_score,
        default=0.0,
        metavar="SCORE",
        help="a detector's threshold, at least; otherwise as shelves have it",
    )
    verify = commands.add_parser("verify", help="measure a bundle anew, through the code that runs on the device")
    verify.add_argument("card", type=Path, help="a bundle's card, NAME.json")
    verify.add_argument("--run", type=Path, required=True, help="folder of the training run with the data held back")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from convert import verify as verifying  # noqa: PLC0415
        from convert import write_bundle  # noqa: PLC0415 (TensorFlow is slow to import)

        if chosen.command == "quantise":
            run = write_bundle.open_run(chosen.run, chosen.size, chosen.threshold)
            print(write_bundle.figures_table(write_bundle.make(run, chosen.out)))
        else:
            print(verifying.verify(write_bundle.open_run(chosen.run), chosen.card))
    except FacetallyError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    return 0


def _score(text: str) -> float:
    """A number from 0 to 1."""
    score = float(text)
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1")
    return score


def _size(text: str) -> tuple[int, int]:
    """``WIDTHxHEIGHT`` in pixels, multiples of 8 -> (height, width)."""
    width, _, height = text.partition("x")
    if (
        not (width.isdecimal() and height.isdecimal())
        or int(width) % 8
        or int(height) % 8
        or not int(width) * int(height)
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in multiples of 8, such as 320x240")
    return int(height), int(width)


if __name__ == "__main__":
    sys.exit(main())
