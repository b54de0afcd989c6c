"""Count a clip as the daemon would, without messages, and say how its tracks ended."""

import math
import threading

from edge.build import frame_analyzer, load_bundles, tracker_for
from edge.camera.capture import source
from edge.camera_settings import File
from edge.counting.admit import AdmissionGate
from edge.counting.totals import describe
from edge.settings import AdmitSettings, Settings
from edge.values import Frame
from edge.vision.choose_detector import choose_detector


def settings_without_rules(clip: str) -> Settings:
    """The default settings for a clip: no staff zones, no opening hours."""
    return Settings(site="try", device="try", capture=File(path=clip), admit=AdmitSettings(staff_zones=()))


def clip_totals(settings: Settings) -> str:
    """The sentence of totals of the file that the settings name. Nothing is held back: nothing is sent.

    Raises ClipError if the file cannot be read or is cut off.
    """
    bundles = load_bundles(settings, choose_detector(settings, None).card)
    gate, tracker = AdmissionGate(settings.admit), tracker_for(settings, bundles.detector.card)
    camera = source(settings.capture, threading.Event(), settings.grid_s)
    analyzer = frame_analyzer(settings, camera, bundles=bundles, tracker=tracker, gate=gate)
    for item in camera.frames:
        if isinstance(item, Frame):
            analyzer.add_frame(item)
        else:
            analyzer.add_missing(item)
    analyzer.finish(math.inf)
    return describe(analyzer.totals, len(settings.admit.staff_zones))
