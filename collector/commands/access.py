"""The command ``access``: who may see which sites."""

import argparse
from datetime import date
from pathlib import Path

from base.errors import SettingsError
from collector.access.entries import Entry, check_name, hash_token, new_token, read_entries, write_entries
from collector.commands.parsers import Commands
from collector.commands.selection import selected_sites
from collector.receive.receiver import utc_now
from collector.settings import Settings


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("access", _access, "List, add or remove people and programs that may see page and API.")
    parser.add_argument("action", choices=("list", "add", "remove"))
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="name of a person or program, such as an e-mail address"
    )
    parser.add_argument("--site", help="with add: only this site, or these, separated by commas (default: all sites)")
    parser.add_argument(
        "--proxy", action="store_true", help="with add: no token; only the proxy of access.proxy_header logs them in"
    )


def _access(options: argparse.Namespace, settings: Settings) -> None:
    path = settings.access.path()
    entries = read_entries(path) if path.exists() or options.action != "add" else ()
    if options.action == "list":
        for entry in entries:
            sites = "all sites" if entry.sites is None else ",".join(entry.sites)
            print(f"{entry.name}  {sites}  {'token' if entry.sha256 else 'proxy'}  {entry.created or ''}".rstrip())
        return
    if options.name is None:
        raise SettingsError(f"access {options.action}: NAME must be given")
    check_name(options.name)
    known = {entry.name: entry for entry in entries}
    if options.action == "remove":
        if options.name not in known:
            raise SettingsError(f"NAME: {options.name} is not in {path}; known: {', '.join(known) or 'nobody'}")
        write_entries(path, [entry for entry in entries if entry.name != options.name])
        print(f"removed {options.name}")
        return
    if options.name in known:
        raise SettingsError(f"NAME: {options.name} is in {path} already; remove it first")
    _add(path, entries, options, utc_now().date())


def _add(path: Path, entries: tuple[Entry, ...], options: argparse.Namespace, today: date) -> None:
    """Add an entry, and print its token: it cannot be read again."""
    sites = selected_sites(options) or None
    token = None if options.proxy else new_token()
    sha256 = None if token is None else hash_token(token)
    write_entries(path, [*entries, Entry(name=options.name, sites=sites, sha256=sha256, created=today)])
    print(f"added {options.name}" if token is None else token)
