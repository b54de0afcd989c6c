"""``facetally-edge check``: every part is checked by what the daemon itself does, and a failure is exit code 2."""

import json
import subprocess
import sys
import time

import pytest

from base.errors import SettingsError
from edge import instances
from edge.check.parts import DeviceCheck
from edge.settings import read, sha256
from tests.support.brokers import free_port, mosquitto, needs_mosquitto
from tests.support.bundles import bundle_with_wrong_hash
from tests.support.commands import CONFIG, ROOT, one_line

PARTS = (
    "instances", "detector", "face-check", "classifier", "staff", "camera", "speed", "spool", "disk", "certificates",
    "broker", "clock", "temperature",
)  # fmt: skip


def failed(rows):
    """Return the text of the failed parts, by part."""
    return {part: text for state, part, text in (row.split(maxsplit=2) for row in rows) if state == "FAILED"}


@needs_mosquitto
def test_a_table_and_json_have_every_part(command, config, clip, tmp_path):
    """A row for each part, and the same as JSON with figures; the exit code is 2 if any of them fails."""
    port = free_port()
    arguments = ["check", "--config", config, "--clip", clip, "--set", f"broker.port={port}"]
    arguments += ["--set", f"spool.path={tmp_path}/spool.sqlite"]
    with mosquitto(tmp_path, port):
        status, out, _ = command(*arguments)
    rows = {part: (state, text) for state, part, text in (row.split(maxsplit=2) for row in out)}
    assert (status, tuple(rows)) == (0, PARTS)
    assert {state for state, _ in rows.values()} <= {"ok", "warning"}
    assert rows["face-check"][1].startswith("face-check@")
    assert ": 640 x 480, 10.0 frames a second, " in rows["camera"][1]
    assert "accepts the login and takes messages to facetally/v1/shop-1/door/health, MQTT 5" in rows["broker"][1]
    status, out, _ = command(*arguments, "--json")
    report = json.loads("\n".join(out))
    assert (status, report["works"], report["site"], report["device"]) == (2, False, "shop-1", "door")
    assert [each["part"] for each in report["parts"]] == list(PARTS)
    assert [each["part"] for each in report["parts"] if each["state"] == "FAILED"] == ["broker"]
    figures = {each["part"]: each["figures"] for each in report["parts"]}
    assert (figures["camera"]["width"], figures["speed"]["needed_per_s"]) == (640, 10.0)
    assert 0 < figures["speed"]["seconds"] < 5
    assert figures["disk"]["free_mb"] > 0


def test_a_device_may_have_no_face_check(config):
    """The row says so; one that cannot be loaded is a failure."""
    for given, state, text in (("none", "ok", "none: detections are not checked"), ("off", "FAILED", "off: no bundle")):
        device = DeviceCheck(read(config, (f"detect.check={given}",)), config, sha256(config))
        found = next(each for each in device.results() if each.part == "face-check").finding
        assert found.state == state
        assert found.text.startswith(text)


@needs_mosquitto
@pytest.mark.parametrize(
    ("overrides", "part", "message"),
    [
        (['admit.hours={timezone="Mars/Base", open="09:00", close="10:00"}'], "staff", "key 'admit.hours.timezone'"),
        (["broker.username=a", "broker.password_file=@/none"], "broker", "key 'broker.password_file': @/none: "),
        (['broker.tls={ca="@/none"}'], "certificates", "key 'broker.tls': "),
        (['broker.tls={certificate="@/edge.toml"}'], "certificates", "@/edge.toml: must be a certificate in PEM"),
        (["broker.username=a"], "broker", "user a must be allowed to log in; the broker refuses: Not authorized"),
    ],
)
def test_what_would_stop_run_is_found(config, clip, tmp_path, overrides, part, message):
    """Time zone, password and certificates are read as `run` does, and the login is tried."""
    port = free_port()
    sets = [f"broker.port={port}", "spool.path=@/spool.sqlite", f'capture={{source="file", path="{clip}"}}', *overrides]
    settings = instances.read_settings(config, tuple(each.replace("@", str(tmp_path)) for each in sets))
    with mosquitto(tmp_path, port, "allow_anonymous false"):
        results = {each.part: each.finding for each in DeviceCheck(settings, config, sha256(config)).results()}
    assert results[part].state == "FAILED"
    assert message.replace("@", str(tmp_path)) in results[part].text


def test_a_failure_does_not_end_the_check(command, config, tmp_path):
    """A part that fails does not keep the others from being checked."""
    bad = bundle_with_wrong_hash(tmp_path)
    status, out, errors = command(
        "check", "--config", config, "--clip", tmp_path / "none", "--set", f"detect.bundle={bad}",
        "--set", f"spool.path={tmp_path}/spool.sqlite", "--set", f"broker.port={free_port()}",
    )  # fmt: skip
    assert (status, errors) == (2, [])
    found = failed(out)
    assert list(found) == ["detector", "camera", "speed", "broker"]
    assert "sha256" in found["detector"]
    assert "Connection refused" in found["broker"]


