"""How the devices of a fleet stand, asked at a real broker: who needs a person, first."""

import json
import ssl
from datetime import datetime, timedelta, timezone

import msgspec
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.machines.fleet_servers import HOST, broker
from contract.message import Status, encode
from contract.topics import topic
from fleet.__main__ import main
from tests.support.brokers import LIMIT_S, needs_mosquitto
from tests.support.fleets import BOARD, fleet, give, light_wheel, made
from tests.support.messages import MESSAGES

pytestmark = needs_mosquitto
CAMERA = f"shop-1,cam,north,none,v4l2:1,{BOARD},well"
GROUPS = {"new": "south"}
NAMES = ("well", "off", "silent", "old", "failed", "edited", "ending", "new")


def send(of, port, name, state, health):
    """Publish the retained messages of a device, with its own certificate."""
    me = ("shop-1", name)
    client = Client(CallbackAPIVersion.VERSION2)
    context = ssl.create_default_context(cafile=of / "certificates/ca.pem")
    context.load_cert_chain(of / f"certificates/devices/shop-1/{name}.pem", of / f"secrets/devices/shop-1/{name}.key")
    client.tls_set_context(context)
    client.connect(HOST, port)
    client.loop_start()
    status = Status(schema=1, state=state, boot=health.boot)
    messages = [("status", status), ("health", health)]
    messages += [("shadow", MESSAGES["shadow-1"])] * (name in ("well", "thief"))
    for kind, message in messages:
        client.publish(topic(*me, kind), encode(message), 1, retain=True).wait_for_publish(LIMIT_S)
    client.disconnect()
    client.loop_stop()


def test_devices_that_need_a_person_come_first(tmp_path, capsys):
    """Offline, silent, old release, failed update, edited configuration, ending certificate, never seen: each is told.

    So is the edited configuration of a further camera, which is part of the release of its host.
    A revoked device that is still connected is told as well; a device that is well comes last. The agreement table of
    an enrolled device is shown, that of a revoked one is not.
    """
    now = datetime.now(timezone.utc)
    of = made(
        tmp_path,
        *(f"shop-1,{name},{GROUPS.get(name, 'north')},none,v4l2:0,{BOARD}" for name in (*NAMES, "thief")),
        CAMERA,
    )
    fleet("release", "1.0", "--wheel", light_wheel(tmp_path), folder=of)
    give(of, "1.0")
    (record,) = (json.loads(path.read_text()) for path in (of / "releases").iterdir())
    with broker(of, tmp_path) as running:
        configurations = record["configurations"] | {"shop-1/cam": record["instances"]["shop-1/well"]["cam"]}
        for name in (*NAMES[:-1], "thief", "cam"):
            health = msgspec.structs.replace(
                MESSAGES["health-4"],
                time=now,
                release="1.0",
                certificate_ends=now + timedelta(days=900),
                configuration_sha256=configurations[f"shop-1/{name}"]["sha256"],
                update_failed=None,
                shared_with=None,
            )
            changes = {
                "cam": {"configuration_sha256": "1" * 64},
                "silent": {"time": now - timedelta(hours=1)}, "old": {"release": "0.9"},
                "failed": {"update_failed": "release 2.0: no space"}, "edited": {"configuration_sha256": "0" * 64},
                "ending": {"certificate_ends": now + timedelta(days=30)},
            }.get(name, {})  # fmt: skip
            state = "offline" if name == "off" else "online"
            send(of, running.port, name, state, msgspec.structs.replace(health, **changes))
        fleet("revoke", "shop-1/thief", folder=of)
        capsys.readouterr()
        fleet("status", "--json", folder=of)
        as_json = json.loads(capsys.readouterr().out)
        found = {each["device"]: each for each in as_json["devices"]}
        fleet("status", folder=of)
        table = capsys.readouterr().out.splitlines()
        fleet("status", "--json", "--groups", "south", folder=of)
        of_group = json.loads(capsys.readouterr().out)["devices"]
        assert main(["status", "--groups", "west", "--fleet", str(of)]) == 2
        assert "--groups: must be of north, south, has 'west'" in capsys.readouterr().err
    assert [(each["device"], each["group"]) for each in of_group] == [("new", "south")]
    problems = {name: "; ".join(each["problems"]) for name, each in found.items()}
    assert problems.pop("silent").startswith("silent since ")
    assert problems == {
        "off": "offline",
        "old": "runs release 0.9, shall run 1.0",
        "failed": "update failed: release 2.0: no space",
        "edited": "configuration is not the released one; edited by hand?",
        "cam": "configuration is not the released one; edited by hand?",
        "ending": f"certificate ends {now + timedelta(days=30):%Y-%m-%d}",
        "new": "never seen",
        "thief": "is revoked and still connected; restart the broker",
        "well": "",
    }
    assert list(found)[-1] == "well"
    assert found["edited"]["configuration"] == "other"
    assert table[0] == "10 devices, 9 need a person"
    assert [(each["devices"], each["visits"]) for each in as_json["shadows"]] == [(1, 100)]
    assert table[1].startswith(
        "in shadow of expression@bbbbbbbbbbbb: expression-new@cccccccccccc, 1 devices, 100 visits"
    )
    assert table[1].endswith("; not yet: 100 of 500 visits")
    assert table[6].startswith("device ")
    assert table[-1].split() == ["shop-1/well", "north", "online", "1.0", "as", "released", "0", "h"]


def test_what_ends_soon_is_shown_with_the_command_that_renews_it(tmp_path, capsys):
    """Signatures of the repository, and certificates of the servers."""
    of = made(tmp_path)
    settings = of / "fleet.toml"
    short = "[certificates]\nrenew_before_days = 900\n"
    repository = settings.read_text().replace('https://127.0.0.1:8443"', 'https://127.0.0.1:8443"\ntimestamp_days = 1')
    settings.write_text(repository + short)
    fleet("refresh", folder=of)
    with broker(of, tmp_path):
        capsys.readouterr()
        fleet("status", folder=of)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "0 devices, 0 need a person"
    assert [line.partition(" ends ")[0] for line in told[1:4]] == [
        "signature of timestamp", "certificate of broker", "certificate of web",
    ]  # fmt: skip
    assert told[1].endswith("; run: facetally-fleet refresh")


def test_a_broker_that_cannot_be_reached_is_an_error_of_its_own(tmp_path, capsys):
    """Exit code 1: nothing is wrong with the command."""
    of = made(tmp_path)
    settings = of / "fleet.toml"
    settings.write_text(settings.read_text().replace("port = 8883", "port = 1"))
    assert main(["status", "--fleet", str(of)]) == 1
    assert "broker 127.0.0.1:1: " in capsys.readouterr().err
