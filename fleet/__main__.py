"""Command line of ``facetally-fleet``: arguments, logging and exit codes."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from base.command import run_command
from base.errors import FacetallyError
from base.logs import hide_secrets
from base.secret_file import read_secret
from base.version import installed_version
from fleet.errors import RolledBack, ToolFailed

if TYPE_CHECKING:  # cryptography and tuf load for a third of a second; --help must not wait
    from fleet.found import Open

log = logging.getLogger("fleet")
EPILOG = "Exit status: 0 on success, 2 for wrong arguments, tables or settings, 1 for any other failure."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 an argument, table or setting is wrong."""
    parsed = _parser().parse_args(arguments)
    return run_command(log, lambda: _do(parsed), _report)


def _do(parsed: argparse.Namespace) -> int:
    """Run the chosen command; FacetallyError if a package of the extra ``fleet`` is not installed."""
    try:
        return int(parsed.do(parsed) or 0)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise FacetallyError(f"{package} is missing: pip install 'facetally[fleet]'") from error


def _report(error: FacetallyError) -> int:
    """Print an error, one line for each of its lines. Returns the exit code for it."""
    for each in str(error).splitlines():
        print(f"facetally-fleet: {hide_secrets(each)}", file=sys.stderr)
    return 1 if isinstance(error, ToolFailed | RolledBack) else 2


def _open(parsed: argparse.Namespace) -> "Open":
    """Open the fleet that the options name."""
    from fleet.folder import Folder  # noqa: PLC0415
    from fleet.found import Open  # noqa: PLC0415
    from fleet.keys import ask  # noqa: PLC0415

    secret = None if parsed.passphrase_file is None else _passphrase(parsed.passphrase_file)
    passphrase = ask if secret is None else lambda _path: secret
    return Open.read(Folder.of(parsed.fleet, parsed.offline), passphrase, datetime.now(timezone.utc))


def _passphrase(path: Path) -> bytes:
    return read_secret(str(path), "--passphrase-file").encode()


def _init(parsed: argparse.Namespace) -> None:
    from fleet.folder import Folder  # noqa: PLC0415
    from fleet.found import found  # noqa: PLC0415

    secret = None if parsed.passphrase_file is None else _passphrase(parsed.passphrase_file)
    folder = Folder.of(parsed.folder, parsed.offline)
    found(folder, parsed.repository, parsed.broker, secret, datetime.now(timezone.utc))
    kept = "encrypted" if secret else "not encrypted (--passphrase-file encrypts them)"
    print(f"{parsed.folder}: a new fleet; the offline keys in {folder.offline} are {kept}")


def _enrol(parsed: argparse.Namespace) -> None:
    from fleet.enrolment.enrol import enrol  # noqa: PLC0415

    fleet = _open(parsed)
    with fleet.folder.locked():
        done = enrol(fleet.issuer, parsed.table)
    print(f"enrolled {len(done.new)}, changed {len(done.changed)}, unchanged {len(done.unchanged)}")
    if done.changed:
        print(f"changed, to be released and rolled out: {' '.join(done.changed)}")


def _revoke(parsed: argparse.Namespace) -> None:
    from fleet.enrolment.enrol import revoke  # noqa: PLC0415

    fleet = _open(parsed)
    with fleet.folder.locked():
        revoked = revoke(fleet.issuer, parsed.devices)
    names = " ".join(each.identity for each in revoked) or "none"
    print(f"revoked {names}; copy {fleet.folder.certificate('crl')} to broker and web server, and restart them")


def _replace(parsed: argparse.Namespace) -> None:
    from fleet.enrolment.enrol import replace_device  # noqa: PLC0415

    fleet = _open(parsed)
    with fleet.folder.locked():
        replaced = replace_device(fleet.issuer, parsed.device)
    names = " ".join(each.identity for each in replaced)
    print(
        f"replaced keys of {names}, and revoked the old certificates; copy {fleet.folder.certificate('crl')} to broker"
        f" and web server, restart them, and write the card"
    )


def _renew(parsed: argparse.Namespace) -> None:
    from fleet.renewal import renew_certificates, renew_signatures  # noqa: PLC0415

    fleet = _open(parsed)
    with fleet.folder.locked():
        if parsed.signatures:
            for each in renew_signatures(fleet):
                print(f"{each.role}: signed until {each.ends:%Y-%m-%d}")
        else:
            for text in renew_certificates(fleet, parsed.devices):
                print(text)


