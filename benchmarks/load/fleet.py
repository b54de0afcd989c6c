"""Run a large fleet with two collectors that share its messages, kill them and the broker, and compare the stores.

``python -m benchmarks.load.fleet --devices 10000 --minutes 60 --minute-s 6 --kills 10 --broker-kills 1``

Simulated devices with all their faults (`benchmarks.simulation.devices`) publish windows and health through Mosquitto
as shipped, and keep each window until a receipt confirms it. Two collectors share the windows (MQTT 5 shared
subscription), each with its own store. Each of them, and the broker, are killed (SIGKILL) at random moments and started
again. An hour of the fleet takes ``60 * --minute-s`` seconds.

Then the lines of both stores must be those computed from the messages: none is lost, none was never sent, none is twice
in one store. A window may be in both stores, because it was sent again before its receipt came; readers drop repeats.
Exit code 1 otherwise.

The devices share one process and 20 connections, and all parts share this machine. So latencies include the load of the
simulation.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.simulation.collector_process import Collector
from benchmarks.simulation.confirmed_devices import RESEND_S, ConfirmedDevices
from benchmarks.simulation.devices import SimulatedDevice, expected_row, simulated_devices
from benchmarks.simulation.fleet import rows
from benchmarks.simulation.process_usage import cpu_s, peak_memory_mb
from demo.mosquitto import Mosquitto

WRITERS = ("one", "two")
CONFIRM_LIMIT_S = 600.0
PACE = 50
"""Devices that send before the next pause."""
SEND_AGAIN_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Running:
    """A process that runs."""

    pid: int
    kill: Callable[[], None]
    stop: Callable[[], None]
    started_cpu_s: float
    """CPU time that the start took, seconds."""


@dataclass(slots=True)
class Program:
    """A program that is killed and started again, and what all its processes have used."""

    start: Callable[[], Running]
    running: Running
    kills: int = 0
    cpu_s: float = 0.0
    """Without that of its starts."""
    memory_mb: float = 0.0
    """The peak of any of its processes."""

    @classmethod
    def started(cls, start: Callable[[], Running]) -> "Program":
        """Start a program."""
        return cls(start, start())

    def kill_and_start(self) -> None:
        """End it as a power cut would, and start it again."""
        self._note()
        self.running.kill()
        self.running = self.start()
        self.kills += 1

    def stop(self) -> None:
        """End it in order."""
        self._note()
        self.running.stop()

    def _note(self) -> None:
        self.cpu_s += cpu_s(self.running.pid) - self.running.started_cpu_s
        self.memory_mb = max(self.memory_mb, peak_memory_mb(self.running.pid))


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a run is."""

    devices: int
    minutes: int
    """Simulated minutes, and so windows of each device."""
    minute_s: float
    """Seconds that a simulated minute takes at least."""
    collector_kills: int
    """Kills of each collector."""
    broker_kills: int
    collectors: int = 2
    resend_s: float = RESEND_S
    """Time after which a device sends a window without a receipt again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was sent and stored, and what the programs used."""

    sent: int
    """Windows sent, repeats included."""
    payload_bytes: int
    """Of windows and health messages."""
    expected: int
    """Different windows sent: the rows that the stores must hold together."""
    lost: int
    """Expected rows that are in no store."""
    foreign: int
    """Rows that were never sent."""
    repeated: int
    """Rows that are twice in one store."""
    in_both: int
    """Rows that are in both stores."""
    unconfirmed: int
    """Windows without a receipt at the end."""
    seconds: float
    latencies_s: tuple[float, float, float]
    """From sending a window to its receipt: median, 95th percentile, maximum."""
    collectors: tuple[Program, ...]
    broker: Program
    csv_bytes: int

    @property
    def is_right(self) -> bool:
        """Whether the stores hold what was sent."""
        return not (self.lost or self.foreign or self.repeated or self.unconfirmed)


def simulate(folder: Path, plan: Plan, seed: int = 1) -> Outcome:
    """Run a fleet with kills, and compare the stores with what it sent."""
    broker, roots = Mosquitto(folder, shipped=True), [folder / name / "store" for name in WRITERS[: plan.collectors]]
    with ExitStack() as stack:
        programs = [Program.started(partial(_start_broker, broker))]
        stack.callback(broker.kill)
        for root in roots:
            root.parent.mkdir()
            programs.append(Program.started(partial(_start_collector, root, broker.port)))
            stack.callback(lambda program: program.running.kill(), programs[-1])
        fleet = simulated_devices(plan.devices, seed)
        devices = ConfirmedDevices(fleet, broker.port, plan.resend_s)
        stack.callback(devices.close)
        began = time.monotonic()
        with ThreadPoolExecutor(1) as executor:
            kills = executor.submit(_kill, programs, plan, random.Random(seed))  # noqa: S311 - not for secrets
            expected = _send(fleet, devices, plan)
            kills.result()
        unconfirmed, seconds = _wait_for_receipts(devices), time.monotonic() - began
        for program in reversed(programs):
            program.stop()
        return _outcome(expected, roots, devices, (unconfirmed, seconds), programs)


def _start_broker(broker: Mosquitto) -> Running:
    broker.start()
    pid = broker.process.pid
    return Running(pid, broker.kill, broker.stop, cpu_s(pid))


def _start_collector(root: Path, port: int) -> Running:
    """Start the collector whose name is that of the store's folder."""
    collector = Collector(root, port, f"store.writer={root.parent.name}", "broker.share=fleet")
    return Running(collector.pid, collector.kill, collector.stop, collector.cpu_s())


