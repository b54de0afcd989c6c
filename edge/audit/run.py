"""Trace the daemon while it counts a clip, and report everything it writes or sends that is not a count.

The unchanged daemon runs in a process of its own under strace(1); a listener on the loopback replaces the broker.
Frames exist only in the clip and in the memory of the process. What leaves must be a message of `contract.message`,
decoded strictly, a write to the spool, or a log line.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from base.errors import FacetallyError
from contract.errors import BadMessage
from contract.message import MESSAGES, decode
from contract.topics import address
from edge.audit import strace
from edge.audit.mqtt_packets import CONNECT, PUBLISH, Packet, PacketReader, listener
from edge.counting.totals import SENTENCE

LOG_LINE = re.compile(r"^time=\S+ level=\w+ module=\S+ event=\w+( \w+=(\"(?:[^\"\\]|\\.)*\"|[^\"\s]*))*$")
MAX_LINE = 1000
"""Maximum length of a log line, characters; an image would be longer."""
LIMIT_S = 600.0
CLIENT_PACKETS = frozenset(("CONNECT", "PUBLISH", "SUBSCRIBE", "PINGREQ", "DISCONNECT", "PUBACK"))
"""Packets that the daemon's client sends."""
INTERNAL = ("pipe:", "anon_inode:", "eventfd:", "/dev/null", "/proc/self/", "UNIX-STREAM:[", "NETLINK:")
"""Targets inside the kernel or between processes of this machine."""
WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg")
MOVES = ("sendfile", "splice", "copy_file_range")
"""Calls that move bytes without showing them in the trace; the daemon needs none of them."""
WAKE_UPS = (b"0", b"\0")
"""Bytes that a thread of paho sends over a loopback connection to wake another thread."""
NAMING_CALLS = ("rename", "renameat", "renameat2", "link", "linkat", "memfd_create")
"""Calls that name a file, or make a file of memory; the daemon needs none of them either."""


@dataclass(slots=True)
class Report:
    """What the daemon wrote, sent and started."""

    files: Counter[str] = field(default_factory=Counter)
    """Bytes written, by path."""
    messages: Counter[str] = field(default_factory=Counter)
    """Messages published, by topic."""
    message_bytes: Counter[str] = field(default_factory=Counter)
    """Bytes of payload published, by topic."""
    packets: Counter[str] = field(default_factory=Counter)
    """Packets sent to the broker, by type."""
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes sent, by destination."""
    lines: int = 0
    """Number of log lines."""
    programs: list[str] = field(default_factory=list)
    """Paths of programs started; the first is the daemon."""
    violations: list[str] = field(default_factory=list)
    """What should not have happened."""

    def text(self) -> str:
        """The report as lines of text."""
        rows = ["files written:"]
        rows += [f"  {name}: {count} bytes" for name, count in sorted(self.files.items())] or ["  none"]
        rows.append("sent:")
        rows += [f"  {name}: {count} bytes" for name, count in sorted(self.sent.items())] or ["  nothing"]
        rows.append("  packets: " + ", ".join(f"{name} {count}" for name, count in sorted(self.packets.items())))
        rows += [
            f"  {topic}: {count} messages, {self.message_bytes[topic]} bytes"
            for topic, count in sorted(self.messages.items())
        ]
        rows.append(f"log lines: {self.lines}")
        rows.append(f"programs started: {', '.join(self.programs) or 'none'}")
        rows += [f"VIOLATION: {each}" for each in self.violations]
        passed = "nothing but counts, status, model, health, shadow and log lines left"
        rows.append(f"{len(self.violations)} violations" if self.violations else passed)
        return "\n".join(rows)


def audit(config: Path, overrides: Iterable[str], clip: str, limit_s: float = LIMIT_S) -> Report:
    """Run the daemon with a configuration on a clip, and check every byte that it writes or sends.

    Raises FacetallyError if the daemon cannot be run or does not end within ``limit_s`` seconds.
    """
    if shutil.which("strace") is None:
        raise FacetallyError("audit: strace must be installed (apt install strace)")
    with tempfile.TemporaryDirectory(prefix="facetally-audit-") as folder, listener() as port:
        spool, record = Path(folder) / "spool.sqlite", Path(folder) / "strace.txt"
        # the listener supports neither TLS nor passwords, and sends no receipts
        broker = f'broker={{host = "127.0.0.1", port = {port}, confirm = "broker"}}'
        sets = (*overrides, broker, f'spool.path="{spool}"', "privacy.k=1")
        daemon = [sys.executable, "-B", "-m", "edge", "run", "--config", str(config), "--clip", clip]
        daemon += [part for each in sets for part in ("--set", each)]
        command = ["strace", *strace.OPTIONS, "-o", str(record), *daemon]
        done = _run(command, limit_s)
        if done.returncode:
            raise FacetallyError(
                f"audit: the daemon failed with exit code {done.returncode}: {done.stderr.strip()[-400:]}"
            )
        with record.open() as lines:
            report = check_calls(strace.calls(lines), str(spool), port)
        _check_log(report, done.stdout, done.stderr)
    return report


def _run(command: list[str], limit_s: float) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end. If it does not end in time, kill its children, too: strace would leave them running."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise FacetallyError(f"audit: the daemon did not end within {limit_s:g} s; use a shorter clip") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def check_calls(calls: Iterable[strace.Call], spool: str, port: int) -> Report:
    """Check system calls, given the path of the spool and the port of the broker."""
    report, connections = Report(), _Connections(port)
    for call in calls:
        if call.name in WRITES:
            _check_write(report, call, spool, connections)
        elif call.name in ("openat", "open", "creat"):
            writes = call.name == "creat" or re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND", call.arguments)
            if writes and not _may_write(call.path, spool):
                report.violations.append(f"opened for writing: {call.path}")
        elif call.name == "connect":
            _check_connect(report, call, connections)
        elif call.name in ("execve", "execveat"):
            report.programs.append(call.path)
        elif call.name in MOVES or call.name in NAMING_CALLS:
            report.violations.append(f"{call.name}({call.arguments[:120]}")
    for program in report.programs[1:]:  # the daemon tests a bundle in a process of the same program
        if Path(program).name != "vcgencmd" and program != report.programs[0]:
            report.violations.append(f"started {program}")
    return report


@dataclass(slots=True)
class _Connections:
    """The daemon's connections to the broker."""

    port: int
    """Port of the broker."""
    broker: set[int] = field(default_factory=set)
    """Descriptors connected to the broker."""
    readers: dict[int, PacketReader] = field(default_factory=dict)
    """Reader of the bytes sent, by descriptor."""


