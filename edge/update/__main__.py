"""Command line of ``facetally-update``: arguments, logging and exit codes."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from base.command import run_command
from base.errors import FacetallyError
from base.logs import hide_secrets
from base.version import installed_version
from edge.update import settings as configuration

log = logging.getLogger("edge.update")
DEFAULT_CONFIG = Path("/etc/facetally/update.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 a file, key or value is wrong."""
    parsed = _parser().parse_args(arguments)

    def command() -> int:
        return int(parsed.do(configuration.read(parsed.config, tuple(_overrides(parsed)))))

    return run_command(log, command, _report)


def _report(error: FacetallyError) -> int:
    """Print an error. Returns the exit code for it."""
    print(f"facetally-update: {hide_secrets(str(error))}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="facetally-update",
        description="Install signed releases, and go back if one is not healthy.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {installed_version()}")
    commands = parser.add_subparsers(required=True, metavar="run|recover|status|back")
    for name, function, text in (
        ("run", _run, "install and try a newer release, if there is one for this device"),
        ("recover", _recover, "return to the last good release after a power cut during an update"),
        ("status", _status, "print what is installed and what was refused, as JSON"),
        ("back", _back, "return to the release before the present one"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="TOML file (default: %(default)s)")
        command.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, such as trial_s=60"
        )
        command.set_defaults(do=function, repository=None)
        if name == "run":
            command.add_argument("--repository", help="URL or folder to take the release from, such as a USB stick")
    return parser


def _overrides(parsed: argparse.Namespace) -> list[str]:
    repository = [] if parsed.repository is None else [f"repository={json.dumps(parsed.repository)}"]
    return [*parsed.set, *repository]


def _run(settings: configuration.UpdateSettings) -> int:
    from edge.update.run import run  # noqa: PLC0415 (tuf loads for half a second; --help must not wait)

    return 0 if run(settings) else 1


def _recover(settings: configuration.UpdateSettings) -> int:
    from edge.update.run import recover  # noqa: PLC0415

    return 0 if recover(settings).good else 1


def _status(settings: configuration.UpdateSettings) -> int:
    from edge.update.layout import Layout  # noqa: PLC0415
    from edge.update.state import StateFile  # noqa: PLC0415

    layout, state = Layout(Path(settings.program)), StateFile(Path(settings.state)).read()
    current = layout.current_setup()
    status: dict[str, object] = {
        "setup": current,
        "release": layout.release_of(current) if current else None,
        "number": state.number,
        "previous": state.previous,
        "trial": state.trial,
        "problem": state.problem or None,
    }
    if state.failure is not None:
        status["failed"] = {
            "number": state.failure.number,
            "reason": state.failure.reason,
            "tries": state.failure.tries,
        }
    print(json.dumps(status, indent=2))
    return 0


def _back(settings: configuration.UpdateSettings) -> int:
    from edge.update.run import back  # noqa: PLC0415

    print(f"back to release {back(settings)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
