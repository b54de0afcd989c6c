"""A clip -> what the daemon writes and sends while it counts it, call by call, and whether anything but counts left.

The daemon runs as it always does, in a process of its own under strace(1); a listener on the loopback takes the place
of the broker. Frames are only in the clip and in the process's memory: whatever leaves must be one of the messages of
`contract.message`, each decoded strictly, a row of the spool, or a line of the log.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from base.errors import FacetallyError
from contract.errors import BadMessage
from contract.message import MESSAGES, decode
from contract.topics import address
from edge.audit import strace
from edge.audit.mqtt_packets import CONNECT, PUBLISH, Packet, PacketReader, listener

LOG_LINE = re.compile(r"^time=\S+ level=\w+ module=\S+ event=\w+( \w+=(\"(?:[^\"\\]|\\.)*\"|[^\"\s]*))*$")
LONGEST_LINE = 1000
"""A line of the log is not longer; a picture would be."""
LIMIT_S = 600.0
CLIENT_PACKETS = frozenset(("CONNECT", "PUBLISH", "SUBSCRIBE", "PINGREQ", "DISCONNECT", "PUBACK"))
"""What a client of ours says."""
INTERNAL = ("pipe:", "anon_inode:", "eventfd:", "/dev/null", "/proc/self/", "UNIX-STREAM:[", "NETLINK:")
"""Within the machine's own processes and kernel."""
WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg")
MOVES = ("sendfile", "splice", "copy_file_range")
"""Calls that move bytes without showing them: the daemon has no use for any."""
WAKE_UPS = (b"0", b"\0")
"""What one thread of paho sends to another by a connection on the loopback, to wake it."""
NAMES = ("rename", "renameat", "renameat2", "link", "linkat", "memfd_create")
"""Calls that give a file a name, or memory the look of a file: nor for these."""


@dataclass(slots=True)
class Report:
    """What was seen: bytes per file, packets and bytes per topic, lines of the log, programs started; and what should
    not have been.
    """

    files: Counter[str] = field(default_factory=Counter)
    topics: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    packets: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    programs: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The report, for people."""
        rows = ["files written:"]
        rows += [f"  {name}: {count} bytes" for name, count in sorted(self.files.items())] or ["  none"]
        rows.append("sent:")
        rows += [f"  {name}: {count} bytes" for name, count in sorted(self.sent.items())] or ["  nothing"]
        rows.append("  packets: " + ", ".join(f"{name} {count}" for name, count in sorted(self.packets.items())))
        rows += [f"  {name}: {count} messages, {size} bytes" for name, (count, size) in sorted(self.topics.items())]
        rows.append(f"lines of the log: {self.lines}")
        rows.append(f"programs started: {', '.join(self.programs) or 'none'}")
        rows += [f"VIOLATION: {each}" for each in self.violations]
        fine = "nothing but counts, status, model, health and log lines left"
        rows.append(f"{len(self.violations)} violations" if self.violations else fine)
        return "\n".join(rows)


def audit(config: Path, overrides: Iterable[str], clip: str, limit_s: float = LIMIT_S) -> Report:
    """Run the daemon of a configuration on a clip and look at every byte; FacetallyError if it cannot be run, or does
    not end within so many seconds.
    """
    if shutil.which("strace") is None:
        raise FacetallyError("audit needs strace (apt install strace)")
    with tempfile.TemporaryDirectory(prefix="facetally-audit-") as folder, listener() as port:
        spool, record = Path(folder) / "spool.sqlite", Path(folder) / "strace.txt"
        # the listener knows no TLS and no passwords, and sends no receipts
        broker = f'publish={{host = "127.0.0.1", port = {port}, confirm = "broker"}}'
        sets = (*overrides, broker, f'spool.path="{spool}"', "privacy.k=1")
        daemon = [sys.executable, "-B", "-m", "edge", "run", "--config", str(config), "--clip", clip]
        daemon += [part for each in sets for part in ("--set", each)]
        command = ["strace", *strace.OPTIONS, "-o", str(record), *daemon]
        done = _ended(command, limit_s)
        if done.returncode:
            raise FacetallyError(f"the daemon ended with {done.returncode}: {done.stderr.strip()[-400:]}")
        with record.open() as lines:
            report = judged(strace.calls(lines), str(spool), port)
        _judge_log(report, done.stdout, done.stderr)
    return report


def _ended(command: list[str], limit_s: float) -> "subprocess.CompletedProcess[str]":
    """What a command printed; its children, whom strace would leave behind, do not outlive it here."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise FacetallyError(f"the daemon did not end within {limit_s:g} s: give it a shorter clip") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def judged(calls: Iterable[strace.Call], spool: str, port: int) -> Report:
    """System calls, the spool's path, the broker's port -> the report on them."""
    report, seen = Report(), _Connections(port)
    for call in calls:
        if call.name in WRITES:
            _judge_write(report, call, spool, seen)
        elif call.name in ("openat", "open", "creat"):
            writes = call.name == "creat" or re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND", call.arguments)
            if writes and not _may_write(call.path, spool):
                report.violations.append(f"opened for writing: {call.path}")
        elif call.name == "connect":
            _judge_connect(report, call, seen)
        elif call.name in ("execve", "execveat"):
            report.programs.append(call.path)
        elif call.name in MOVES or call.name in NAMES:
            report.violations.append(f"{call.name}({call.arguments[:120]}")
    for program in report.programs[1:]:  # the first is the daemon itself; it vets a bundle in a process like it
        if Path(program).name != "vcgencmd" and program != report.programs[0]:
            report.violations.append(f"started {program}")
    return report


