"""Which shipped detector runs: by cost, limit and rate; measured once for each boot; fixed for files."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from contract.errors import BundleError
from edge.settings import AdmitSettings, DetectSettings, File, Gstreamer, Settings, V4l2
from edge.vision import choose_detector as module
from edge.vision.bundle import DEFAULT_DETECTOR, STILL_IMAGE_DETECTOR, SHIPPED
from edge.vision.choose_detector import (
    CACHE,
    RUNS,
    Choice,
    Clocks,
    Cost,
    Costs,
    choose,
    choose_detector,
    costs_of,
    fastest,
    shipped,
)

SMALL, MIDDLE, LARGE = Path("small.json"), Path("middle.json"), Path("large.json")


CAMERA = V4l2(fps=15)


def settings(capture=CAMERA, **detect):
    """Of a device with a USB camera at 15 frames a second, unless another is given."""
    return Settings(
        site="shop-1",
        device="door",
        capture=capture,
        admit=AdmitSettings(staff_zones=()),
        detect=DetectSettings(**detect),
    )


class Clock:
    """Both clocks of a machine on which nothing takes time but what says so."""

    def __init__(self):
        self.wall = self.cpu = 0.0

    def clocks(self):
        return Clocks(lambda: self.wall, lambda: self.cpu)

    def spend(self, cpu, waited=0.0):
        self.cpu += cpu
        self.wall += cpu + waited


@pytest.mark.parametrize(
    ("limit", "card"),
    [(1.0, LARGE), (0.5, LARGE), (0.49, MIDDLE), (0.2, MIDDLE), (0.19, SMALL), (0.1, SMALL), (0.01, SMALL)],
)
def test_the_largest_within_the_limit_is_taken(limit, card):
    """10, 20 and 50 ms at ten detections a second are 0.1, 0.2 and 0.5 of a core."""
    costs = [(SMALL, Cost(0.01)), (MIDDLE, Cost(0.02)), (LARGE, Cost(0.05))]
    assert choose(costs, 10, limit).card == card


def test_the_reason_says_cost_rate_limit_and_what_the_next_would_take():
    """In the units of the settings; where none fits, that too."""
    costs = [(SMALL, Cost(0.01)), (LARGE, Cost(0.081, measured=False))]
    assert choose(costs, 10, 0.5).reason == (
        "10.0 ms a detection, 0.1 of a core at 10 a second (limit 0.5); large takes about 0.81"
    )
    assert choose(costs, 10, 0.05).reason == (
        "10.0 ms a detection, 0.1 of a core at 10 a second, over the limit of 0.05, but no smaller one is shipped"
    )


def test_what_was_not_measured_is_not_taken():
    """An inferred cost is good enough to say no, not to say yes."""
    assert choose([(SMALL, Cost(0.01)), (LARGE, Cost(0.02, measured=False))], 10, 0.5).card == SMALL


def test_the_fastest_run_counts_after_one_to_warm_up():
    """The first is slow because memory is laid out, the others because other processes run beside."""
    clock, times = Clock(), iter([0.9, 0.03, 0.02, 0.05, *[0.04] * RUNS])
    assert fastest(lambda: clock.spend(next(times)), 100.0, clock.clocks()) == pytest.approx(0.02)


def test_waiting_for_the_processor_is_no_cost():
    """Nine tenths of the time other processes run: what counts is the time of this one."""
    clock = Clock()
    assert fastest(lambda: clock.spend(0.02, waited=0.18), 100.0, clock.clocks()) == pytest.approx(0.02)


def test_no_run_begins_when_the_time_is_over():
    """But one is always measured."""
    clock, runs = Clock(), []
    fastest(lambda: (runs.append(1), clock.spend(0.3)), 0.5, clock.clocks())
    assert len(runs) == 2
    runs.clear()
    fastest(lambda: (runs.append(1), clock.spend(0.3)), 0.0, clock.clocks())
    assert len(runs) == 2


def simulated(monkeypatch, ms_per_kpixel, **detect):
    """Costs of the shipped detectors on a machine that takes so long for a thousand pixels of input; how long the
    measurement took, seconds."""
    clock = Clock()
    monkeypatch.setattr(
        module, "_detection", lambda candidate, known: lambda: clock.spend(candidate.area * ms_per_kpixel / 1e6)
    )
    empty = Costs(boot="a", threads=1, shape=(480, 640))
    return costs_of(shipped(), empty, 10, DetectSettings(**detect), clock.clocks()), clock.wall


@pytest.mark.parametrize("ms_per_kpixel", [0.01, 0.1, 0.3, 0.8, 2.0, 5.0])
def test_measuring_takes_a_second_at_most(monkeypatch, ms_per_kpixel):
    """From a server to a board on which one detection takes 0.4 s; the smallest is measured in any case."""
    costs, took = simulated(monkeypatch, ms_per_kpixel)
    assert took <= 1.0
    assert costs[0][1].measured
    areas = [candidate.area for candidate, _ in costs]
    assert areas == sorted(areas)


def test_a_detector_without_a_chance_is_not_measured(monkeypatch):
    """The smallest takes 0.77 of a core: the next cannot be within 0.1, and how much it takes is said by its size."""
    costs, _ = simulated(monkeypatch, 1.0, max_core_fraction=0.1)
    assert [cost.measured for _, cost in costs] == [True, False]
    (small, cost), (larger, inferred) = costs
    assert inferred.seconds == pytest.approx(cost.seconds * larger.area / small.area)


def test_every_shipped_detector_is_a_candidate():
    """By the cards, whatever their names; the default among them, the classifier not."""
    names = {candidate.path for candidate in shipped()}
    assert {DEFAULT_DETECTOR, STILL_IMAGE_DETECTOR} <= set(names)
    assert names == {path for path in SHIPPED.glob("*.json") if '"strides"' in path.read_text()}


def test_the_real_detectors_are_measured_once_for_each_boot(tmp_path):
    """The second start reads the file: its clocks do not go on, and no model is run."""
    first = choose_detector(settings(max_core_fraction=1000.0), tmp_path)
    assert first.card == shipped()[-1].path
    kept = json.loads((tmp_path / CACHE).read_bytes())
    assert set(kept["seconds"]) == {candidate.digest for candidate in shipped()}
    assert all(0 < seconds < 1 for seconds in kept["seconds"].values())
    frozen = Clocks(lambda: 0.0, lambda: 0.0)
    assert choose_detector(settings(max_core_fraction=1000.0), tmp_path, frozen) == first
    tiny = choose_detector(settings(max_core_fraction=1e-6), tmp_path, frozen)
    assert tiny.card == shipped()[0].path
    assert "no smaller one" in tiny.reason


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"{", b"[]", b'{"boot": 1}', b"\xff\xfe", "other boot", "other threads", "other shape"],
    ids=["empty", "cut off", "a list", "wrong type", "no text", "other boot", "other threads", "other shape"],
)
def test_a_cache_that_does_not_fit_is_measured_again(tmp_path, spoilt):
    """A power cut, another boot, other settings: measured costs take the place of what stood there."""
    path = tmp_path / CACHE
    choose_detector(settings(max_core_fraction=1000.0), tmp_path)
    good = msgspec.json.decode(path.read_bytes(), type=Costs)
    wrong = dict.fromkeys(good.seconds, 1e9)
    others = {
        "other boot": {"boot": "0"},
        "other threads": {"threads": 4},
        "other shape": {"shape": (720, 1280)},
    }
    if isinstance(spoilt, bytes):
        path.write_bytes(spoilt)
    else:
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(good, seconds=wrong, **others[spoilt])))
    assert choose_detector(settings(max_core_fraction=1000.0), tmp_path).card == shipped()[-1].path
    again = msgspec.json.decode(path.read_bytes(), type=Costs)
    assert msgspec.structs.replace(again, seconds={}) == msgspec.structs.replace(good, seconds={})
    assert all(seconds < 1 for seconds in again.seconds.values())


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    """The choice is made all the same, and made again at the next start."""
    assert choose_detector(settings(max_core_fraction=1000.0), tmp_path / "none").card == shipped()[-1].path


def test_a_file_is_always_replayed_with_the_default(tmp_path):
    """Whatever the device can afford, and nothing is measured."""
    choice = choose_detector(settings(File(path="clip.mp4"), max_core_fraction=1e-6), tmp_path)
    assert choice == Choice(DEFAULT_DETECTOR, "the same for every file that is replayed")
    assert not list(tmp_path.iterdir())


def test_a_configured_detector_is_not_questioned(tmp_path):
    """By name or by path; a name that is not shipped is an error."""
    name = shipped()[0].path.stem
    assert choose_detector(settings(bundle=name, max_core_fraction=1e-6), tmp_path).card == shipped()[0].path
    assert choose_detector(settings(bundle="my/face.json"), tmp_path).card == Path("my/face.json")
    with pytest.raises(BundleError, match="no-such: no bundle of that name is shipped"):
        choose_detector(settings(bundle="no-such"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("capture", "detect", "rate"),
    [
        (V4l2(fps=15), {}, 10),
        (V4l2(fps=5), {}, 5),
        (V4l2(fps=30), {"max_fps": 20.0}, 20),
        (V4l2(fps=30), {"every": 6}, 5),
        (Gstreamer(pipeline="appsink", fps=5), {"max_fps": 8.0}, 8),
    ],
)
def test_cost_is_that_of_the_rate_at_which_it_will_run(tmp_path, capture, detect, rate):
    """The camera's or ``detect.max_fps``; a GStreamer pipeline's own rate is not known."""
    assert f"of a core at {rate} a second" in choose_detector(settings(capture, **detect), tmp_path).reason


def test_a_damaged_detector_is_left_out(tmp_path, monkeypatch):
    """A device whose card lost a block counts with another detector; with none it says so."""
    shutil.copytree(SHIPPED, tmp_path / "models")
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "models")
    largest, *others = reversed(shipped())
    largest.path.with_suffix(".tflite").write_bytes(b"no model")
    assert choose_detector(settings(max_core_fraction=1000.0), None).card == others[0].path
    for each in others:
        each.path.with_suffix(".tflite").unlink()
    with pytest.raises(BundleError, match="none of the shipped detectors runs here"):
        choose_detector(settings(), None)
