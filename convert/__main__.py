"""``python -m convert quantise|verify``: argument parsing and nothing else."""

import argparse
import os
import sys
from pathlib import Path

from contract.errors import FacetallyError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 2 for a missing or bad file, and for a bundle that the gate refuses."""
    parser = argparse.ArgumentParser(prog="python -m convert", description="Float models -> int8 bundles.")
    commands = parser.add_subparsers(dest="command", required=True)
    quantise = commands.add_parser("quantise", help="quantise, measure and write a bundle; refuse a bad one")
    quantise.add_argument("run", type=Path, help="folder of a training run")
    quantise.add_argument("--out", type=Path, required=True, help="folder for NAME.tflite and NAME.json")
    verify = commands.add_parser("verify", help="measure a bundle anew, through the code that runs on the device")
    verify.add_argument("card", type=Path, help="a bundle's card, NAME.json")
    verify.add_argument("--run", type=Path, required=True, help="folder of the training run with the data held back")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        from convert import bundle  # noqa: PLC0415 (TensorFlow is slow to import)
        from convert import verify as verifying  # noqa: PLC0415

        run = bundle.open_run(chosen.run)
        if chosen.command == "quantise":
            print(bundle.figures_table(bundle.make(run, chosen.out)))
        else:
            print(verifying.verify(run, chosen.card))
    except FacetallyError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
