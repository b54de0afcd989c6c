"""Command line of ``facetally-edge``: arguments, logging and exit codes."""

import argparse
import contextlib
import gc
import json
import logging
import math
import resource
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from base.command import run_command
from base.errors import FacetallyError
from base.logs import hide_secrets, line
from base.packaged_file import print_packaged_file
from base.version import installed_version
from edge import instances
from edge import settings as configuration
from edge.camera.library_messages import stderr_to_log
from edge.camera_settings import File, camera_keys

log = logging.getLogger("edge")
DEFAULT_CONFIG = instances.config_path(instances.DEFAULT)
DRAIN_AT_END_S, DRAIN_ON_SIGNAL_S = 60.0, 4.0
"""How long finished windows are still sent at the end of a file, and after a signal to stop, seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, 1 failed, 2 a file, key or value is wrong."""
    parsed = _parser().parse_args(arguments)
    if name := getattr(parsed, "instance", None):
        parsed.config = instances.config_path(name)
    with stderr_to_log():
        return run_command(log, lambda: int(parsed.do(parsed)), _report)


def _report(error: FacetallyError) -> int:
    """Print an error. Returns the exit code for it."""
    print(f"facetally-edge: {hide_secrets(str(error))}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="facetally-edge", description="Count apparent facial expressions on the device that sees the faces."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {installed_version()}")
    commands = parser.add_subparsers(required=True, metavar="run|check|cameras|config|zones|try|bench|audit")
    run = commands.add_parser("run", help="count the visits that a camera or a file shows, and publish the counts")
    _add_config(run)
    _add_source(run)
    run.add_argument("--stdout", action="store_true", help="print the messages instead of sending and spooling them")
    run.set_defaults(do=_run)
    check = commands.add_parser("check", help="check what of a configuration works on this device")
    _add_config(check)
    _add_source(check)
    check.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    check.set_defaults(do=_check)
    cameras = commands.add_parser("cameras", help="list the cameras of this device, try each, and print its settings")
    cameras.add_argument("--json", action="store_true", help="print a JSON list")
    cameras.set_defaults(do=_cameras)
    config = commands.add_parser("config", help="print a configuration that lists and explains every key")
    config.set_defaults(do=_config)
    zones = commands.add_parser("zones", help="print the web page in which staff zones are drawn")
    zones.set_defaults(do=_zones)
    audit = commands.add_parser("audit", help="run the daemon on a clip, and report every byte that leaves the process")
    _add_config(audit, instance=False)
    audit.add_argument("clip", metavar="CLIP", help="video, animated GIF or folder of images that shows people")
    audit.set_defaults(do=_audit)
    tryout = commands.add_parser("try", help="run the models on images and clips, and print what they find")
    tryout.add_argument("paths", nargs="+", metavar="PATH", help="image, folder of images, animation or video")
    tryout.add_argument("--json", action="store_true", help="print one JSON object per image")
    tryout.add_argument("--crops", action="store_true", help="take every image as one cropped face")
    tryout.add_argument("--detect-only", action="store_true", help="detect faces only, without expressions")
    tryout.add_argument("--min-score", type=_fraction, metavar="S", help="detector threshold, 0 to 1")
    tryout.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="count clips by the rules of this configuration, such as staff zones",
    )
    _add_bundles(tryout)
    tryout.set_defaults(do=_try)
    bench = commands.add_parser("bench", help="measure the time of each stage and of the bare networks on this device")
    bench.add_argument("path", metavar="PATH", help="video, animation or folder of images")
    _add_bundles(bench)
    meaning = "auto, none, shipped face check by name, or path of a card (default: %(default)s)"
    bench.add_argument("--check", metavar="CARD", default=configuration.AUTO, help=meaning)
    bench.set_defaults(do=_bench)
    return parser


def _add_config(command: argparse.ArgumentParser, *, instance: bool = True) -> None:
    """Add the choice of a configuration: a file, or the name of an instance if the command has no other arguments."""
    chosen = command.add_mutually_exclusive_group()
    if instance:
        meaning = "camera of this device: NAME stands for --config /etc/facetally/NAME.toml, or a release's"
        chosen.add_argument("instance", nargs="?", type=_instance, metavar="INSTANCE", help=meaning)
    chosen.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="TOML file (default: %(default)s)")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, such as privacy.k=1"
    )


