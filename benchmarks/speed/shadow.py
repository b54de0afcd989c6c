"""Measure the processor time that a classifier in shadow adds to the counting of a clip.

``python -m benchmarks.speed.shadow [--clip PATH] [--rounds N]`` counts a clip as the daemon does: without a classifier
in shadow, with one for which no visit is drawn, and with half of the visits drawn. The second classifier is the shipped
one, so both take the same time for a face. It prints the median processor time of each case and the median of its
ratios to the first, round by round. Loading is not included; the broker is not reached.
"""

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import cv2
import msgspec
from msgspec.structs import replace

from contract.message import Counts, decode
from edge import build
from edge.camera_settings import File
from edge.delivery.agreement import Kept
from edge.settings import AdmitSettings, BrokerSettings, PrivacySettings, Settings, ShadowSettings, SpoolSettings

CASES = {
    "without": None,
    "in shadow, no visit drawn": ShadowSettings(bundle="expression", fraction=1e-9),
    "in shadow, half of the visits": ShadowSettings(bundle="expression", fraction=0.5),
}


def measure(settings: Settings) -> tuple[float, int, int]:
    """Count a clip; return seconds of processor time, compared visits, and all visits."""
    with tempfile.TemporaryDirectory() as folder:
        spool = SpoolSettings(path=str(Path(folder) / "spool.sqlite"))
        with build.pipeline(replace(settings, spool=spool), threading.Event(), lambda: None) as counting:
            before = time.process_time()
            counting.run()
            counting.report(counting.analyzer.health)
            seconds = time.process_time() - before
            kept = counting.spool.agreement()
            waiting = [decode(payload, Counts) for _, payload in counting.spool.waiting(0, 100_000)]
    compared = msgspec.json.decode(kept, type=Kept).published.visits if kept else 0
    return seconds, compared, sum(sum(counts.visits.values()) for counts in waiting)


def main() -> None:
    """Measure the cases in turn, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.shadow", description=__doc__.partition("\n")[0])
    parser.add_argument("--clip", help="video, animation or folder (default: the clip of the demonstration)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        clip = arguments.clip
        if clip is None:
            from demo.clip import compose  # noqa: PLC0415 (needs the packages of the demonstration)

            clip = str(Path(folder) / "walk-by.mp4")
            compose(Path(clip))
        settings = Settings(
            site="bench",
            device="shadow",
            capture=File(path=clip),
            admit=AdmitSettings(staff_zones=()),
            privacy=PrivacySettings(k=1),
            broker=BrokerSettings(host="127.0.0.1", port=9),
        )
        rounds = [
            {name: measure(replace(settings, shadow=shadow)) for name, shadow in CASES.items()}
            for _ in range(arguments.rounds)
        ]
    for name in CASES:
        seconds = statistics.median(each[name][0] for each in rounds)
        ratio = statistics.median(each[name][0] / each["without"][0] for each in rounds)
        _, compared, visits = rounds[0][name]
        print(f"{name:30} {seconds:6.2f} s  ratio {ratio:.3f}  {compared} of {visits} visits compared")


if __name__ == "__main__":
    main()
