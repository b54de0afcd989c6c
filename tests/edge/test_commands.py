"""``facetally-edge`` prints what it should, and every wrong input is one line and exit code 2."""

import re
import shutil
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from base.errors import FacetallyError
from edge.__main__ import main
from edge.delivery.broker_check import check_access
from edge.settings import BrokerSettings
from edge.vision.bundle import SHIPPED
from tests.support.brokers import free_port, mosquitto, needs_mosquitto
from tests.support.commands import CONFIG, ROOT, one_line, windows
from tests.support.fakes import lines_of, only_mqtt_311
from tests.support.publishing import device


def bundle_with_wrong_hash(folder):
    for suffix in (".json", ".tflite"):
        shutil.copy(SHIPPED / f"face-416x320{suffix}", folder)
    with (folder / "face-416x320.tflite").open("ab") as model:
        model.write(b"\x00")
    return folder / "face-416x320.json"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--set", "privcy.k=1"], "@/edge.toml: unknown key 'privcy'; allowed: site, device"),
        (["--set", "site=a/b"], "@/edge.toml: key 'site': "),
        (["--set", "privacy"], "--set privacy: expected key=value"),
        (["--clip", "none.mp4"], "none.mp4: no such file or folder"),
        (["--clip", "@/people \U0001f600.mp4"], "@/people \U0001f600.mp4: no such file or folder"),
        (["--clip", "@/empty"], "@/empty: no images"),
        (["--clip", "@/edge.toml"], "@/edge.toml: no video"),
        (["--clip", "@/images", "--set", "detect.bundle=@/face-416x320.json"], "@/face-416x320.tflite: sha256 is "),
        (["--clip", "@/images", "--set", "classify.bundle=@/none.json"], "@/none.json: No such file"),
        (["--clip", "@/images", "--set", "spool.path=@/edge.toml/spool"], "spool: could not open @/edge.toml/spool"),
        (
            ["--set", 'admit.hours={timezone="Mars/Base", open="09:00", close="10:00"}'],
            "key 'admit.hours.timezone': must be a time zone that this machine knows, such as Europe/Berlin,"
            " is 'Mars/Base'",
        ),
        (["--set", "broker.username=a", "--set", "broker.password_file=@/none"], "broker.password_file': @/none: "),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(command, config, tmp_path, overrides, message):
    """Before anything is counted, one line names the file, key or value, and there is no traceback."""
    for folder in ("empty", "images"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "1.png"), np.zeros((9, 9), np.uint8))
    bundle_with_wrong_hash(tmp_path)
    here = [each.replace("@", str(tmp_path)) for each in ("--set", "spool.path=@/spool.sqlite", *overrides)]
    status, out, errors = command("run", "--config", config, *here)
    assert (status, out, len(errors)) == (2, [], 1)
    assert message.replace("@", str(tmp_path)) in one_line(errors)


def test_wrong_configuration_file_is_named(command, tmp_path):
    """The message has the path of a file that is missing, or that has a misspelt key."""
    assert command("run", "--config", tmp_path / "none.toml") == (
        2,
        [],
        [f"facetally-edge: {tmp_path / 'none.toml'}: No such file or directory"],
    )
    (tmp_path / "edge.toml").write_text(CONFIG.replace("staff_zones", "staf_zones"))
    _, _, errors = command("check", "--config", tmp_path / "edge.toml")
    assert one_line(errors).startswith(
        f"{tmp_path / 'edge.toml'}: unknown key 'admit.staf_zones'; allowed: staff_zones"
    )


@pytest.mark.parametrize("arguments", [[], ["run", "--clp", "x"], ["fly"], ["try"], ["try", "x", "--min-score", "2"]])
def test_bad_arguments_are_exit_2(arguments):
    """Wrong arguments exit with code 2."""
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


