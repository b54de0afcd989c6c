"""Check the parts of a device one after another. A part that fails does not stop the checks of the others."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from base.certificate import device_certificate_end
from base.errors import FacetallyError, SettingsError
from contract.card import CheckCard, ClassifierCard, DetectorCard
from contract.fields import Clock
from contract.health import Health
from edge import instances
from edge.build import check_bundle, classifier_bundle, describe_choice, detector_bundle
from edge.camera_settings import File, Gstreamer, Picamera2, V4l2
from edge.check import broker, camera, machine
from edge.check.result import CheckResult, Finding
from edge.counting.admit import AdmissionGate
from edge.counting.zone_advice import advise
from edge.delivery import spool
from edge.delivery.spool_lock import is_locked
from edge.errors import CameraLost
from edge.settings import Settings
from edge.shadow.worker import check_input, check_same_labels
from edge.system.clock import is_synchronised, now
from edge.system.health import HealthMonitor
from edge.vision.bundle import Bundle
from edge.vision.choose_detector import DEFAULT_FRAME_SHAPE, DetectorChoice, choose_detector
from edge.vision.classify import Classifier
from edge.vision.detect import Detector
from edge.vision.face_check import FaceCheck


class DeviceCheck:
    """Checks one instance of a device. What one part has found is used by the next ones."""

    def __init__(self, settings: Settings, config: Path, sha256: str) -> None:
        """``sha256`` is that of the configuration file, hexadecimal."""
        self._settings, self._config = settings, config
        self._monitor = HealthMonitor(configuration_sha256=sha256)
        self._choice: DetectorChoice | None = None
        self._detector: Bundle[DetectorCard] | None = None
        self._check: Bundle[CheckCard] | None = None
        self._classifier: Bundle[ClassifierCard] | None = None
        self._sample: camera.CameraSample | None = None
        self._waiting = 0

    def results(self) -> Iterator[CheckResult]:
        """Check all parts."""
        settings = self._settings
        parts: tuple[tuple[str, Callable[[], Finding]], ...] = (
            ("instances", self._instances),
            ("detector", self._load_detector),
            ("face-check", self._load_check),
            ("classifier", self._load_classifier),
            *((("shadow", self._load_shadow),) if settings.shadow else ()),
            ("staff", self._staff_rules),
            ("camera", self._camera),
            ("speed", self._speed),
            ("spool", self._spool),
            ("disk", lambda: machine.disk(settings.spool)),
            ("certificates", lambda: broker.certificates(settings.broker, now())),
            ("broker", lambda: broker.access(settings, self._health)),
            ("clock", machine.clock),
            ("temperature", machine.temperature),
        )
        for part, check in parts:
            try:
                yield CheckResult(part, check())
            except (FacetallyError, OSError) as error:
                yield CheckResult(part, Finding(str(error), "FAILED"))

    def _instances(self) -> Finding:
        """Compare with the other instances of this device. A configuration elsewhere is the only one."""
        name = instances.name_of(self._config)
        if name is None:
            return Finding(f"{self._config} is not that of a service; a service reads {instances.config_path('NAME')}")
        others = instances.other_instances(self._config)
        readable = {key: each for key, each in others.items() if isinstance(each, Settings)}
        shared = [
            f"{instances.config_path(key)} has the same {what}"
            for key, each in readable.items()
            for what in instances.conflicts(self._settings, each)
        ]
        wanted, cores = instances.core_fraction([self._settings, *readable.values()]), len(os.sched_getaffinity(0))
        figures = {"instances": 1 + len(readable), "core_fraction": wanted, "cores": cores}
        if shared:
            return Finding(f"must not be shared: {'; '.join(shared)}", "FAILED", figures)
        parts = [f"{instances.unit(name)}; others: {', '.join(map(instances.unit, readable)) or 'none'}"]
        parts.append(f"their detectors may use {wanted:g} of {cores} cores (detect.max_core_fraction)")
        broken = [str(each) for each in others.values() if isinstance(each, SettingsError)]
        return Finding("; ".join(parts + broken), "warning" if broken or wanted > cores else "ok", figures)

    def _load_detector(self) -> Finding:
        self._choice = choice = choose_detector(self._settings, Path(self._settings.spool.path).parent)
        self._detector = detector_bundle(str(choice.card), self._settings.detect.threads)
        self._monitor.detector_choice = choice.reason
        return Finding(f"{_loaded(self._detector)}; {choice.reason}")

    def _load_check(self) -> Finding:
        if self._choice is None:
            raise FacetallyError("not loaded, because no detector was chosen")
        self._check = check_bundle(self._settings.detect.check, self._choice.card, self._settings.detect.threads)
        self._monitor.detector_choice = describe_choice(self._choice.reason, self._check)
        if self._check is None:
            return Finding("none: detections are not checked (detect.check)")
        return Finding(_loaded(self._check))

    def _load_classifier(self) -> Finding:
        self._classifier = classifier_bundle(self._settings.classify.bundle, self._settings.classify.threads)
        return Finding(_loaded(self._classifier))

    def _load_shadow(self) -> Finding:
        """Load the classifier in shadow. The daemon counts without it, so a fault is a warning only."""
        assert self._settings.shadow is not None
        try:
            found = classifier_bundle(self._settings.shadow.bundle)
            if self._classifier is not None:
                check_same_labels(self._classifier.card.labels, found.card.labels)
                check_input(found.card)
        except FacetallyError as error:
            return Finding(f"{error}; nothing is compared", "warning")
        return Finding(_loaded(found))

    def _staff_rules(self) -> Finding:
        admit = AdmissionGate(self._settings.admit).settings
        opened = f"{admit.hours.open} to {admit.hours.close}, {admit.hours.timezone}" if admit.hours else "all hours"
        advice = advise(admit.staff_zones)
        text = "; ".join((f"{len(admit.staff_zones)} zones", opened, *advice))
        return Finding(text, "warning" if advice else "ok")

    def _camera(self) -> Finding:
        capture = self._settings.capture
        try:
            self._sample = camera.sample(capture)
        except CameraLost as error:
            if isinstance(capture, V4l2 | Picamera2 | Gstreamer) and is_locked(Path(self._settings.spool.path)):
                advice = "the daemon runs and may hold the camera; stop it to check the camera"
                return Finding(f"{error}; {advice}", "warning")
            raise
        return camera.describe(capture, self._sample)

    def _speed(self) -> Finding:
        if self._detector is None or self._classifier is None:
            raise FacetallyError("not measured, because a model does not work")
        pixels = self._sample.pixels if self._sample else np.zeros(DEFAULT_FRAME_SHAPE, np.uint8)
        rate = camera.needed_rate(self._settings, self._sample.frames_per_s if self._sample else None)
        detector = Detector(self._detector, self._settings.detect.threshold)
        seconds = camera.FILE_MEASURE_S if isinstance(self._settings.capture, File) else camera.MEASURE_S
        check = FaceCheck(self._check) if self._check else None
        speed = camera.run_models(detector, check, Classifier(self._classifier), pixels, rate, seconds)
        return camera.describe_speed(self._settings, speed)

    def _spool(self) -> Finding:
        path = Path(self._settings.spool.path)
        with spool.opened(path, self._settings.max_windows) as opened:
            self._waiting = opened.depth()
        return Finding(f"{path}: {self._waiting} messages wait", figures={"messages": self._waiting})

    def _health(self, boot: str) -> Health:
        """What this check has found, as a health message."""
        state: Clock = (
            "replay" if isinstance(self._settings.capture, File) else "synced" if is_synchronised() else "unsynced"
        )
        runtime = self._detector.model.runtime if self._detector else "none"
        self._monitor.certificate_ends = device_certificate_end(self._settings.broker)
        with spool.opened(Path(":memory:"), 1) as empty:
            health = self._monitor.report(boot, empty, state, now(), lambda: 0, runtime)
        rate = self._sample.frames_per_s if self._sample else None
        return replace(health, spool_depth=self._waiting, frames_per_s=round(rate or 0.0, 2))


def _loaded(bundle: Bundle[Any]) -> str:
    card = bundle.card
    return f"{card.identity}, {len(card.golden)} golden samples replayed by {bundle.model.runtime}"