def _add_source(command: argparse.ArgumentParser) -> None:
    source = command.add_mutually_exclusive_group()
    source.add_argument("--clip", metavar="PATH", help="video, animated GIF or folder, instead of the camera")
    source.add_argument(
        "--camera",
        metavar="N|URL",
        help="USB camera by number or path, or network camera, instead of the configuration's",
    )


def _add_bundles(command: argparse.ArgumentParser) -> None:
    command.add_argument("--detector", metavar="CARD", help="shipped detector bundle by name, or path of a card")
    command.add_argument("--classifier", metavar="CARD", help="shipped classifier bundle by name, or path of a card")


def _instance(name: str) -> str:
    try:
        return instances.check_name(name)
    except FacetallyError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, is {text}")
    return value


def _config(_parsed: argparse.Namespace) -> int:
    print_packaged_file("edge", "samples", "edge.toml")
    return 0


def _zones(_parsed: argparse.Namespace) -> int:
    from edge.commands.zones import zones_page  # noqa: PLC0415

    sys.stdout.write(zones_page())
    return 0


def _settings(parsed: argparse.Namespace) -> configuration.Settings:
    """Read the configuration file, with the overrides of the command line."""
    overrides = list(parsed.set)
    if parsed.clip is not None:
        overrides.insert(0, _capture({"source": "file", "path": parsed.clip}))
    if parsed.camera is not None:
        overrides.insert(0, _capture(camera_keys(parsed.camera)))
    return instances.read_settings(parsed.config, tuple(overrides))


def _capture(keys: Mapping[str, str | int]) -> str:
    """The override that replaces the camera section; later overrides may add to it."""
    return f"capture={{{', '.join(f'{key} = {_quoted(value)}' for key, value in keys.items())}}}"


def _quoted(value: str | int) -> str:
    """A TOML value. TOML knows JSON's escapes except surrogate pairs, so no character is escaped as one."""
    return json.dumps(value, ensure_ascii=False)


def _run(parsed: argparse.Namespace) -> int:
    """Count until the source ends or a signal arrives, then send the finished windows."""
    from edge import build  # noqa: PLC0415 (OpenCV and the runtime load for a second; --help must not wait)
    from edge.counting.totals import describe  # noqa: PLC0415
    from edge.errors import SpoolError  # noqa: PLC0415
    from edge.system.notify import Notifier  # noqa: PLC0415
    from edge.system.progress import ProgressFile  # noqa: PLC0415

    settings, digest = _settings(parsed), configuration.sha256(parsed.config)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would contain a frame
    stop, notifier, progress = threading.Event(), Notifier(), ProgressFile(settings.tally.window_s)

    def alive() -> None:
        notifier.alive()
        progress.write(pipeline.publisher)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with build.pipeline(settings, stop, alive, sys.stdout if parsed.stdout else None, progress) as pipeline:
        gc.collect()
        gc.freeze()  # the collection of every minute then skips modules and networks, which stay
        pipeline.analyzer.health.configuration_sha256 = digest
        notifier.ready()
        log.info(line("started", site=settings.site, device=settings.device, source=settings.capture.name))
        try:
            pipeline.run()
        finally:
            notifier.stopping()
            if isinstance(settings.capture, File):
                with contextlib.suppress(SpoolError):
                    pipeline.spool.release_held()
            unsent = pipeline.drain(DRAIN_AT_END_S, stop)
            if unsent and stop.is_set():
                unsent = pipeline.drain(DRAIN_ON_SIGNAL_S, threading.Event())
            with contextlib.suppress(SpoolError):
                pipeline.report(pipeline.analyzer.health)  # the final state; the audit sees this message, too
            if pipeline.dropped:
                log.error(line("dropped", windows=pipeline.dropped))
            log.info(line("stopped", unsent=unsent))
        if parsed.stdout or isinstance(settings.capture, File):
            totals, held = pipeline.analyzer.totals, pipeline.spool.held_visits()
            print(describe(totals, len(settings.admit.staff_zones), held), file=sys.stderr)
    return 0


