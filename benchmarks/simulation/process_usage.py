"""What a process has used so far, as Linux says in /proc."""

import os
from pathlib import Path


def peak_memory_mb(pid: int) -> float:
    """Return the peak resident memory (VmHWM of /proc/PID/status)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU time used, user and system, in seconds (/proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """Return the CPU time that all programs of this machine have used since its start, in seconds (/proc/stat)."""
    user, nice, system, _idle, _waiting, interrupts, soft = map(int, _all_cores().split()[1:8])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def _all_cores() -> str:
    return Path("/proc/stat").read_text().partition("\n")[0]
