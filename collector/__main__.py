"""The command line of the collector. Each module of `collector.commands` adds its commands."""

import argparse
import logging
import sys
from collections.abc import Sequence

from msgspec.structs import replace

from base.errors import FacetallyError, SettingsError
from base.logs import line, log_to_stderr
from base.version import installed_version
from collector.commands import (
    access,
    compact,
    export,
    hours,
    recounts,
    report,
    rollup,
    services,
    summary,
    sync,
    upload,
)
from collector.commands.parsers import EPILOG, Command, Commands
from collector.settings import read_settings
from contract.errors import BundleError, TopicError

COMMANDS = (services, export, summary, report, hours, compact, rollup, recounts, access, sync, upload)

_log = logging.getLogger("collector")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for wrong settings or arguments, 1 for any other failure."""
    options = _parser().parse_args(arguments)
    _configure_logging()
    command: Command = options.command
    try:
        settings = read_settings(options.config, tuple(options.set))
        if options.root is not None:
            settings = replace(settings, store=replace(settings.store, root=options.root))
        command(options, settings)
    except (SettingsError, TopicError, BundleError) as error:
        _log.error(line("settings", reason=error))
        return 2
    except FacetallyError as error:
        _log.error(line("stopped", reason=error))
        return 1
    except Exception:  # noqa: BLE001 - the last resort: log one line and exit with 1
        _log.exception(line("stopped", reason="unexpected"))
        return 1
    return 0


def _configure_logging() -> None:
    log_to_stderr()
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # logs a line when it first draws on a machine
    for name in ("aiobotocore", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they log where each login and address was found
    logging.getLogger("waitress").setLevel(logging.WARNING)  # logs a line for each browser that hangs up
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # logs a line for each request that waits


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="facetally-collector",
        description="Receive the counts of facetally devices over MQTT, store them, and show them.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {installed_version()}")
    commands = Commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    for module in COMMANDS:
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