def _check_connect(report: Report, call: strace.Call, connections: _Connections) -> None:
    """Allow connections to the broker and within the machine."""
    if f"htons({connections.port})" in call.arguments:
        connections.broker.add(call.descriptor)
        connections.readers[call.descriptor] = PacketReader()
        return
    connections.broker.discard(call.descriptor)
    if not re.search(r"AF_UNIX|AF_UNSPEC|inet_addr\(\"127\.0\.0\.1\"\)|\"::1\"", _readable(call.arguments)):
        report.violations.append(f"connected to {_readable(call.arguments)[:120]}")


def _check_write(report: Report, call: strace.Call, spool: str, connections: _Connections) -> None:
    """Allow messages to the broker, wake-ups between threads, and writes to the spool."""
    if call.target.startswith(("TCP:", "TCPv6:", "UDP:", "UDPv6:")):
        if call.descriptor in connections.broker:
            report.sent["broker"] += len(call.content)
            try:
                for packet in connections.readers[call.descriptor].feed(call.content):
                    _check_packet(report, packet)
            except ValueError as error:
                report.violations.append(f"sent bytes that are not MQTT: {error}")
        elif call.content in WAKE_UPS:
            report.sent["wake-ups between its own threads"] += 1
        else:
            report.violations.append(f"sent {len(call.content)} bytes to {call.target}")
    elif call.target.startswith("/") and not call.target.startswith(INTERNAL):
        report.files[call.target] += len(call.content)
        if not _may_write(call.target, spool):
            report.violations.append(f"wrote {len(call.content)} bytes to {call.target}")
    elif not call.target.startswith(INTERNAL):
        report.violations.append(f"wrote {len(call.content)} bytes to {call.target or 'an unknown descriptor'}")


def _readable(arguments: str) -> str:
    """Arguments with their strings decoded."""
    return re.sub(
        r'"((?:\\x[0-9a-f]{2})*)"',
        lambda found: '"' + bytes.fromhex(found.group(1).replace("\\x", "")).decode(errors="replace") + '"',
        arguments,
    )


def _check_packet(report: Report, packet: Packet) -> None:
    """Allow the messages of the contract on their topics, and packets of the protocol."""
    report.packets[packet.name] += 1
    if packet.kind == PUBLISH or (packet.kind == CONNECT and packet.topic):
        try:
            decode(packet.payload, MESSAGES[address(packet.topic).kind])
            topic = f"{packet.topic}{' (last will)' if packet.kind == CONNECT else ''}"
            report.messages[topic] += 1
            report.message_bytes[topic] += len(packet.payload)
        except (BadMessage, FacetallyError) as error:
            report.violations.append(f"published {len(packet.payload)} bytes on {packet.topic}: {error}")
    elif packet.name not in CLIENT_PACKETS:
        report.violations.append(f"sent a packet of type {packet.name}")


def _may_write(path: str, spool: str) -> bool:
    own = (spool, f"{spool}-wal", f"{spool}-shm", f"{spool}-journal", f"{spool}.lock")
    return path in own or path.startswith(("/dev/null", "/dev/tty"))


def _check_log(report: Report, out: str, err: str) -> None:
    """Allow log lines of limited length and the sentence of totals on standard error, and no standard output."""
    if out:
        report.violations.append(f"printed {len(out)} characters")
    for line in err.splitlines():
        report.lines += 1
        if len(line) > MAX_LINE or not (LOG_LINE.match(line) or SENTENCE.fullmatch(line)):
            report.violations.append(f"printed a line that is not a log line: {line[:120]!r}")
