"""Run broker, collectors and a cluster on hosts of their own, cut two of their cables, and compare with what was sent.

``python -m benchmarks.load.hosts --devices 300 --minutes 40``

The hosts are network namespaces (`benchmarks.machines.network`): a broker, two collectors that share the windows (MQTT
5 shared subscription), each with its own disk, a Dask scheduler, two workers, and an office. Simulated devices with all
their faults publish from this process. The cable of the first collector is pulled for a third of the time.

Then the two stores are united by copying their files into one folder, which the workers have. The office lets the
cluster compact it, and the cable of the second worker is pulled in the middle, for good. The rows must be those that
were sent, each once, and the sums that the office gets must be those of the messages. Exit code 1 otherwise, and 2 if
this machine permits no network namespaces.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load.fleet import compare
from benchmarks.machines.network import Host, Network, network, own_namespace
from benchmarks.simulation.collector_process import Collector
from benchmarks.simulation.confirmed_devices import ConfirmedDevices
from benchmarks.simulation.dask_cluster import START_LIMIT_S, STOP_LIMIT_S
from benchmarks.simulation.devices import expected_row, simulated_devices
from benchmarks.simulation.fleet import rows
from collector.store.load import load
from demo.mosquitto import SHIPPED_CONFIG, program, wait_for

ROOT = Path(__file__).parents[2]
WRITERS = ("one", "two")
BROKER_PORT, SCHEDULER_PORT = 1883, 8786
RESEND_S = 3.0
CONFIRM_LIMIT_S = 300.0
LOST_AFTER_S = "15s"
"""Time after which the scheduler gives up a worker that does not answer. By default Dask takes 30 s."""
COMMAND_LIMIT_S = 600.0

Sums = Counter[tuple[str, str]]
"""Visits by site and label."""


def send(devices: int, minutes: int, minute_s: float, broker: Host, cut: Host) -> tuple[set[str], Sums]:
    """Let devices send windows while the cable of a host is pulled; return rows and sums that the stores must hold."""
    fleet, payloads = simulated_devices(devices, seed=1), set[bytes]()
    sender = ConfirmedDevices(fleet, BROKER_PORT, RESEND_S, broker.address)
    try:
        for minute in range(minutes + 1):
            if minute == minutes // 3:
                cut.cut()
            if minute == 2 * minutes // 3:
                cut.join()
            began = time.monotonic()
            for number, device in enumerate(fleet):
                messages = device.minute(minute) if minute < minutes else device.send_waiting()
                payloads.update(sender.send(number, messages))
            sender.send_again()
            time.sleep(max(0.0, began + minute_s - time.monotonic()))
        end = time.monotonic() + CONFIRM_LIMIT_S
        while sender.unconfirmed() and time.monotonic() < end:
            sender.send_again()
            time.sleep(0.2)
        if left := sender.unconfirmed():
            raise SystemExit(f"{left} windows have no receipt after {CONFIRM_LIMIT_S:g} s")
    finally:
        sender.close()
    sums: Sums = Counter()
    for payload in payloads:
        window = json.loads(payload)
        sums.update({(window["site"], label): visits for label, visits in window["visits"].items()})
    return set(map(expected_row, payloads)), sums


def start(stack: ExitStack, host: Host, log: Path, *command: str) -> None:
    """Run a program on a host until the stack ends."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": LOST_AFTER_S}
    with log.open("ab") as output:
        process = subprocess.Popen([*host.prefix, *command], stdout=output, stderr=output, env=environment, cwd=ROOT)
    stack.callback(process.wait, STOP_LIMIT_S)
    stack.callback(process.kill)


def start_broker(stack: ExitStack, host: Host, folder: Path) -> None:
    """Run Mosquitto as shipped on a host."""
    mosquitto = program()
    if mosquitto is None:
        raise SystemExit("mosquitto: not installed (Debian: apt install mosquitto)")
    lines = [f"listener {BROKER_PORT}", "allow_anonymous true", "user root", f"persistence_location {folder}/"]
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([SHIPPED_CONFIG.read_text(), *lines]) + "\n")
    start(stack, host, folder / "mosquitto.log", mosquitto, "-c", str(config))
    wait_for(BROKER_PORT, host=host.address)


def start_cluster(stack: ExitStack, scheduler: Host, workers: Sequence[Host], folder: Path) -> str:
    """Run a Dask scheduler and workers, each on its host; return the scheduler's address."""
    dask, log = (sys.executable, "-m", "dask"), folder / "dask.log"
    port = ("--port", str(SCHEDULER_PORT), "--no-dashboard")
    start(stack, scheduler, log, *dask, "scheduler", "--host", scheduler.address, *port)
    wait_for(SCHEDULER_PORT, START_LIMIT_S, scheduler.address)
    address = f"tcp://{scheduler.address}:{SCHEDULER_PORT}"
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
    for worker in workers:
        start(stack, worker, log, *dask, "worker", address, "--host", worker.address, *options)
    end = time.monotonic() + START_LIMIT_S
    while log.read_text().count("Registered to:") < len(workers):
        if time.monotonic() > end:
            raise SystemExit(f"fewer than {len(workers)} workers after {START_LIMIT_S:g} s: {log.read_text()[-2000:]}")
        time.sleep(0.1)
    return address


