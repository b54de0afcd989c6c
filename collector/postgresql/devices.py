"""Keep the last known state of the devices."""

from collections.abc import Iterable, Mapping

from collector.devices.device import Device
from collector.postgresql.connection import Connection
from contract.message import BundleIdentity


def update_devices(connection: Connection, devices: Iterable[Device]) -> None:
    """Insert or update devices; others stay as they are."""
    rows = []
    for each in devices:
        bundles = (None, None) if each.model is None else (each.model.detector, each.model.expression)
        names = [None if bundle is None else _name(bundle) for bundle in bundles]
        rows.append((each.site, each.device, each.state, each.boot, each.seen, each.counted, *names))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO devices (site, device, state, boot, seen, counted, model_detector, model_expression)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (site, device) DO UPDATE SET state = excluded.state,"
            " boot = excluded.boot, seen = excluded.seen, counted = excluded.counted,"
            " model_detector = excluded.model_detector, model_expression = excluded.model_expression",
            rows,
        )


def update_label_names(connection: Connection, label_map: Mapping[str, str]) -> None:
    """Set the names under which the page shows the labels."""
    for (label,) in connection.execute("SELECT DISTINCT label FROM labels").fetchall():
        connection.execute(
            "UPDATE labels SET shown_as = %s WHERE label = %s AND shown_as <> %s",
            [label_map.get(label, label), label, label_map.get(label, label)],
        )


def _name(bundle: BundleIdentity) -> str:
    """Return the name of a bundle as windows have it."""
    return f"{bundle.name}@{bundle.sha256[:12]}"
