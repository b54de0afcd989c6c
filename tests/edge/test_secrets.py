"""Passwords of a configuration appear in no log, no error message and no list of processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from base.logs import hide_secrets
from tests.support.brokers import LIMIT_S, free_port, wait_until
from tests.support.commands import CONFIG, ROOT

WORD = "hunter2-Pa55"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"rtspsrc location=rtsp://admin:{WORD}@10.0.0.9/1 ! x", "rtspsrc location=rtsp://***@10.0.0.9/1 ! x"),
        (f"rtspsrc user-id=admin user-pw={WORD} ! x", "rtspsrc user-id=*** user-pw=*** ! x"),
        (f'location=\\"http://h/?password={WORD}&x=1\\"', 'location=\\"http://h/?password=***&x=1\\"'),
        ("broker.password_file: /etc/facetally/password: no such file", None),
        ("event=boot id=0123456789abcdef", None),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str | None) -> None:
    """User name and password of a URL and values of keys that name a secret are hidden, nothing else."""
    assert hide_secrets(text) == (shown or text)


def test_the_daemon_reveals_no_secret(tmp_path: Path) -> None:
    """Passwords in a GStreamer pipeline, a password file and a URL appear neither in the log nor in errors nor in what
    `ps` shows."""
    secret = tmp_path / "password"
    secret.write_text(WORD + "\n")
    pipeline = f"rtspsrc location=rtsp://admin:{WORD}@127.0.0.1:9/1 user-pw={WORD} ! nonsense ! appsink"
    config = tmp_path / "edge.toml"
    old = 'source = "v4l2"\ndevice = "door"'
    config.write_text(
        CONFIG.replace('source = "v4l2"', f'source = "gstreamer"\npipeline = "{pipeline}"')
        + f'[broker]\nport = {free_port()}\nusername = "shop-1/door"\npassword_file = "{secret}"\n'
        + f'[spool]\npath = "{tmp_path}/spool.sqlite"\n'
    )
    assert old not in config.read_text()
    command = [sys.executable, "-m", "edge", "run", "--config", str(config)]
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as daemon,
    ):
        wait_until(lambda: "event=camera_lost" in log.read_text(), "the camera is lost")
        shown = Path(f"/proc/{daemon.pid}/cmdline").read_text()
        daemon.terminate()
        out, _ = daemon.communicate(timeout=LIMIT_S)
    logged = log.read_text()
    assert "event=started" in logged
    assert "event=camera_lost" in logged
    checked = subprocess.run(
        [sys.executable, "-m", "edge", "check", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    clip = subprocess.run(
        [*command, "--stdout", "--clip", f"rtsp://admin:{WORD}@127.0.0.1:9/1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert clip.returncode == 2
    assert "use --camera" in clip.stderr
    for text in (out, logged, shown, checked.stdout, checked.stderr, clip.stdout, clip.stderr):
        assert WORD not in text
    assert all(line.startswith("time=") for line in logged.splitlines()), logged


def test_output_of_libraries_becomes_log_lines(tmp_path: Path) -> None:
    """What OpenCV, FFmpeg and the TFLite runtime print to standard error becomes a few lines in the log format."""
    code = (
        "import logging, os, sys\n"
        "from base.logs import LineFormatter\n"
        "from edge.camera.library_messages import stderr_to_log\n"
        "with stderr_to_log():\n"
        "    handler = logging.StreamHandler(); handler.setFormatter(LineFormatter())\n"
        "    logging.basicConfig(level=logging.INFO, handlers=[handler])\n"
        "    os.write(2, b'Corrupt \\xff JPEG \"data\" rtsp://a:b@h\\n' * 5000)\n"
        "    print('python itself', file=sys.stderr)\n"
        "os.write(2, b'afterwards\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert "python itself" in lines
    assert lines[-1] == "afterwards"
    assert len(lines) == 12
    assert all(
        r'event=library message="Corrupt \\xff JPEG \"data\" rtsp://***@h"' in line
        for line in lines
        if "Corrupt" in line
    )


def test_a_cards_files_are_overwritten_and_not_only_deleted(tmp_path: Path) -> None:
    """``first-boot.sh`` overwrites a password on the boot partition, as a second hard link to the file shows."""
    text = (ROOT / "systemd/card/first-boot.sh").read_text()
    wipe = text[text.index("wipe() {") : text.index("\n}\n", text.index("wipe() {")) + 3]
    secret, other = tmp_path / "password", tmp_path / "other-name"
    secret.write_text(WORD)
    other.hardlink_to(secret)
    subprocess.run(["sh", "-eu", "-c", f'{wipe}wipe "$@"', "sh", secret, tmp_path / "none"], check=True)
    assert not secret.exists()
    assert WORD.encode() not in other.read_bytes()


def test_no_guide_passes_a_password_as_an_argument() -> None:
    """No command in the docs has a password among its arguments, which every user of the machine can see."""
    for guide in sorted((ROOT / "docs").glob("*.md")):
        assert not re.search(r"mosquitto_passwd.* -b|openssl passwd(?!.*-stdin)|-P [\"$]", guide.read_text()), (
            guide.name
        )