def ask(office: Host, command: str, root: Path, scheduler: str, *options: str) -> str:
    """Run a command of the collector in the office; return what it prints."""
    arguments = ["-m", "collector", command, "--root", str(root), "--scheduler", scheduler, *options]
    done = subprocess.run(
        [*office.prefix, sys.executable, *arguments], capture_output=True, text=True, timeout=COMMAND_LIMIT_S, cwd=ROOT,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def compact_with_cut(united: Path, run: Callable[[], str], worker: Host) -> tuple[float, int]:
    """Compact a store, and cut a worker off once the first file is there.

    Returns the seconds, and the number of folders that were compacted before.
    """
    before: list[int] = []

    def cut() -> None:
        while not (done := len(list(united.glob("date=*/site=*/*.parquet")))):
            time.sleep(0.01)
        worker.cut()
        before.append(done)

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    began = time.monotonic()
    run()
    seconds = time.monotonic() - began
    thread.join(1)
    if not before:
        raise SystemExit("compact: has made no Parquet file")
    return seconds, before[0]


def run_hosts(net: Network, folder: Path, devices: int, minutes: int, minute_s: float) -> list[str]:
    """Run everything; return the report. Raises SystemExit, or AssertionError if a store is not what was sent."""
    hosts = {name: net.add(name) for name in ("broker", *WRITERS, "scheduler", "worker-1", "worker-2", "office")}
    disks = [folder / name for name in WRITERS]
    with ExitStack() as stack:
        start_broker(stack, hosts["broker"], folder)
        collectors = []
        for disk in disks:
            disk.mkdir()
            settings = ("broker.share=fleet", f"broker.host={hosts['broker'].address}", "broker.plain_text=true")
            writer, prefix = f"store.writer={disk.name}", hosts[disk.name].prefix
            collectors.append(Collector(disk / "store", BROKER_PORT, writer, *settings, prefix=prefix))
            stack.callback(collectors[-1].kill)
        expected, sums = send(devices, minutes, minute_s, hosts["broker"], hosts["one"])
        for collector in collectors:
            collector.stop()
    stored = [list(rows(disk / "store")) for disk in disks]
    lost, foreign, repeated, both = compare(expected, stored)
    assert (lost, foreign, repeated) == (0, 0, 0), f"{lost} lost, {foreign} never sent, {repeated} twice in one store"
    assert all(stored), "each collector must store windows"
    united = folder / "united"
    for disk in disks:
        shutil.copytree(disk / "store", united, dirs_exist_ok=True)
    whole, folders = load(united), len(list(united.glob("date=*/site=*")))
    assert len(whole) == len(expected), f"the united store must have {len(expected)} windows, has {len(whole)}"
    with ExitStack() as stack:
        workers = [hosts["worker-1"], hosts["worker-2"]]
        scheduler = start_cluster(stack, hosts["scheduler"], workers, folder)
        seconds, before = compact_with_cut(
            united, lambda: ask(hosts["office"], "compact", united, scheduler, "--days", "1"), workers[1]
        )
        assert not list(united.glob("date=*/site=*/*.csv")), "all CSV files must be compacted"
        assert load(united).equals(whole), "the windows must stay the same"
        printed = ask(hosts["office"], "summary", united, scheduler, "--by", "site,label", "--json")
    found = {(row["site"], row["label"]): row["visits"] for row in json.loads(printed)}
    assert found == dict(sums), "the sums must be those of the messages"
    return [
        f"{devices} devices sent {len(expected):,} windows; the first collector was cut off for a third of the time",
        f"stored: {len(stored[0]):,} and {len(stored[1]):,}, {both:,} in both; none lost, none twice in one store",
        f"compaction of {folders} folders: {seconds:.1f} s; a worker was cut off after {before} of them;"
        " rows equal, none twice",
        f"summary by one worker: {len(found)} sums of {len({site for site, _ in found})} sites equal those of the"
        " messages",
    ]


def main() -> None:
    """Make the network, run everything, and print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load.hosts", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", type=int, default=300, help="simulated devices (default: %(default)s)")
    parser.add_argument("--minutes", type=int, default=40, help="simulated minutes (default: %(default)s)")
    parser.add_argument("--minute-s", type=float, default=0.5, help="seconds of each of them (default: %(default)s)")
    options = parser.parse_args()
    own_namespace("benchmarks.load.hosts")
    with tempfile.TemporaryDirectory(prefix="facetally-hosts-") as folder, network() as net:
        report = run_hosts(net, Path(folder), options.devices, options.minutes, options.minute_s)
    print("\n".join(report))


if __name__ == "__main__":
    main()