def _refresh(parsed: argparse.Namespace) -> None:
    fleet = _open(parsed)
    with fleet.folder.locked():
        fleet.repository.publish()
    for each in fleet.repository.expiries():
        print(f"{each.role}: signed until {each.ends:%Y-%m-%d}")


def _card(parsed: argparse.Namespace) -> None:
    from fleet.cards import assign, write_card  # noqa: PLC0415
    from fleet.enrolment.inventory import chosen, read_inventory  # noqa: PLC0415

    fleet = _open(parsed)
    with fleet.folder.locked():
        (device,) = chosen(read_inventory(fleet.folder.inventory), [parsed.device])
        assign(fleet, [device], parsed.release)
        write_card(fleet, device, parsed.boot)
    print(f"{parsed.device}: written to {parsed.boot}; eject it")


def _cards(parsed: argparse.Namespace) -> int:
    from fleet.cards import assign, without_card, write_cards  # noqa: PLC0415

    fleet = _open(parsed)
    with fleet.folder.locked():
        devices = without_card(fleet, parsed.groups)
        assign(fleet, devices, parsed.release)
        print(f"{len(devices)} cards to write; insert cards as Raspberry Pi Imager writes them", flush=True)
        left = write_cards(fleet, devices, parsed.reader, parsed.wait, lambda text: print(text, flush=True))
    for identity in left:
        print(f"facetally-fleet: {identity}: has no card yet", file=sys.stderr)
    return 1 if left else 0


def _release(parsed: argparse.Namespace) -> None:
    from fleet.publication.release import Request, make_release  # noqa: PLC0415

    fleet = _open(parsed)
    request = Request(
        name=parsed.name,
        wheel=parsed.wheel,
        software=parsed.software,
        bundles=tuple(parsed.bundle),
        groups=tuple(parsed.groups),
        devices=tuple(parsed.devices),
        upgrade=parsed.upgrade,
    )
    with fleet.folder.locked():
        record = make_release(fleet.folder, fleet.repository, request, fleet.now)
    what = "configurations only" if record.software is None else f"software {record.software}"
    print(f"{record.name}: {what}, for {len(record.configurations)} devices; facetally-fleet rollout hands it out")


def _prune(parsed: argparse.Namespace) -> None:
    from fleet.publication.prune import prune  # noqa: PLC0415

    fleet = _open(parsed)
    with fleet.folder.locked():
        done = prune(fleet.folder, fleet.repository, parsed.keep, fleet.now)
    days = fleet.settings.repository.timestamp_days
    print(f"removed {len(done.releases)} releases: {' '.join(done.releases) or 'none'}")
    print(f"{done.targets} files are no longer listed, and can be deleted after {days} days")
    print(f"deleted {done.files} files, {done.size_bytes / 1e6:.1f} MB")


def _rollout(parsed: argparse.Namespace) -> None:
    from fleet.rollout.plan import Request  # noqa: PLC0415
    from fleet.rollout.run import run  # noqa: PLC0415

    times = parsed.bake, parsed.take_limit
    run(_open(parsed), Request(parsed.release, parsed.stages, *times, visits_may_change=parsed.visits_may_change))


def _pause(parsed: argparse.Namespace) -> None:
    from fleet.rollout.run import request  # noqa: PLC0415

    print(request(_open(parsed), parsed.release, "pause"))


def _back(parsed: argparse.Namespace) -> None:
    from fleet.rollout.run import request  # noqa: PLC0415

    print(request(_open(parsed), parsed.release, "back"))


