"""Renew what ends by its date: certificates of devices and servers, and the signatures of the release repository."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta

from msgspec.structs import replace

from contract.release import certificate_path, device_path, write_manifest
from fleet.enrolment.authority import parse_certificate
from fleet.enrolment.configuration import ETC
from fleet.enrolment.enrol import ending, renew
from fleet.enrolment.inventory import Device, read_inventory
from fleet.found import PROGRAMS, SERVERS, Open, renew_servers
from fleet.publication.records import device_manifest
from fleet.publication.repository import Changes, Expiry, Repository


def renew_certificates(fleet: Open, identities: list[str]) -> Iterator[str]:
    """Renew the certificates of the devices named, or all that end soon; yield what was done.

    Devices keep their keys, and get the new certificate with their next manifest. That of a further camera is copied by
    hand: a manifest has the certificate of the device only.
    """
    within = timedelta(days=fleet.settings.certificates.renew_before_days)
    due = identities or ending(read_inventory(fleet.folder.inventory), within, fleet.now)
    if due:
        devices = renew(fleet.issuer, due)
        _hand_out(fleet, fleet.repository, devices)
        for device in devices:
            by_hand = _by_hand(fleet, device) if device.host else ""
            yield f"{device.identity}: certificate ends {device.certificate_ends:%Y-%m-%d}{by_hand}"
    ends = [
        parse_certificate(path.read_bytes(), str(path)).not_valid_after_utc
        for path in map(fleet.folder.certificate, (*SERVERS, *PROGRAMS))
    ]
    if not identities and min(ends) - fleet.now < within:
        renew_servers(fleet)
        yield "certificates of broker, web server, operator and collector renewed; copy them and restart the servers"


def renew_signatures(fleet: Open) -> list[Expiry]:
    """Sign the metadata of all roles again, and return when they end."""
    repository = fleet.repository
    repository.renew_root()
    repository.publish(targets=Changes())
    return repository.expiries()


def _by_hand(fleet: Open, camera: Device) -> str:
    """What is to be done with the renewed certificate of a further camera."""
    path, name = fleet.folder.certificate(f"devices/{camera.identity}"), camera.device
    return f"; copy {path} to {ETC}/{name}.pem on {camera.host_identity}, and restart facetally-edge@{name} there"


def _hand_out(fleet: Open, repository: Repository, devices: list[Device]) -> None:
    """Publish renewed certificates, with a new manifest for each device that has one."""
    changes = Changes()
    for device in devices:
        before = None if device.host else device_manifest(repository, device)
        if before is None:
            continue
        text = fleet.folder.certificate(f"devices/{device.identity}").read_bytes()
        path = certificate_path(device.site, device.device, hashlib.sha256(text).hexdigest())
        if before.certificate is not None:
            changes.removed.add(before.certificate.path)
        certificate = changes.add_text(path, text)
        after = replace(before, number=before.number + 1, certificate=certificate)
        changes.add_text(device_path(device.site, device.device), write_manifest(after))
    repository.publish(devices=changes)
