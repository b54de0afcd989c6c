"""Log format of all commands: one line per event, made of ``key=value`` fields, without secrets.

Loggers are named for their module (``edge.delivery.publish``, ``collector.store.writer``). A record is an event and its
fields, made by `line`; grep and log shippers can read it.
"""

import json
import logging
import os
import re
import sys
import time

PLAIN = re.compile(r"[\w.:/@%+-]+", re.ASCII)
SECRETS = (
    (re.compile(r"(\w+:/{1,2})[^/\s\"'@]*@"), r"\1***@"),
    (
        re.compile(r"((?:password|passwd|user-pw|user-id|secret|token|pwd)\s*=\s*)[^\s,;)}&\"\\]+", re.IGNORECASE),
        r"\1***",
    ),
)
"""User name and password of a URL, and the value of a key that names a secret."""


def hide_secrets(text: str) -> str:
    """Return a text with everything that looks like a secret replaced by ``***``."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text


def line(event: str, **fields: object) -> str:
    """``("refused", host="a", reason="Not authorized")`` -> ``event=refused host=a reason="Not authorized"``.

    Values with other than plain characters are quoted as in JSON, so that foreign text cannot start a new line.
    """
    return " ".join(f"{key}={_quote(str(value))}" for key, value in {"event": event, **fields}.items())


def _quote(text: str) -> str:
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def discard_output() -> None:
    """Discard the rest of standard output after a BrokenPipeError; Python would otherwise complain as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def log_to_stderr() -> None:
    """Log events of level INFO and above to standard error, in the format of all commands."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class LineFormatter(logging.Formatter):
    """Formats a record as one line: UTC time, level, module and message."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record. A traceback becomes one quoted field, and secrets are hidden."""
        seconds, milliseconds = divmod(int(record.created * 1000), 1000)
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"
        text = record.getMessage()
        if not text.startswith("event="):  # a record of a library
            text = line("log", message=text)
        if record.exc_info:
            text += " " + f"traceback={json.dumps(self.formatException(record.exc_info))}"
        return f"time={stamp} level={record.levelname.lower()} module={record.name} {hide_secrets(text)}"
