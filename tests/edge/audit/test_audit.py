"""The audit finds nothing but counts in what the daemon writes and sends, and it finds every planted leak."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import edge.audit.run
from base.errors import FacetallyError
from edge.audit.mqtt_packets import CONNECT, PUBLISH, PacketReader
from edge.audit.strace import calls
from edge.vision.bundle import DEFAULT_CLASSIFIER
from tests.support.brokers import wait_until
from tests.support.commands import SMALLEST

ROOT = Path(__file__).parents[3]
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
PLANT = """\
import edge.vision.detect
detect = edge.vision.detect.Detector.detect
def leaking(self, pixels):
    face = pixels[:40, :40]
    {leak}
    return detect(self, pixels)
edge.vision.detect.Detector.detect = leaking
"""
LEAKS = {
    "a file": ('open("{folder}/face.raw", "wb").write(face.tobytes())', "opened for writing: {folder}/face.raw"),
    "a connection": (
        'import socket; s = socket.socket(); s.connect_ex(("192.0.2.1", 80)); s.close()',
        "connected to",
    ),
    "a datagram": (
        'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(face.tobytes(), ("127.0.0.1", 9))',
        "sent 1600 bytes to UDP",
    ),
    "the log": (
        'import sys; print("face=" + face.tobytes().hex(), file=sys.stderr)',
        "printed a line that is not a log line",
    ),
    "a program": ('import subprocess; subprocess.run(["true"])', "started "),
    "a listener": (
        "import socket; l = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(l.getsockname());"
        " l.accept()[0].sendall(face.tobytes())",
        "sent 1600 bytes to TCP",
    ),
    "a file in memory": ('import os; os.close(os.memfd_create("face"))', "memfd_create("),
    "a renamed file": (
        'import os; os.rename("{folder}/a", "{folder}/b") if os.path.exists("{folder}/a") else 0',
        "rename",
    ),
}


@pytest.fixture(scope="module")
def clip(astronaut, tmp_path_factory):
    """Six frames with a face in each."""
    folder = tmp_path_factory.mktemp("clip")
    for at in range(6):
        cv2.imwrite(str(folder / f"{at}.png"), astronaut)
    return folder


def audit(folder, clip, config=SMALLEST, **environment):
    (folder / "edge.toml").write_text(config)
    command = [sys.executable, "-m", "edge", "audit", "--config", str(folder / "edge.toml"), str(clip)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


@needs_strace
def test_nothing_but_counts_leaves(tmp_path, clip):
    """The unchanged daemon writes the spool, sends counts, status, model and health, and logs: exit code 0."""
    done = audit(tmp_path, clip)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "facetally/v1/shop-1/door/counts: 1 messages" in done.stdout
    assert re.search("facetally/v1/shop-1/door/health: [12] messages", done.stdout)  # two on a slow machine
    assert "CONNECT 1" in done.stdout
    written = [line.split(":")[0].strip() for line in done.stdout.splitlines() if line.startswith("  /")]
    assert written
    assert all(Path(name).name.startswith("spool.sqlite") for name in written)
    assert done.stdout.splitlines()[-1] == "nothing but counts, status, model, health, shadow and log lines left"


@needs_strace
def test_a_device_with_tls_and_password_is_audited_too(tmp_path, clip):
    """The listener replaces the broker together with its TLS and password."""
    broker = '[broker]\nhost = "192.0.2.1"\ntls = {}\nusername = "door"\npassword_file = "/none"\n'
    done = audit(tmp_path, clip, SMALLEST + broker)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CONNECT 1" in done.stdout


@needs_strace
def test_the_process_that_tests_a_bundle_is_traced(tmp_path, clip):
    """The process that tests a bundle that is not shipped is traced like the daemon, and is no violation.

    With the same bundle in shadow its agreement table is sent, and nothing else leaves.
    """
    for suffix in (".json", ".tflite"):
        shutil.copy(DEFAULT_CLASSIFIER.with_suffix(suffix), tmp_path / f"own{suffix}")
    own = f'bundle = "{tmp_path}/own.json"\n'
    done = audit(tmp_path, clip, SMALLEST + f"[classify]\n{own}[shadow]\n{own}fraction = 0.5\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "facetally/v1/shop-1/door/shadow: " in done.stdout


def command_lines():
    """Command lines of all processes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_text(errors="replace")


@needs_strace
def test_a_clip_that_takes_too_long_is_an_error(tmp_path, clip):
    """If the daemon does not end in time, the audit fails, and kills the daemon."""
    (tmp_path / "edge.toml").write_text(SMALLEST)
    long = tmp_path / "long"
    long.mkdir()
    for at in range(20_000):
        (long / f"{at:05}.png").symlink_to(clip / "0.png")
    with pytest.raises(FacetallyError, match="did not end within 3 s"):
        edge.audit.run.audit(tmp_path / "edge.toml", (), str(long), 3.0)
    wait_until(lambda: not any(str(long) in command for command in command_lines()), "the daemon is gone", 30.0)


@needs_strace
@pytest.mark.parametrize("kind", list(LEAKS))
def test_a_planted_leak_is_found(tmp_path, clip, kind):
    """If the detector also writes pixels elsewhere, the exit code is 1, and the report says where they went."""
    leak, violation = (text.format(folder=tmp_path) for text in LEAKS[kind])
    (tmp_path / "a").write_text("")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'run' in sys.orig_argv and 'edge' in sys.orig_argv:\n"
        + "".join(f"    {line}\n" for line in PLANT.format(leak=leak).splitlines())
    )
    done = audit(tmp_path, clip, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"VIOLATION: {violation}" in done.stdout


def packet(kind, body):
    return bytes([kind, len(body)]) + body


def test_packets_are_parsed_byte_by_byte():
    """A CONNECT with a will and a PUBLISH of MQTT 3.1.1 and 5 are parsed from single bytes."""
    for version, none in ((4, b""), (5, b"\0")):
        connect = packet(16, b"\0\4MQTT" + bytes([version, 4, 0, 60]) + none + b"\0\1d" + none + b"\0\2st\0\3off")
        publish = packet(0x32, b"\0\3a/b" + b"\0\7" + none + b"payload")
        reader, seen = PacketReader(), []
        for at in range(len(connect + publish)):
            seen += reader.feed((connect + publish)[at : at + 1])
        assert [(each.kind, each.topic, each.payload) for each in seen] == [
            (CONNECT, "st", b"off"),
            (PUBLISH, "a/b", b"payload"),
        ]
        assert seen[1].packet_id == 7


def test_calls_are_parsed_from_the_output_of_strace():
    """Descriptors and bytes are parsed, failed calls are left out, and a truncated string is an error."""
    lines = [
        r'12 write(3<\x2f\x74\x6d\x70>, "\x68\x69", 2) = 2',
        r'12 openat(AT_FDCWD</>, "\x2f\x78", O_RDWR|O_CREAT, 0644) = -1 EACCES (Permission denied)',
        r"13 connect(5<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(80)}, 16) = -1 EINPROGRESS (Now)",
        "12 +++ exited with 0 +++",
    ]
    write, connect = calls(lines)
    assert (write.name, write.descriptor, write.target, write.content) == ("write", 3, "/tmp", b"hi")
    assert (connect.name, connect.descriptor) == ("connect", 5)
    with pytest.raises(ValueError, match="cut off"):
        list(calls([r'12 write(3<\x2f>, "\x68"..., 999) = 999']))