def _check(parsed: argparse.Namespace) -> int:
    from edge.check.parts import DeviceCheck  # noqa: PLC0415
    from edge.check.result import as_json  # noqa: PLC0415

    settings, digest = _settings(parsed), configuration.sha256(parsed.config)
    results = []
    for result in DeviceCheck(settings, parsed.config, digest).results():
        results.append(result)
        if not parsed.json:
            print(result.row(), flush=True)
    if parsed.json:
        print(as_json(settings.site, settings.device, results))
    return 2 if any(result.failed for result in results) else 0


def _cameras(parsed: argparse.Namespace) -> int:
    from edge.commands import cameras  # noqa: PLC0415

    found = list(cameras.cameras())
    print(cameras.as_json(found) if parsed.json else cameras.as_text(found))
    return 0 if any(camera.works for camera in found) else 1


def _try(parsed: argparse.Namespace) -> int:
    from edge import build  # noqa: PLC0415
    from edge.commands.try_images import ImageAnalyzer, image_paths, is_clip  # noqa: PLC0415
    from edge.errors import ClipError  # noqa: PLC0415
    from edge.vision.bundle import STILL_IMAGE_DETECTOR  # noqa: PLC0415
    from edge.vision.classify import Classifier  # noqa: PLC0415
    from edge.vision.detect import Detector  # noqa: PLC0415

    if parsed.crops and parsed.detect_only:
        raise FacetallyError(
            "--crops and --detect-only must not be combined: the one skips detection, the other classification"
        )
    card = parsed.detector or str(STILL_IMAGE_DETECTOR)
    detector = None if parsed.crops else Detector(build.detector_bundle(card), parsed.min_score)
    classifier = None if parsed.detect_only else Classifier(build.classifier_bundle(parsed.classifier))
    rules = None if parsed.config is None else configuration.read(parsed.config)
    analyzer, failed = ImageAnalyzer(detector, classifier), 0
    for file in image_paths(parsed.paths):
        try:
            for row in analyzer.rows(file):
                if parsed.json:
                    print(json.dumps(row), flush=True)
                else:
                    faces = ", ".join(_describe(face) for face in row["faces"])
                    print(f"{row['image']}  {row['width']}x{row['height']}  {faces or 'no face'}")
            if is_clip(file) and not parsed.crops:
                totals = _clip_totals(parsed, rules, file)
                print(f"{file}  {totals}", file=sys.stderr if parsed.json else sys.stdout, flush=True)
        except ClipError as error:
            failed = _report(error)
    return failed


def _clip_totals(parsed: argparse.Namespace, rules: configuration.Settings | None, clip: str) -> str:
    """Count a clip by the given configuration, and with the given models. Returns the sentence of totals."""
    from edge.commands.clip_totals import clip_totals, settings_without_rules  # noqa: PLC0415

    settings = rules or settings_without_rules(clip)
    detect = replace(
        settings.detect,
        bundle=parsed.detector or settings.detect.bundle,
        threshold=settings.detect.threshold if parsed.min_score is None else parsed.min_score,
    )
    classify = replace(settings.classify, bundle=parsed.classifier or settings.classify.bundle)
    capture = File(path=clip)
    return clip_totals(replace(settings, capture=capture, detect=detect, classify=classify))


def _audit(parsed: argparse.Namespace) -> int:
    from edge.audit.run import audit  # noqa: PLC0415

    report = audit(parsed.config, parsed.set, parsed.clip)
    print(report.text())
    return 1 if report.violations else 0


def _bench(parsed: argparse.Namespace) -> int:
    import cv2  # noqa: PLC0415

    from edge import build  # noqa: PLC0415
    from edge.commands import bench  # noqa: PLC0415
    from edge.vision.bundle import DEFAULT_DETECTOR, card_path  # noqa: PLC0415

    cv2.setNumThreads(1)
    card = card_path(parsed.detector) if parsed.detector else DEFAULT_DETECTOR
    detector, check = build.detector_bundle(str(card)), build.check_bundle(parsed.check, card)
    bundles = build.Bundles(detector, check, build.classifier_bundle(parsed.classifier))
    print(bench.table(bench.measure(parsed.path, bundles)))
    return 0


def _describe(face: dict[str, object]) -> str:
    """One face as text: expression, score and box."""
    parts = [str(face.get("expression", "face"))]
    if face["box"] is not None:
        parts.append(f"{face['score']} at {face['box']}")
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