def test_exit_code_reaches_the_shell(config, tmp_path):
    """Run as a program, an error is exit code 2, one line on stderr, and nothing on stdout."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "edge", "run", "--config", config, "--clip", tmp_path / "none.mp4"],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    lines = [line for line in done.stderr.splitlines() if "XNNPACK" not in line]  # printed by the runtime
    assert lines == [f"facetally-edge: {tmp_path / 'none.mp4'}: no such file or folder"]


@pytest.mark.parametrize("name", ["run", "check", "try"])
def test_every_command_has_help(name, capsys):
    """Every command prints its help and exits with code 0."""
    for arguments in (["--help"], [name, "--help"]):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 0
        assert name in capsys.readouterr().out


def test_run_counts_the_clip_the_same_each_time(command, config, clip):
    """Three runs count one happy visit in consecutive windows of two seconds, with a new boot id each time."""
    runs = [windows(command("run", "--config", config, "--clip", clip, "--stdout")[1]) for _ in range(3)]
    counted = [[(each.visits, each.coverage, each.degraded, each.seq) for each in run] for run in runs]
    assert counted[0] == counted[1] == counted[2]
    first = runs[0]
    assert sum(each.visits["happiness"] for each in first) == 1
    assert sum(sum(each.visits.values()) for each in first) == 1
    assert [each.seq for each in first] == list(range(len(first)))
    assert [each.start for each in first[1:]] == [each.end for each in first[:-1]]
    assert [(each.end - each.start).total_seconds() for each in first] == [2, 2, 0.9]
    assert all((each.clock, each.coverage, each.degraded) == ("replay", 1.0, ()) for each in first)
    assert all((each.site, each.device, each.privacy.k) == ("shop-1", "door", 1) for each in first)
    assert len({run[0].boot for run in runs}) == 3


def test_run_holds_back_fewer_than_k_visits(command, config, clip):
    """With k = 5 the only visit of the clip is never sent."""
    status, out, _ = command("run", "--config", config, "--clip", clip, "--stdout", "--set", "privacy.k=5")
    assert status == 0
    assert all(sum(each.visits.values()) == 0 for each in windows(out))


def test_run_excludes_a_staff_zone(command, config, clip):
    """If the whole image is a staff zone, nothing is counted."""
    zone = "admit.staff_zones=[[[0, 0], [1, 0], [1, 1], [0, 1]]]"
    _, out, _ = command("run", "--config", config, "--clip", clip, "--stdout", "--set", zone)
    assert [sum(each.visits.values()) for each in windows(out)] == [0, 0, 0]
    _, out, _ = command("check", "--config", config, "--clip", clip, "--set", zone)
    assert "warning: zone 1 covers 100 % of the left edge: who walks in or out there is not counted" in out[2]


def test_run_counts_a_truncated_clip_as_far_as_it_goes(command, config, clip, tmp_path):
    """The visits read so far are printed, the last window is marked as truncated, and the exit code is 2."""
    cut = tmp_path / "cut.avi"
    whole = clip.read_bytes()
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    status, out, errors = command("run", "--config", config, "--clip", cut, "--stdout")
    assert status == 2
    assert "cut.avi: cut off: " in one_line(errors)
    assert [each.degraded for each in windows(out)][-1] == ("truncated",)
    assert all(each.degraded == () for each in windows(out)[:-1])


def test_run_without_camera_continues_until_sigterm(config):
    """Without a camera the daemon logs it, sends degraded windows, and stops with exit code 0 on SIGTERM."""
    arguments = ["-m", "edge", "run", "--config", config, "--camera", "63", "--stdout", "--set", "tally.window_s=1"]
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        out = [process.stdout.readline(), process.stdout.readline()]
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        process.terminate()
        rest, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert re.search(r"Max core file size +0 +0 ", limits), "a core dump would contain a frame"
    assert errors.count("event=camera_lost") == 1
    assert "/dev/video63" in errors
    *_, stopped, totals = errors.splitlines()
    assert stopped.endswith("event=stopped unsent=0")
    assert totals.startswith("0 tracks: 0 counted, 0 too short")
    seen = windows([*out, *rest.splitlines()])
    assert all((each.coverage, each.degraded) == (0, ("no_camera",)) for each in seen)
    assert all(each.start == before.end for before, each in pairwise(seen))
    assert all(each.start.microsecond == 0 for each in seen[1:])


@needs_mosquitto
def test_check_reports_every_part(command, config, clip, tmp_path):
    """`check` prints a line for each part; the exit code is 0 only if all of them work."""
    port = free_port()
    arguments = ["check", "--config", config, "--clip", clip, "--set", f"broker.port={port}"]
    arguments += ["--set", f"spool.path={tmp_path}/spool.sqlite"]
    with mosquitto(tmp_path, port):
        status, out, _ = command(*arguments)
    assert (status, [line.split()[0] for line in out]) == (0, ["ok"] * 7)
    assert "640 x 480" in out[3]
    status, out, _ = command(*arguments)
    assert status == 2
    assert [line.split(":")[0] for line in out if line.startswith("FAILED")] == ["FAILED  broker"]


@needs_mosquitto
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['admit.hours={timezone="Mars/Base", open="09:00", close="10:00"}'], "staff: key 'admit.hours.timezone'"),
        (["broker.username=a", "broker.password_file=@/none"], "broker: key 'broker.password_file': @/none: "),
        (['broker.tls={ca="@/none"}'], "broker: key 'broker.tls': "),
        (['broker.tls={ca="@/edge.toml"}'], "broker: key 'broker.tls': "),
        (["broker.username=a"], "refuses: Not authorized"),
    ],
)
def test_check_finds_what_would_stop_run(command, config, clip, tmp_path, overrides, message):
    """`check` reads time zone, password and certificates as `run` does, and logs in to the broker."""
    port = free_port()
    arguments = [f"broker.port={port}", "spool.path=@/spool.sqlite", *overrides]
    sets = [word for each in arguments for word in ("--set", each.replace("@", str(tmp_path)))]
    with mosquitto(tmp_path, port, "allow_anonymous false"):
        status, out, _ = command("check", "--config", config, "--clip", clip, *sets)
    failed = [line for line in out if line.startswith("FAILED")]
    assert (status, len(failed)) == (2, 1 + ("staff" in message))  # without a user name the login is refused
    assert any(message.replace("@", str(tmp_path)) in line for line in failed)


def test_check_needs_an_answer_in_mqtt(tmp_path):
    """A port that accepts the connection and does not answer is not a broker."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = BrokerSettings(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(FacetallyError, match="gives no answer in MQTT"):
            check_access(settings, "check", 0.3)


