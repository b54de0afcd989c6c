"""How a command joins the command line, and the options that all commands have."""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.settings import Settings

EPILOG = "Exit status: 0 on success, 2 for wrong settings or arguments, 1 for any other failure."
Command = Callable[[argparse.Namespace, Settings], None]


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of a command line. Each module of this package adds its own."""

    parsers: Any
    """What `argparse.ArgumentParser.add_subparsers` returned."""

    def add(self, name: str, command: Command, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add a command. ``text`` is its help: a sentence. Returns its parser, for options of its own."""
        options = [common_options(), *parents]
        sub: argparse.ArgumentParser = self.parsers.add_parser(
            name, help=text, description=text, epilog=EPILOG, parents=options
        )
        sub.set_defaults(command=command)
        return sub


def common_options() -> argparse.ArgumentParser:
    """Return the options of all commands: the configuration, and what overrides it."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (TOML); every setting has a default"
    )
    common.add_argument("--root", metavar="FOLDER", help="folder of the store, instead of store.root")
    common.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one setting, for example broker.port=1884; may be repeated",
    )
    return common


def add_form(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that prints a table as text, JSON or CSV."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", dest="form", action="store_const", const="json", default="text", help="print JSON instead of text"
    )
    form.add_argument("--csv", dest="form", action="store_const", const="csv", help="print CSV instead of text")


def whole_number(last: int) -> Callable[[str], int]:
    """Return a reader of an option's value, for argparse: a whole number from 1 to ``last``."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(f"[0-9]{{1,{len(str(last))}}}", text) else 0
        if not 1 <= number <= last:
            raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {last}, is {text!r}")
        return number

    return read
