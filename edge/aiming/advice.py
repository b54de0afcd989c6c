"""Turn what is measured in the camera's view into one sentence of advice, the most important first.

Pure: it opens nothing. Limits that the daemon or a bundle's card sets are passed in; the others are explained here.
`benchmarks.accuracy.aiming_limits` measures those of light and of turned faces.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Topic: TypeAlias = Literal[
    "camera", "black", "covered", "no_zones", "dark", "window", "nobody", "blurred", "slow", "small", "turned", "zones",
    "unknown", "good",
]  # fmt: skip
"""What the sentence is about, most important first."""

FACE_HEIGHT_M = 0.18
"""Height of a face from chin to hairline, metres: about 0.17 for women and 0.19 for men (Farkas 1994)."""
MIN_FACE_LEVEL = 24.0
"""A face is dark if its mean grey level is below this."""
MAX_TURN = 0.35
"""A face is turned if its `turn` exceeds this."""
WINDOW_MIN_BRIGHT = 0.1
"""A camera looks into a window or a lamp if faces are dark and at least this ratio of the image is white."""
MIN_DETECTIONS_PER_S = 5.0
"""The counts at 30, 10 and 5 frames a second agree; below, visits are missed."""
MIN_WANTED_RATIO = 0.8
"""Where the settings ask for fewer, this ratio of them is enough: the rate is never quite reached."""
MIN_PEOPLE = 3
"""Ratios of people are judged from this number on."""
MAX_RATIO = 0.5
"""More than this ratio of the people must have a fault before it is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What was measured over the last seconds. None: not known, because nobody was in view."""

    problem: str | None = None
    """Why there is no frame."""
    image_width: int = 0
    """Pixels."""
    blind: Literal["black", "covered"] | None = None
    """What hides everything, by `edge.camera.image_quality`."""
    light: float = 0.0
    """Mean grey level of the image, 0 to 255."""
    bright: float = 0.0
    """Ratio of the image that is white."""
    detail: float = 0.0
    """Amount of fine structure in the image."""
    best_detail: float = 0.0
    """The highest amount of the last minutes."""
    blurred_max_ratio: float
    """An image is blurred below this ratio of the detail that the scene has had."""
    frames_per_s: float = 0.0
    """Frames from the camera."""
    detections_per_s: float = 0.0
    """Frames in which faces were searched."""
    wanted_per_s: float = math.inf
    """Detections a second that the settings ask for."""
    people: int = 0
    """People seen in the last minute, outside the staff zones."""
    unknown: int = 0
    """Those of them that would be counted as ``unknown`` because no observation was good."""
    face_px: float | None = None
    """Median over these people of their largest face, pixels."""
    needed_px: int
    """Minimum face size of the classifier's card, pixels."""
    face_light: float | None = None
    """Median of the mean grey levels of their faces, 0 to 255."""
    turned: float | None = None
    """Ratio of these people who were seen from the side in most observations."""
    zones: int | None = None
    """Number of staff zones; None if the configuration does not say."""
    zone_warnings: tuple[str, ...] = ()
    """Whole sentences about zones that keep visits from being counted."""
    field_of_view: float
    """Horizontal field of view of the lens, degrees."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence for the installer."""

    topic: Topic
    text: str


def advise(measures: Measures) -> Advice:
    """The most important advice; of topic ``good`` if nothing is to be improved."""
    return next(_all_advice(measures))


def distance_m(face_px: float, image_width: int, field_of_view: float) -> float:
    """Estimate the distance of a face from its size in pixels, metres.

    The pinhole model, with an average face and the lens' horizontal field of view in degrees. Faces of adults differ
    by a tenth, children's are smaller, and a wide lens distorts: the estimate is good to about a quarter.
    """
    focal_px = image_width / 2 / math.tan(math.radians(field_of_view) / 2)
    return FACE_HEIGHT_M * focal_px / face_px


def _all_advice(measures: Measures) -> Iterator[Advice]:
    """All advice that applies, most important first."""
    yield from _about_the_image(measures)
    if measures.zones is None:
        yield Advice("no_zones", "Draw the staff zones and save them, or save none: until then nobody is analysed.")
    yield from _about_light(measures)
    if not measures.people:
        yield Advice("nobody", "Nobody is in view: let somebody walk through as a visitor would.")
    yield from _about_speed_and_focus(measures)
    yield from _about_faces(measures)
    yield from (Advice("zones", warning) for warning in measures.zone_warnings)
    if measures.people >= MIN_PEOPLE and measures.unknown > MAX_RATIO * measures.people:
        text = f"{measures.unknown} of {measures.people} people would be counted as unknown: their faces are unclear."
        yield Advice("unknown", text)
    size = "" if measures.face_px is None else f": faces are {measures.face_px:.0f} px, {measures.needed_px} are needed"
    yield Advice("good", f"The camera is well placed{size}.")


def _about_the_image(measures: Measures) -> Iterator[Advice]:
    if measures.problem is not None:
        yield Advice("camera", f"The camera gives no image: {measures.problem}.")
    if measures.blind == "black":
        yield Advice("black", f"The image is black (mean grey level {measures.light:.0f}): switch on the light.")
    if measures.blind == "covered":
        yield Advice("covered", "The image shows nothing: remove what covers the lens.")


def _about_light(measures: Measures) -> Iterator[Advice]:
    level = measures.light if measures.face_light is None else measures.face_light
    if level >= MIN_FACE_LEVEL:
        return
    if measures.face_light is None:
        yield Advice(
            "dark", f"Too dark: the mean grey level is {level:.0f}, {MIN_FACE_LEVEL:.0f} are needed. Add light."
        )
    elif measures.bright >= WINDOW_MIN_BRIGHT:
        text = "The camera looks into a window or a lamp, so that faces are dark: turn it away from the light."
        yield Advice("window", text)
    else:
        text = (
            f"Too dark: faces have grey level {level:.0f}, {MIN_FACE_LEVEL:.0f} are needed. Add light from the front."
        )
        yield Advice("dark", text)


def _about_speed_and_focus(measures: Measures) -> Iterator[Advice]:
    if measures.detail < measures.blurred_max_ratio * measures.best_detail:
        numbers = f"sharpness is {measures.detail:.2f}, the best was {measures.best_detail:.2f}"
        yield Advice("blurred", f"Blurred: focus the lens, or wipe it: {numbers}.")
    needed = min(MIN_DETECTIONS_PER_S, MIN_WANTED_RATIO * measures.wanted_per_s)
    if 0 < measures.detections_per_s < needed:
        rates = f"{measures.detections_per_s:.1f} frames a second are searched, {needed:g} are needed"
        if measures.frames_per_s < needed:
            yield Advice("slow", f"The camera is too slow: {rates}. Add light, or ask it for a smaller image.")
        else:
            yield Advice("slow", f"The device is too slow: {rates}. Choose a smaller detector.")


def _about_faces(measures: Measures) -> Iterator[Advice]:
    size = measures.face_px
    if size is not None and size < measures.needed_px:
        here = distance_m(size, measures.image_width, measures.field_of_view)
        closer = here * (1 - size / measures.needed_px)
        step = max(0.5, round(2 * closer) / 2)
        yield Advice(
            "small", f"Move about {step:g} m closer: faces are {size:.0f} px, {measures.needed_px} are needed."
        )
    if measures.people >= MIN_PEOPLE and measures.turned is not None and measures.turned > MAX_RATIO:
        yield Advice("turned", "Faces are seen from the side: point the camera at people who walk towards it.")
