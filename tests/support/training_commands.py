"""Run the commands of training and conversion in this process: TensorFlow takes seconds to import, once for all."""

import importlib
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple


class Done(NamedTuple):
    """What a command has printed."""

    stdout: str
    stderr: str


def run(program: str, *arguments: object, code: int = 0) -> Done:
    """Run ``python -m program``, training or convert; fail with its output if its exit code is not ``code``."""
    main = importlib.import_module(f"{program}.__main__").main
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a process of its own
        try:
            given = main([str(argument) for argument in arguments])
        except SystemExit as error:  # of argparse
            given = error.code
    assert given == code, err.getvalue()[-2000:]
    return Done(out.getvalue(), err.getvalue())