@dataclass(slots=True)
class _Connections:
    """The broker's port, the descriptors that were connected to it, and what was sent on each so far."""

    port: int
    broker: set[int] = field(default_factory=set)
    readers: dict[int, PacketReader] = field(default_factory=dict)


def _judge_connect(report: Report, call: strace.Call, seen: _Connections) -> None:
    """Connections to the broker, and within the machine; to a socket of the same process only wake-ups are sent."""
    if f"htons({seen.port})" in call.arguments:
        seen.broker.add(call.descriptor)
        seen.readers[call.descriptor] = PacketReader()
        return
    seen.broker.discard(call.descriptor)
    if not re.search(r"AF_UNIX|AF_UNSPEC|inet_addr\(\"127\.0\.0\.1\"\)|\"::1\"", _readable(call.arguments)):
        report.violations.append(f"connected to {_readable(call.arguments)[:120]}")


def _judge_write(report: Report, call: strace.Call, spool: str, seen: _Connections) -> None:
    """Bytes to a file, to the broker, or somewhere they should not go."""
    if call.target.startswith(("TCP:", "TCPv6:", "UDP:", "UDPv6:")):
        if call.descriptor in seen.broker:
            report.sent["broker"] += len(call.content)
            try:
                for packet in seen.readers[call.descriptor].feed(call.content):
                    _judge_packet(report, packet)
            except ValueError as error:
                report.violations.append(f"sent what is no MQTT: {error}")
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
    """Arguments with their strings as text."""
    return re.sub(
        r'"((?:\\x[0-9a-f]{2})*)"',
        lambda found: '"' + bytes.fromhex(found.group(1).replace("\\x", "")).decode(errors="replace") + '"',
        arguments,
    )


def _judge_packet(report: Report, packet: Packet) -> None:
    """A packet to the broker: a message of ours on a topic of ours, or the protocol's own."""
    report.packets[packet.name] += 1
    if packet.kind == PUBLISH or (packet.kind == CONNECT and packet.topic):
        try:
            decode(packet.payload, MESSAGES[address(packet.topic).kind])
            seen = report.topics[f"{packet.topic}{' (last will)' if packet.kind == CONNECT else ''}"]
            seen[0] += 1
            seen[1] += len(packet.payload)
        except (BadMessage, FacetallyError) as error:
            report.violations.append(f"published {len(packet.payload)} bytes on {packet.topic}: {error}")
    elif packet.name not in CLIENT_PACKETS:
        report.violations.append(f"sent a packet of {packet.name}")


def _may_write(path: str, spool: str) -> bool:
    own = (spool, f"{spool}-wal", f"{spool}-shm", f"{spool}-journal", f"{spool}.lock")
    return path in own or path.startswith(("/dev/null", "/dev/tty"))


def _judge_log(report: Report, out: str, err: str) -> None:
    """What was said on standard output and error: lines of the log and nothing else, none long."""
    if out:
        report.violations.append(f"printed {len(out)} characters")
    for line in err.splitlines():
        report.lines += 1
        if len(line) > LONGEST_LINE or not LOG_LINE.match(line):
            report.violations.append(f"said what is no line of the log: {line[:120]!r}")
