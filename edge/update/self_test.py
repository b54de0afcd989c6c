"""Test a release before the daemon may run it: ``python -m edge.update.self_test CONFIG PROGRAM``, in its own slot.

It runs beside the daemon, so it opens neither camera nor spool.
"""

import sys
from pathlib import Path

from base.errors import FacetallyError
from edge import build
from edge.counting.admit import AdmissionGate
from edge.settings import AUTO, Settings, read
from edge.update import run as updater
from edge.vision.bundle import DEFAULT_DETECTOR, card_path


def main(config: Path, program: Path) -> int:
    """Read a configuration and load its bundles. Returns 0, or 2 after an error message.

    ``program`` is the folder of releases; bundles that the configuration names in it are those of this release.
    """
    try:
        settings = read(config)
        AdmissionGate(settings.admit)
        named = (_detector(settings), settings.detect.check, settings.classify.bundle)
        detector, check, classifier = (_bundle(name, program) for name in named)
        card = card_path(detector) if detector else DEFAULT_DETECTOR
        build.detector_bundle(str(card), settings.detect.threads)
        build.check_bundle(check or AUTO, card, settings.detect.threads)
        build.classifier_bundle(classifier, settings.classify.threads)
    except FacetallyError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if callable(updater.run) else 1  # the updater of this release can be imported as well


def _detector(settings: Settings) -> str | None:
    return None if settings.detect.bundle == AUTO else settings.detect.bundle


def _bundle(name: str | None, program: Path) -> str | None:
    """Where a bundle is now: ``current`` does not lead to this release yet."""
    current = str(program / "current" / "bundles")
    if name is not None and name.startswith(current + "/"):
        return str(Path(sys.prefix) / "bundles") + name.removeprefix(current)
    return name


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
