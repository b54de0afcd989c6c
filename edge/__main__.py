"""``facetally-edge``: arguments, log lines and exit codes, and nothing else."""

import argparse
import contextlib
import gc
import json
import logging
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from base.errors import FacetallyError
from base.logs import LineFormatter, discard_output, hide_secrets, line
from edge import settings as configuration
from edge.camera.library_messages import stderr_to_log

log = logging.getLogger("edge")
DEFAULT_CONFIG = Path("/etc/facetally/edge.toml")
END_OF_FILE_S, ON_SIGNAL_S = 60.0, 4.0
"""How long finished windows are still offered to the broker when a file has ended, and when told to stop."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 1: failed; 2: a file, key or value is wrong, and which."""
    chosen = _parser().parse_args(arguments)
    with stderr_to_log():
        return _logged(chosen)


def _logged(chosen: argparse.Namespace) -> int:
    """Run a command; its exit code."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    try:
        return int(chosen.do(chosen))
    except FacetallyError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        discard_output()
        return 141
    except Exception:
        log.exception(line("crash"))
        return 1


def _failed(error: FacetallyError) -> int:
    """Say what is wrong; the exit code for it."""
    print(f"facetally-edge: {hide_secrets(str(error))}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="facetally-edge", description="Counts apparent facial expressions, on the device that sees the faces."
    )
    commands = parser.add_subparsers(required=True, metavar="run|check|try|bench|audit")
    run = commands.add_parser("run", help="count what a camera or a file shows, and publish it")
    check = commands.add_parser("check", help="say what of a configuration works on this device")
    for command in (run, check):
        command.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="TOML file (default: %(default)s)")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as privacy.k=1")
        source = command.add_mutually_exclusive_group()
        source.add_argument("--clip", metavar="PATH", help="video, animated GIF or folder, in place of the camera")
        source.add_argument(
            "--camera", metavar="N", help="USB camera by number or path, in place of the configured one"
        )
    run.add_argument("--stdout", action="store_true", help="print the messages; send nothing, spool nothing")
    run.set_defaults(do=_run)
    check.set_defaults(do=_check)
    audit = commands.add_parser("audit", help="run the daemon on a clip and report every byte that leaves it")
    audit.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="TOML file (default: %(default)s)")
    audit.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as privacy.k=1")
    audit.add_argument("clip", metavar="CLIP", help="video, animated GIF or folder with people in it")
    audit.set_defaults(do=_audit)
    tryout = commands.add_parser("try", help="show what the models see in pictures and clips")
    tryout.add_argument("paths", nargs="+", metavar="PATH", help="picture, folder of pictures, animation or video")
    tryout.add_argument("--json", action="store_true", help="one JSON object a picture")
    tryout.add_argument("--crops", action="store_true", help="each picture is one cropped face already")
    tryout.add_argument("--detect-only", action="store_true", help="faces without expressions")
    tryout.add_argument("--min-score", type=_share, metavar="S", help="the detector's threshold, 0 to 1")
    tryout.set_defaults(do=_try)
    bench = commands.add_parser("bench", help="time each stage on this device, beside the bare networks")
    bench.add_argument("path", metavar="PATH", help="video, animation or folder of pictures")
    for command in (tryout, bench):
        command.add_argument("--detector", metavar="CARD", help="name of another shipped detector bundle, or a card")
        command.add_argument(
            "--classifier", metavar="CARD", help="name of another shipped classifier bundle, or a card"
        )
    bench.set_defaults(do=_bench)
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: 0 to 1")
    return value


def _settings(chosen: argparse.Namespace) -> configuration.Settings:
    """The configuration file with what the command line puts in its place."""
    overrides = list(chosen.set)
    if chosen.clip is not None:
        overrides.append(f'capture={{source = "file", path = {_quoted(chosen.clip)}}}')
    if chosen.camera is not None:
        device = chosen.camera if chosen.camera.isdigit() else _quoted(chosen.camera)
        overrides.append(f'capture={{source = "v4l2", device = {device}}}')
    return configuration.read(chosen.config, tuple(overrides))


def _quoted(text: str) -> str:
    """A string of TOML; it knows JSON's escapes, but no halves of a character."""
    return json.dumps(text, ensure_ascii=False)


