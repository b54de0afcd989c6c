"""Events and their fields -> lines of ``key=value`` that grep and a log shipper can read."""

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
"""A URL's name and password, and what follows a word for a secret."""


def hidden(text: str) -> str:
    """A text from a configuration or a library, without what looks like a secret."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def line(event: str, **fields: object) -> str:
    """``("refused", host="a", reason="Not authorized")`` -> ``event=refused host=a reason="Not authorized"``.

    What is not plain is quoted as in JSON, so that text from outside cannot begin a line of its own.
    """
    return " ".join(f"{key}={_quote(str(value))}" for key, value in {"event": event, **fields}.items())


def _quote(text: str) -> str:
    return text if PLAIN.fullmatch(text) else json.dumps(text)


def nobody_reads() -> None:
    """After a BrokenPipeError: what is left for standard output goes nowhere, or Python complains as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Lines(logging.Formatter):
    """A record -> one line: UTC time, level, module, and the message, which `line` made."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`; a traceback becomes one quoted field, and secrets are left out."""
        seconds, milliseconds = divmod(int(record.created * 1000), 1000)
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"
        text = record.getMessage()
        if not text.startswith("event="):  # other libraries' records
            text = line("log", message=text)
        if record.exc_info:
            text += " " + f"traceback={json.dumps(self.formatException(record.exc_info))}"
        return f"time={stamp} level={record.levelname.lower()} module={record.name} {hidden(text)}"