def _kill(programs: Sequence[Program], plan: Plan, rng: random.Random) -> None:
    """Kill the broker, the first program, and the collectors at random moments of the run."""
    began, length_s = time.monotonic(), plan.minutes * plan.minute_s
    due = [(rng.uniform(0.05, 0.95), programs[0]) for _ in range(plan.broker_kills)]
    due += [(rng.uniform(0.05, 0.95), each) for each in programs[1:] for _ in range(plan.collector_kills)]
    for part, program in sorted(due, key=lambda each: each[0]):
        time.sleep(max(0.0, began + part * length_s - time.monotonic()))
        program.kill_and_start()


def _send(fleet: Sequence[SimulatedDevice], devices: ConfirmedDevices, plan: Plan) -> set[str]:
    """Let all devices send their windows, evenly over each minute; return the rows that the stores must hold."""
    expected, began, again_s = set[str](), time.monotonic(), 0.0
    for minute in range(plan.minutes + 1):
        for number, device in enumerate(fleet):
            messages = device.minute(minute) if minute < plan.minutes else device.send_waiting()
            expected.update(expected_row(payload) for payload in devices.send(number, messages))
            if minute < plan.minutes and not device.offline_minutes:
                devices.report_health(number, device, minute)
            if number % PACE == 0:
                due = began + (minute + number / len(fleet)) * plan.minute_s
                time.sleep(max(0.0, due - time.monotonic()))
                if time.monotonic() - again_s > SEND_AGAIN_EVERY_S:
                    devices.send_again()
                    again_s = time.monotonic()
    return expected


def _wait_for_receipts(devices: ConfirmedDevices) -> int:
    """Send again what is not confirmed until all is; return how many windows are not after `CONFIRM_LIMIT_S`."""
    end = time.monotonic() + CONFIRM_LIMIT_S
    while (left := devices.unconfirmed()) and time.monotonic() < end:
        devices.send_again()
        time.sleep(0.2)
    return left


def _outcome(
    expected: set[str],
    roots: Sequence[Path],
    devices: ConfirmedDevices,
    end: tuple[int, float],
    programs: Sequence[Program],
) -> Outcome:
    """Compare the stores with the rows expected, and sum up."""
    latencies = np.percentile(devices.latencies_s(), (50, 95, 100))
    return Outcome(
        devices.sent, devices.payload_bytes, len(expected),
        *compare(expected, [list(rows(root)) for root in roots]), *end,
        (float(latencies[0]), float(latencies[1]), float(latencies[2])), tuple(programs[1:]), programs[0],
        sum(path.stat().st_size for root in roots for path in root.glob("date=*/site=*/*.csv")),
    )  # fmt: skip


def compare(expected: set[str], stores: Sequence[Sequence[str]]) -> tuple[int, int, int, int]:
    """Return the number of rows that are lost, that were never sent, twice in one store, and in both stores."""
    distinct = [set(lines) for lines in stores]
    together = set[str]().union(*distinct)
    repeated = sum(len(lines) for lines in stores) - sum(len(lines) for lines in distinct)
    return (
        len(expected - together),
        len(together - expected),
        repeated,
        sum(len(lines) for lines in distinct) - len(together),
    )


def report(plan: Plan, outcome: Outcome) -> str:
    """Return the figures as text."""
    median, late, longest = outcome.latencies_s
    usage = [
        f"{name}: killed {program.kills} times; {program.cpu_s:.1f} s of CPU,"
        f" {program.cpu_s / outcome.expected * 1e6:.0f} us a window; peak memory {program.memory_mb:.0f} MB"
        for name, program in (("broker", outcome.broker), *zip(WRITERS, outcome.collectors, strict=False))
    ]
    return "\n".join(
        (
            f"{plan.devices:,} devices, {plan.minutes} simulated minutes in {outcome.seconds:.0f} s,"
            f" {plan.collectors} collectors",
            f"sent: {outcome.sent:,} windows, {outcome.expected:,} of them different,"
            f" {outcome.sent / outcome.seconds:,.0f} a second",
            f"lost: {outcome.lost}; never sent: {outcome.foreign}; twice in one store: {outcome.repeated};"
            f" without a receipt: {outcome.unconfirmed}; in both stores: {outcome.in_both:,}",
            f"receipt after {median:.2f} s (median), {late:.2f} s (95th percentile), {longest:.1f} s (longest)",
            *usage,
            f"CSV: {outcome.csv_bytes / outcome.expected:.0f} bytes a window",
            "the stores equal what was sent" if outcome.is_right else "THE STORES DIFFER FROM WHAT WAS SENT",
        )
    )


def main() -> int:
    """Run a fleet and print the result; return 0 if the stores hold what was sent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.fleet", description=__doc__.partition("\n")[0])
    for name, kind, default, text in (
        ("devices", int, 1000, "simulated devices"),
        ("minutes", int, 60, "simulated minutes"),
        ("minute-s", float, 6.0, "seconds that a simulated minute takes at least"),
        ("kills", int, 10, "kills of each collector"),
        ("broker-kills", int, 1, "kills of the broker"),
        ("collectors", int, 2, "collectors that share the messages, 1 or 2"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (default: %(default)s)")
    options = parser.parse_args()
    plan = Plan(
        options.devices, options.minutes, options.minute_s, options.kills, options.broker_kills, options.collectors
    )
    with tempfile.TemporaryDirectory(prefix="facetally-fleet-") as name:
        outcome = simulate(Path(name), plan)
    print(report(plan, outcome))
    return 0 if outcome.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
