"""One sentence of advice from what was measured, the most important first."""

import dataclasses

import pytest

from edge.aiming.advice import FACE_HEIGHT_M, Measures, advise, distance_m

GOOD = Measures(
    image_width=640,
    light=110.0,
    detail=0.25,
    best_detail=0.26,
    blurred_max_ratio=0.4,
    frames_per_s=15.0,
    detections_per_s=10.0,
    wanted_per_s=10.0,
    people=6,
    unknown=1,
    face_px=41.0,
    needed_px=24,
    face_light=90.0,
    turned=0.1,
    zones=1,
    field_of_view=66.0,
)
EDGE = "Zone 1 covers 70 % of the left edge: people who walk in or out there are not counted."
WORST_FIRST = [
    (
        {"problem": "no_camera; the terminal says why"},
        "The camera gives no image: no_camera; the terminal says why.",
    ),
    ({"blind": "black", "light": 3.0}, "The image is black (mean grey level 3): switch on the light."),
    ({"blind": "covered"}, "The image shows nothing: remove what covers the lens."),
    ({"zones": None}, "Draw the staff zones and save them, or save none: until then nobody is analysed."),
    ({"face_light": 14.0}, "Too dark: faces have grey level 14, 24 are needed. Add light from the front."),
    ({"people": 0, "unknown": 0}, "Nobody is in view: let somebody walk through as a visitor would."),
    (
        {"detail": 0.1},
        "Blurred: focus the lens, or wipe it: sharpness is 0.10, the best was 0.26.",
    ),
    (
        {"detections_per_s": 3.2},
        "The device is too slow: 3.2 frames a second are searched, 5 are needed. Choose a smaller detector.",
    ),
    ({"face_px": 16.0}, "Move about 2 m closer: faces are 16 px, 24 are needed."),
    ({"turned": 0.8}, "Faces are seen from the side: point the camera at people who walk towards it."),
    ({"zone_warnings": (EDGE,)}, EDGE),
    ({"unknown": 4}, "4 of 6 people would be counted as unknown: their faces are unclear."),
    ({}, "The camera is well placed: faces are 41 px, 24 are needed."),
]


@pytest.mark.parametrize(("changes", "sentence"), WORST_FIRST)
def test_each_fault_has_its_sentence(changes, sentence):
    """A view with one fault gives the sentence about it."""
    assert advise(dataclasses.replace(GOOD, **changes)).text == sentence


@pytest.mark.parametrize("first", range(len(WORST_FIRST)))
def test_the_most_important_comes_first(first):
    """With this fault and all less important ones, the sentence is about this one."""
    changes = {}
    for each, _ in reversed(WORST_FIRST[first:]):
        changes |= each
    assert advise(dataclasses.replace(GOOD, **changes)).text == WORST_FIRST[first][1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"people": 0, "face_light": None, "light": 20.0},
            "Too dark: the mean grey level is 20, 24 are needed. Add light.",
        ),
        (
            {"face_light": 20.0, "bright": 0.3},
            "The camera looks into a window or a lamp, so that faces are dark: turn it away from the light.",
        ),
        ({"face_light": 100.0, "bright": 0.3}, "The camera is well placed: faces are 41 px, 24 are needed."),
        (
            {"detections_per_s": 3.2, "frames_per_s": 3.2},
            "The camera is too slow: 3.2 frames a second are searched, 5 are needed."
            " Add light, or ask it for a smaller image.",
        ),
        ({"detections_per_s": 1.9, "wanted_per_s": 2.0}, "The camera is well placed: faces are 41 px, 24 are needed."),
        ({"face_px": 23.0}, "Move about 0.5 m closer: faces are 23 px, 24 are needed."),
        ({"people": 2, "turned": 1.0, "unknown": 2}, "The camera is well placed: faces are 41 px, 24 are needed."),
    ],
)
def test_causes_are_told_apart(changes, sentence):
    """A window is told from darkness, a slow camera from a slow device; few people decide nothing."""
    assert advise(dataclasses.replace(GOOD, **changes)).text == sentence


@pytest.mark.parametrize(("degrees", "metres"), [(90.0, 320 * FACE_HEIGHT_M / 24), (53.13, 640 * FACE_HEIGHT_M / 24)])
def test_distance_follows_the_pinhole_model(degrees, metres):
    """At 90 degrees the focal length is half the image's width, at 53.13 degrees the whole."""
    assert distance_m(24, 640, degrees) == pytest.approx(metres, rel=1e-3)
