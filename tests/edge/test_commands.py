"""``facetally-edge`` prints what it should, and every wrong input is one line and exit code 2."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from contract.card import CheckCard
from edge.__main__ import main
from tests.support.bundles import bundle_with_wrong_hash
from tests.support.commands import CONFIG, ROOT, one_line, windows
from tests.support.waiting import LIMIT_S


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
        (["--clip", "@/images", "--set", "detect.check=expression"], "/expression.json: must be a CheckCard, is a"),
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
        capture_output=True, text=True, cwd=ROOT, timeout=LIMIT_S, check=False,
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
    (staff,) = [row for row in out if row.split()[1] == "staff"]
    assert staff.startswith("warning")
    assert "zone 1 covers 100 % of the left edge: people who walk in or out there are not counted" in staff


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
        rest, errors = process.communicate(timeout=LIMIT_S)
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


def test_bench_times_every_stage(tmp_path):
    """The table has a row for each stage and each network, and the time of a frame is the sum of its stages."""
    from edge import build
    from edge.commands import bench
    from edge.vision.bundle import DEFAULT_CHECK, Bundle, load

    data = pytest.importorskip("skimage.data", reason="scikit-image has the portrait")
    for at in range(6):
        cv2.imwrite(str(tmp_path / f"{at}.png"), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY))
    shipped = load(DEFAULT_CHECK, CheckCard)
    always = Bundle(replace(shipped.card, checked_below=1.0), shipped.model)
    bundles = build.Bundles(build.detector_bundle(), always, build.classifier_bundle())
    times = bench.measure(str(tmp_path), bundles)
    assert set(times.values) == {*bench.NETWORKS, *bench.STAGES}
    assert {len(each) for each in times.values.values()} == {3}
    assert times.glue_ms() < times.frame_ms()
    total = sum(sum(times.values[name]) for name in bench.STAGES)
    assert times.frame_ms() == pytest.approx(total / 3)
    assert bench.table(times).splitlines()[-1].startswith("resident memory: ")
