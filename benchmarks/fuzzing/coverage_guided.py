"""Search for messages, receipts and cards that end in another exception than the contract's, guided by coverage.

``python -m benchmarks.fuzzing.coverage_guided messages|receipts|cards -max_total_time=300``

It needs atheris (``pip install atheris``, Python 3.11 and later), which finds inputs that reach new lines of `contract`
and `base`. The rest of the command line is libFuzzer's. The first inputs are the golden messages and the shipped cards.
A payload must be decoded or refused by BadMessage, and a card by BundleError, with less than `LONGEST_ERROR`
characters. A message that is decoded must decode to itself again. The first wrong input is written to ``crash-HASH``,
and the process ends with a traceback.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["contract", "base"]):
    from base.errors import FacetallyError
    from contract.card import read_card, write_card
    from contract.errors import BadMessage, BundleError
    from contract.message import MESSAGES, decode, encode
    from contract.receipt import decode_receipt, encode_receipt

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CARDS = ROOT / "edge" / "models"
LONGEST_ERROR = 2000
MAX_LENGTH = {"messages": 4096, "receipts": 4096, "cards": 65_536}


def check_message(payload: bytes) -> None:
    """Decode a payload as a message of each kind."""
    for kind in MESSAGES.values():
        try:
            message = decode(payload, kind)
        except BadMessage as error:
            _check_error(error)
        else:
            assert decode(encode(message), kind) == message


def check_receipt(payload: bytes) -> None:
    """Decode a payload as a receipt."""
    try:
        receipt = decode_receipt(payload)
    except BadMessage as error:
        _check_error(error)
    else:
        assert decode_receipt(encode_receipt(receipt)) == receipt


def check_card(text: bytes) -> None:
    """Read a text as a card."""
    try:
        card = read_card(text, "card")
    except BundleError as error:
        _check_error(error)
    else:
        assert read_card(write_card(card), "card") == card


def _check_error(error: FacetallyError) -> None:
    assert len(str(error)) < LONGEST_ERROR
    assert "Expected `" not in str(error), "the words of a library"


CHECKS: dict[str, tuple[Callable[[bytes], None], tuple[Path, ...]]] = {
    "messages": (check_message, tuple(path for kind in MESSAGES for path in GOLDEN.glob(f"{kind}-*.json"))),
    "receipts": (check_receipt, tuple(GOLDEN.glob("stored*.json"))),
    "cards": (check_card, tuple(CARDS.glob("*.json"))),
}


def main() -> None:
    """Fuzz one kind until the time or the number of runs in libFuzzer's arguments is reached."""
    name, *options = sys.argv[1:] or [""]
    if name not in CHECKS:
        raise SystemExit(
            f"usage: python -m benchmarks.fuzzing.coverage_guided {'|'.join(CHECKS)} [LIBFUZZER OPTION...]"
        )
    check, intact = CHECKS[name]
    corpus = Path(tempfile.mkdtemp(prefix="facetally-corpus-"))  # not removed: libFuzzer ends the process
    for number, path in enumerate(intact):
        (corpus / str(number)).write_bytes(path.read_bytes())
    print(f"inputs that reach new lines are written to {corpus}")
    atheris.Setup([sys.argv[0], f"-max_len={MAX_LENGTH[name]}", *options, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