def _status(parsed: argparse.Namespace) -> None:
    from fleet.status import as_json, as_text, status  # noqa: PLC0415

    found = status(_open(parsed), timedelta(seconds=parsed.wait), parsed.groups)
    print(as_json(found) if parsed.json else as_text(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="facetally-fleet",
        description="Enrol devices, sign releases, and roll them out in stages.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {installed_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, do: Callable[..., int | None], text: str, in_folder: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        sub.set_defaults(do=do)
        if in_folder:
            sub.add_argument("--fleet", type=Path, default=Path(), metavar="FOLDER", help="the fleet (default: here)")
        sub.add_argument(
            "--offline", type=Path, metavar="FOLDER", help="where the offline keys are, such as a USB stick"
        )
        sub.add_argument(
            "--passphrase-file", type=Path, metavar="FILE", help="file with the passphrase of offline keys"
        )
        return sub

    init = add("init", _init, "Make a new fleet: keys, certificates and an empty release repository.", in_folder=False)
    init.add_argument("folder", type=Path, metavar="FOLDER", help="folder of the fleet; it is created")
    init.add_argument("--broker", required=True, metavar="HOST", help="name of the broker, as devices reach it")
    init.add_argument("--repository", required=True, metavar="URL", help="where devices reach the release repository")
    enrol = add("enrol", _enrol, "Enrol the devices of a table: key, certificate and a checked configuration for each.")
    enrol.add_argument(
        "table", type=Path, metavar="CSV", help="columns site, device, group, zones, camera, board, host"
    )
    _add_devices(add("revoke", _revoke, "Let broker and web server refuse the certificates of devices."), "+")
    replacing = add("replace", _replace, "Give the identity of a broken device to a new one, and revoke the old one.")
    replacing.add_argument("device", metavar="SITE/DEVICE")
    renew = add("renew", _renew, "Renew certificates that end soon, or those of the devices named.")
    _add_devices(renew, "*")
    renew.add_argument("--signatures", action="store_true", help="instead, sign the whole release repository again")
    add("refresh", _refresh, "Renew the online signatures of the release repository; run it every day.")
    _add_card_commands(add)
    _add_release_commands(add)
    state = add("status", _status, "Print the devices that need a person first, then all others.")
    state.add_argument("--json", action="store_true", help="print JSON instead of a table")
    state.add_argument("--groups", type=_names, default=[], metavar="NAME,...", help="only devices of these groups")
    state.add_argument("--wait", type=float, default=5.0, metavar="S", help="longest wait for messages (default: 5)")
    return parser


def _add_devices(parser: argparse.ArgumentParser, how_many: str) -> None:
    parser.add_argument("devices", nargs=how_many, metavar="SITE/DEVICE", help="devices of the inventory")


def _add_card_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    card = add("card", _card, "Prepare the card of a device.")
    card.add_argument("device", metavar="SITE/DEVICE")
    card.add_argument("boot", type=Path, metavar="BOOT", help="mount point of the card's first partition, bootfs")
    cards = add("cards", _cards, "Prepare cards for all devices that have none yet, as they are inserted.")
    cards.add_argument(
        "--reader", type=Path, action="append", required=True, metavar="BOOT", help="a mount point; may be repeated"
    )
    cards.add_argument("--groups", type=_names, default=[], metavar="NAME,...", help="only devices of these groups")
    cards.add_argument("--wait", type=float, default=600.0, metavar="S", help="end after so long without a card")
    for each in (card, cards):
        each.add_argument("--release", metavar="NAME", help="release for devices that have none (default: the newest)")


def _add_release_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    release = add("release", _release, "Sign a release: new software, or the configurations of devices.")
    release.add_argument("name", metavar="NAME")
    release.add_argument("--wheel", type=Path, metavar="FILE", help="wheel of facetally: new software")
    release.add_argument("--software", metavar="NAME", help="software of an earlier release")
    release.add_argument(
        "--bundle", type=Path, action="append", default=[], metavar="CARD", help="card of a bundle; may be repeated"
    )
    release.add_argument("--groups", type=_names, default=[], metavar="NAME,...", help="only devices of these groups")
    release.add_argument("--devices", type=_names, default=[], metavar="SITE/DEVICE,...", help="only these devices")
    release.add_argument("--upgrade", action="store_true", help="choose new versions of other packages")
    prune = add("prune", _prune, "Remove old releases that no device runs and no rollout leads back to.")
    prune.add_argument("--keep", type=_count, default=3, metavar="N", help="newest releases to keep (default: 3)")
    rollout = add("rollout", _rollout, "Hand out a release in stages, and roll it back if devices get worse.")
    rollout.add_argument("release", metavar="RELEASE")
    rollout.add_argument("--stages", metavar="N,N%%,...", help="devices after each stage, such as 1,5%%,25%%,100%%")
    rollout.add_argument("--bake", metavar="TIME", help="how long a stage is observed, such as 60m")
    rollout.add_argument("--take-limit", metavar="TIME", help="how long a stage may need to take it, such as 60m")
    rollout.add_argument("--visits-may-change", action="store_true", help="do not compare visits and `unknown`")
    for name, do, text in (
        ("pause", _pause, "Let no further stage begin; rollout goes on with it."),
        ("back", _back, "Give all devices what they ran before a release."),
    ):
        add(name, do, text).add_argument("release", metavar="RELEASE")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 1, is {text!r}")
    return int(text)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


if __name__ == "__main__":
    sys.exit(main())