def _run(chosen: argparse.Namespace) -> int:
    """Count until the source ends or a signal comes; then send what is finished."""
    from edge.build import pipeline  # noqa: PLC0415 (OpenCV and the runtime take a second; --help need not wait)
    from edge.errors import SpoolError  # noqa: PLC0415
    from edge.system.notify import Notifier  # noqa: PLC0415

    settings = _settings(chosen)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold a frame
    stop, notifier = threading.Event(), Notifier()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with pipeline(settings, stop, notifier.alive, sys.stdout if chosen.stdout else None) as wired:
        gc.collect()
        gc.freeze()  # modules and networks stay; the collection each minute need not look through them
        notifier.ready()
        log.info(line("started", site=settings.site, device=settings.device, source=settings.capture.name))
        try:
            wired.run()
        finally:
            notifier.stopping()
            if isinstance(settings.capture, configuration.File):
                with contextlib.suppress(SpoolError):
                    wired.spool.release_held()
            left = wired.drain(END_OF_FILE_S, stop)
            if left and stop.is_set():
                left = wired.drain(ON_SIGNAL_S, threading.Event())
            with contextlib.suppress(SpoolError):
                wired.report(wired.watch)  # the last word on how it fared; the audit sees this message, too
            if wired.dropped:
                log.error(line("dropped", windows=wired.dropped))
            log.info(line("stopped", unsent=left))
    return 0


def _check(chosen: argparse.Namespace) -> int:
    from edge.commands.check import check  # noqa: PLC0415

    failed = 0
    for name, works, text in check(_settings(chosen)):
        print(f"{'ok    ' if works else 'FAILED'}  {name}: {text}")
        failed += not works
    return 2 if failed else 0


def _try(chosen: argparse.Namespace) -> int:
    from edge import build  # noqa: PLC0415
    from edge.commands.try_images import Tryout  # noqa: PLC0415
    from edge.vision.bundle import STILL_IMAGE_DETECTOR  # noqa: PLC0415
    from edge.vision.classify import Classifier  # noqa: PLC0415
    from edge.vision.detect import Detector  # noqa: PLC0415

    if chosen.crops and chosen.detect_only:
        raise FacetallyError("--crops has faces already and --detect-only classifies none: choose one")
    card = chosen.detector or str(STILL_IMAGE_DETECTOR)
    detector = None if chosen.crops else Detector(build.detector_bundle(card), chosen.min_score)
    classifier = None if chosen.detect_only else Classifier(build.classifier_bundle(chosen.classifier))
    failed: list[int] = []
    for row in Tryout(detector, classifier).rows(chosen.paths, lambda error: failed.append(_failed(error))):
        if chosen.json:
            print(json.dumps(row), flush=True)
        else:
            faces = ", ".join(_words(face) for face in row["faces"])
            print(f"{row['image']}  {row['width']}x{row['height']}  {faces or 'no face'}")
    return max(failed, default=0)


def _audit(chosen: argparse.Namespace) -> int:
    from edge.audit.run import audit  # noqa: PLC0415

    report = audit(chosen.config, chosen.set, chosen.clip)
    print(report.text())
    return 1 if report.violations else 0


def _bench(chosen: argparse.Namespace) -> int:
    import cv2  # noqa: PLC0415

    from edge import build  # noqa: PLC0415
    from edge.commands import bench  # noqa: PLC0415

    cv2.setNumThreads(1)
    faces, expressions = build.detector_bundle(chosen.detector), build.classifier_bundle(chosen.classifier)
    print(bench.table(bench.measure(chosen.path, faces, expressions)))
    return 0


def _words(face: dict[str, object]) -> str:
    parts = [str(face.get("expression", "face"))]
    if face["box"] is not None:
        parts.append(f"{face['score']} at {face['box']}")
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
