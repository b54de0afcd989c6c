"""Run one command of a program: set up the log, and translate errors to exit codes."""

import logging
from collections.abc import Callable

from base.errors import FacetallyError
from base.logs import discard_output, line, log_to_stderr


def run_command(log: logging.Logger, command: Callable[[], int | None], report: Callable[[FacetallyError], int]) -> int:
    """Run a command and return its exit code; 0 if it returns None.

    ``report`` prints an error that users can mend and returns the code for it. Other codes are 130 after Ctrl-C, 141
    when the reader of standard output is gone, and 1 for an unexpected error, which is logged with its traceback.
    """
    log_to_stderr()
    try:
        return command() or 0
    except FacetallyError as error:
        return report(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        discard_output()
        return 141
    except Exception:
        log.exception(line("crash"))
        return 1
