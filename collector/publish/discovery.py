"""Describe the sensors of a device to Home Assistant: the payloads of MQTT discovery.

See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery. A sensor has its values from the hour message, and
is available while the device's status is ``online``.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from base.version import installed_version
from collector.devices.device import Device
from contract.hour import hour_topic
from contract.labels import UNKNOWN
from contract.topics import topic

EXPIRES_S = 7800
"""A value expires after so long without a newer hour: two hours, and ten minutes for late windows."""
PERCENT = "%"
ALL = "value_json.visits.values() | sum"
"""Template of the visits of all labels."""


def discovery(devices: Iterable[Device], prefix: str) -> dict[str, bytes]:
    """Return topic and payload of each sensor of these devices."""
    return {
        f"{prefix}/sensor/{_node(device)}/{key}/config": msgspec.json.encode(_common(device, key) | sensor)
        for device in devices
        for key, sensor in _sensors(device)
    }


def _sensors(device: Device) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield key and payload of each sensor, without what all have in common."""
    yield (
        "visits",
        {
            "name": "Visits in the last hour",
            "icon": "mdi:counter",
            "unit_of_measurement": "visits",
            "state_class": "total",
            "value_template": f"{{{{ ({ALL}) | round(1) }}}}",
            "last_reset_value_template": "{{ value_json.start }}",
        },
    )
    yield (
        "coverage",
        {
            "name": "Coverage",
            "icon": "mdi:camera-timer",
            "unit_of_measurement": PERCENT,
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "value_template": "{{ (100 * value_json.coverage) | round(1) }}",
        },
    )
    labels = device.model.expression.labels if device.model else ()
    for label in (*labels, UNKNOWN):
        share = f"(100 * value_json.visits['{label}'] / ({ALL})) | round(1)"
        yield (
            f"share_{label}",
            {
                "name": f"Share of {label.replace('_', ' ')}",
                "icon": "mdi:percent-outline",
                "unit_of_measurement": PERCENT,
                "state_class": "measurement",
                "value_template": f"{{{{ {share} if '{label}' in value_json.visits and ({ALL}) else None }}}}",
            },
        )


def _common(device: Device, key: str) -> dict[str, Any]:
    """Return the fields that all sensors of a device have."""
    identity = f"facetally/{device.site}/{device.device}"
    about: dict[str, Any] = {
        "identifiers": [identity],
        "name": f"{device.site} {device.device}",
        "manufacturer": "facetally",
        "suggested_area": device.site,
    }
    if device.model:
        about["model"] = device.model.expression.name
    if device.health and "facetally" in device.health.versions:
        about["sw_version"] = device.health.versions["facetally"]
    return {
        "unique_id": f"{identity}/{key}",
        "state_topic": hour_topic(device.site, device.device),
        "qos": 1,
        "expire_after": EXPIRES_S,
        "availability_topic": topic(device.site, device.device, "status"),
        "availability_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
        "device": about,
        "origin": {"name": "facetally", "sw_version": installed_version()},
    }


def _node(device: Device) -> str:
    """Return a name of a device of letters, digits, ``_`` and ``-``, as discovery demands; two devices never share one.

    Other characters, and ``_``, become ``_`` and two hex digits, so that ``__`` occurs only between site and device.
    """
    return "__".join(
        "".join(each if each.isalnum() or each == "-" else f"_{ord(each):02x}" for each in name)
        for name in (device.site, device.device)
    )