@needs_mosquitto
def test_a_running_daemon_is_not_disconnected(command, config, clip, tmp_path):
    """If the broker names clients by their users, `check` does not log in while the daemon runs. A second daemon on the
    same spool is an error."""
    port, users, secret = free_port(), tmp_path / "users", tmp_path / "secret"
    users.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", users, "shop-1/door", "word"], check=True, capture_output=True)
    secret.write_text("word\n")
    overrides = {"broker.port": port, "broker.username": "shop-1/door", "broker.password_file": secret}
    overrides |= {"spool.path": tmp_path / "spool.sqlite"}
    sets = [word for key, value in overrides.items() for word in ("--set", f"{key}={value}")]
    lines = ("allow_anonymous false", f"password_file {users}", "use_username_as_clientid true")
    arguments = [sys.executable, "-m", "edge", "run", "--config", config, "--camera", "63", *sets]
    with (
        mosquitto(tmp_path, port, *lines),
        subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as daemon,
    ):
        while "broker_connected" not in (line := daemon.stderr.readline()):
            assert line
        status, out, _ = command("check", "--config", config, "--camera", "63", *sets)
        rows = {part: (state, text) for state, part, text in (row.split(maxsplit=2) for row in out)}
        assert status == 0
        assert rows["camera"][0] == rows["broker"][0] == "warning"
        assert "login not checked, because the daemon runs" in rows["broker"][1]
        assert "the daemon runs and may hold the camera" in rows["camera"][1]
        second, _, errors = command("run", "--config", config, "--clip", clip, *sets)
        assert second == 2
        assert "another daemon uses" in one_line(errors)
        time.sleep(0.5)
        daemon.terminate()
        assert "broker_lost" not in daemon.stderr.read()


def test_instances_must_not_share_what_is_one_s_own(tmp_path, monkeypatch):
    """Site and device, the camera and the spool of two instances must differ; the detectors' budgets are added up.

    A link to a camera is the same camera. A configuration that cannot be read does not stop the others.
    """
    monkeypatch.setattr(instances, "ETC", tmp_path)
    monkeypatch.setattr(instances, "STATE", tmp_path)
    monkeypatch.setattr(instances, "CURRENT", tmp_path / "current")
    (tmp_path / "by-id").symlink_to("/dev/video0")
    linked = f'source = "v4l2"\ndevice = "{tmp_path}/by-id"'
    other = CONFIG.replace('device = "door"', 'device = "till"')
    for name, text in (
        ("edge", CONFIG),
        ("till", other.replace('source = "v4l2"', 'source = "v4l2"\ndevice = 2')),
        ("copy", CONFIG.replace('source = "v4l2"', linked)),
        ("broken", "site = 7"),
        ("collector", "of another program"),
    ):
        (tmp_path / f"{name}.toml").write_text(text)

    def finding(name):
        path = instances.config_path(name)
        return next(DeviceCheck(instances.read_settings(path), path, sha256(path)).results()).finding

    assert finding("edge").state == "FAILED"
    assert f"{tmp_path}/copy.toml has the same site and device shop-1/door" in finding("edge").text
    assert f"{tmp_path}/copy.toml has the same camera v4l2 0" in finding("edge").text
    assert "till.toml" not in finding("edge").text
    found = finding("till")
    assert found.state == "warning"
    assert "facetally-edge@till; others: facetally-edge@copy, facetally-edge" in found.text
    assert "broken.toml: key 'site'" in found.text
    assert found.figures["core_fraction"] == 1.5
    (tmp_path / "copy.toml").write_text(other + f'[spool]\npath = "{instances.state_folder("edge")}/spool.sqlite"\n')
    (tmp_path / "edge.toml").write_text(CONFIG + '[spool]\npath = "spool.sqlite"\n')
    assert "copy.toml has the same spool" in finding("edge").text
    released = tmp_path / "current/instances/till.toml"
    released.parent.mkdir(parents=True)
    released.write_text(CONFIG.replace('device = "door"', 'device = "released"'))
    assert instances.config_path("till") == released
    assert instances.name_of(released) == "till"
    assert instances.other_instances(tmp_path / "edge.toml")["till"].device == "released"


def test_an_instance_has_its_own_configuration_state_and_unit(tmp_path):
    """A relative spool is in the instance's state directory, whatever the working directory is."""
    assert str(instances.config_path("till")) == "/etc/facetally/till.toml"
    assert [str(instances.state_folder(name)) for name in ("edge", "till")] == [
        "/var/lib/facetally",
        "/var/lib/facetally-till",
    ]
    assert [instances.unit(name) for name in ("edge", "till")] == ["facetally-edge", "facetally-edge@till"]
    (tmp_path / "till.toml").write_text(CONFIG)
    read = instances.read_settings(tmp_path / "till.toml", ("spool.path=spool.sqlite",))
    assert read.spool.path == "spool.sqlite"
    assert instances.in_state_folder(read, "till").spool.path == "/var/lib/facetally-till/spool.sqlite"


@pytest.mark.parametrize("name", ["", "collector", "a/b", "till.toml", "Till", "-x", "x" * 22, "till\n"])
def test_a_wrong_name_of_an_instance_is_refused(name):
    """It must be possible as the name of a file, of a unit and of a user of the system."""
    with pytest.raises(SettingsError, match="the name of a camera must be 1 to 21 lower-case letters"):
        instances.check_name(name)


def test_a_classifier_in_shadow_is_loaded_and_never_a_failure(config):
    """The daemon counts without it, so a missing one is a warning."""

    def row(bundle):
        settings = instances.read_settings(config, (f'shadow={{bundle="{bundle}"}}',))
        for each in DeviceCheck(settings, config, sha256(config)).results():
            if each.part == "shadow":
                return each.finding
        raise AssertionError("no row")

    assert row("expression").state == "ok"
    assert row("/none/new.json").state == "warning"
    assert row("/none/new.json").text == "/none/new.json: No such file or directory; nothing is compared"