@needs_mosquitto
def test_check_does_not_disconnect_the_daemon(tmp_path):
    """`check` has its own client id, and falls back to MQTT 3.1.1 as the daemon does."""
    port = free_port()
    with mosquitto(tmp_path, port), device(tmp_path, port) as sender, lines_of("edge.delivery.broker_link") as logged:
        sender.connects()
        settings = BrokerSettings(host="127.0.0.1", port=port)
        assert check_access(settings, "facetally-check:shop-1:door", 3.0) == "5"
        with only_mqtt_311(port, b"\x20\x02\x00\x01") as before:
            older = BrokerSettings(host="127.0.0.1", port=before)
            assert check_access(older, "facetally-check:shop-1:door", 3.0) == "3.1.1"
        for _ in range(20):
            sender.publisher.pump(sender.spool)
            time.sleep(0.02)
        assert sender.publisher.connected
    assert not any("broker_lost" in line for line in logged)


def test_check_continues_after_a_failure(command, config, tmp_path):
    """A part that fails does not keep the others from being checked."""
    bad = bundle_with_wrong_hash(tmp_path)
    status, out, errors = command(
        "check", "--config", config, "--clip", tmp_path / "none", "--set", f"detect.bundle={bad}",
        "--set", f"spool.path={tmp_path}/spool.sqlite", "--set", f"broker.port={free_port()}",
    )  # fmt: skip
    assert (status, errors) == (2, [])
    failed = [line.removeprefix("FAILED  ") for line in out if line.startswith("FAILED")]
    assert [line.split(": ")[0] for line in failed] == ["detector", "camera", "broker"]
    assert "sha256" in failed[0]


def test_bench_times_every_stage(tmp_path):
    """The table has a row for each stage and each network, and the time of a frame is the sum of its stages."""
    from edge import build
    from edge.commands import bench

    data = pytest.importorskip("skimage.data", reason="scikit-image has the portrait")
    for at in range(6):
        cv2.imwrite(str(tmp_path / f"{at}.png"), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY))
    times = bench.measure(str(tmp_path), build.detector_bundle(), build.classifier_bundle())
    assert set(times.values) == {*bench.NETWORKS, *bench.STAGES}
    assert {len(each) for each in times.values.values()} == {3}
    assert times.glue_ms() < times.frame_ms()
    total = sum(sum(times.values[name]) for name in bench.STAGES)
    assert times.frame_ms() == pytest.approx(total / 3)
    assert bench.table(times).splitlines()[-1].startswith("resident memory: ")


@needs_mosquitto
def test_check_reports_missing_rights(command, config, clip, tmp_path):
    """A user who may log in but not publish is a failure, because no window would ever be sent.

    Mosquitto 2.0 does not report that reading is forbidden; the daemon logs ``no_receipts`` then.
    """
    port, acl = free_port(), tmp_path / "acl"
    acl.write_text("topic read facetally/v1/shop-1/door/#\n")
    sets = ["--set", f"broker.port={port}", "--set", f"spool.path={tmp_path}/spool.sqlite"]
    with mosquitto(tmp_path, port, f"acl_file {acl}", "max_queued_messages 1000"):
        status, out, _ = command("check", "--config", config, "--clip", clip, *sets)
    failed = [line for line in out if line.startswith("FAILED")]
    assert (status, len(failed)) == (2, 1)
    assert "lets us in, but does not let us publish facetally/v1/shop-1/door/counts: Not authorized" in failed[0]


@needs_mosquitto
def test_check_does_not_log_in_as_a_running_daemon(command, config, clip, tmp_path):
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
    with mosquitto(tmp_path, port, *lines):
        assert "accepts the login, MQTT 5" in command("check", "--config", config, "--clip", clip, *sets)[1][5]
        with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as daemon:
            while "broker_connected" not in (line := daemon.stderr.readline()):
                assert line
            status, out, _ = command("check", "--config", config, "--clip", clip, *sets)
            assert status == 0
            assert "login not checked, because the daemon runs" in out[5]
            second, _, errors = command("run", "--config", config, "--clip", clip, *sets)
            assert second == 2
            assert "another daemon uses" in one_line(errors)
            time.sleep(0.5)
            daemon.terminate()
            assert "broker_lost" not in daemon.stderr.read()
