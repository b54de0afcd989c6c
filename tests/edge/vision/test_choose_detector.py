"""The choice of the detector depends on cost, limit and rate; costs are measured once per boot, and never for files."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from contract.errors import BundleError
from edge.camera_settings import File, Gstreamer, V4l2
from edge.settings import AdmitSettings, DetectSettings, Settings
from edge.vision import choose_detector as module
from edge.vision.bundle import DEFAULT_DETECTOR, SHIPPED, STILL_IMAGE_DETECTOR
from edge.vision.choose_detector import (
    CACHE_FILE,
    MAX_RUNS,
    CostCache,
    DetectionCost,
    DetectorChoice,
    Timers,
    choose_detector,
    fastest_run_s,
    largest_affordable,
    measure_costs,
    shipped_detectors,
)

SMALL, MIDDLE, LARGE = Path("small.json"), Path("middle.json"), Path("large.json")


CAMERA = V4l2(fps=15)


def settings(capture=CAMERA, **detect):
    """Settings of a device with a USB camera at 15 frames per second, unless another is given."""
    return Settings(
        site="shop-1",
        device="door",
        capture=capture,
        admit=AdmitSettings(staff_zones=()),
        detect=DetectSettings(**detect),
    )


class Clock:
    """Both clocks of a machine on which time only passes by `spend`."""

    def __init__(self):
        self.wall = self.cpu = 0.0

    def timers(self):
        return Timers(lambda: self.wall, lambda: self.cpu)

    def spend(self, cpu, waited=0.0):
        self.cpu += cpu
        self.wall += cpu + waited


@pytest.mark.parametrize(
    ("limit", "card"),
    [(1.0, LARGE), (0.5, LARGE), (0.49, MIDDLE), (0.2, MIDDLE), (0.19, SMALL), (0.1, SMALL), (0.01, SMALL)],
)
def test_largest_detector_within_the_limit_is_chosen(limit, card):
    """10, 20 and 50 ms at ten detections per second are 0.1, 0.2 and 0.5 of a core."""
    costs = [(SMALL, DetectionCost(0.01)), (MIDDLE, DetectionCost(0.02)), (LARGE, DetectionCost(0.05))]
    assert largest_affordable(costs, 10, limit).card == card


def test_reason_gives_cost_rate_limit_and_the_next_detector():
    """It uses the units of the settings, and says so if no detector fits."""
    costs = [(SMALL, DetectionCost(0.01)), (LARGE, DetectionCost(0.081, measured=False))]
    cost = "10.0 ms per detection, 0.1 of a core at 10 per second"
    assert largest_affordable(costs, 10, 0.5).reason == f"{cost} (limit 0.5); large takes about 0.81"
    assert largest_affordable(costs, 10, 0.05).reason == (
        f"{cost}, over the limit of 0.05, but no smaller detector is shipped"
    )


def test_detector_that_was_not_measured_is_not_chosen():
    """An extrapolated cost can rule a detector out, but not choose it."""
    costs = [(SMALL, DetectionCost(0.01)), (LARGE, DetectionCost(0.02, measured=False))]
    assert largest_affordable(costs, 10, 0.5).card == SMALL


def test_fastest_run_counts_after_one_to_warm_up():
    """The first run allocates memory, and later runs compete with other processes."""
    clock, times = Clock(), iter([0.9, 0.03, 0.02, 0.05, *[0.04] * MAX_RUNS])
    assert fastest_run_s(lambda: clock.spend(next(times)), 100.0, clock.timers()) == pytest.approx(0.02)


def test_waiting_for_the_cpu_is_not_a_cost():
    """Other processes run nine tenths of the time; only the CPU time of this process counts."""
    clock = Clock()
    assert fastest_run_s(lambda: clock.spend(0.02, waited=0.18), 100.0, clock.timers()) == pytest.approx(0.02)


def test_no_run_starts_after_the_deadline():
    """One run is timed in any case."""
    clock, runs = Clock(), []
    fastest_run_s(lambda: (runs.append(1), clock.spend(0.3)), 0.5, clock.timers())
    assert len(runs) == 2
    runs.clear()
    fastest_run_s(lambda: (runs.append(1), clock.spend(0.3)), 0.0, clock.timers())
    assert len(runs) == 2


def simulated(monkeypatch, ms_per_kpixel, **detect):
    """Costs of the shipped detectors on a simulated machine, and the time that the measurement took, seconds."""
    clock = Clock()
    monkeypatch.setattr(
        module, "_detection", lambda candidate, known: lambda: clock.spend(candidate.area * ms_per_kpixel / 1e6)
    )
    empty = CostCache(boot="a", threads=1, shape=(480, 640))
    return measure_costs(shipped_detectors(), empty, 10, DetectSettings(**detect), clock.timers()), clock.wall


@pytest.mark.parametrize("ms_per_kpixel", [0.01, 0.1, 0.3, 0.8, 2.0, 5.0])
def test_measuring_takes_at_most_a_second(monkeypatch, ms_per_kpixel):
    """On any machine, up to a board on which a detection takes 0.4 s; the smallest detector is measured in any case."""
    costs, took = simulated(monkeypatch, ms_per_kpixel)
    assert took <= 1.0
    assert costs[0][1].measured
    areas = [candidate.area for candidate, _ in costs]
    assert areas == sorted(areas)


def test_detector_that_cannot_fit_is_not_measured(monkeypatch):
    """The smallest takes 0.77 of a core, so the next cannot fit 0.1; its cost is extrapolated by its input size."""
    costs, _ = simulated(monkeypatch, 1.0, max_core_fraction=0.1)
    assert [cost.measured for _, cost in costs] == [True, False]
    (small, cost), (larger, inferred) = costs
    assert inferred.seconds == pytest.approx(cost.seconds * larger.area / small.area)


def test_every_shipped_detector_is_a_candidate():
    """Candidates are found by their cards: the default is among them, the classifier is not."""
    names = {candidate.path for candidate in shipped_detectors()}
    assert {DEFAULT_DETECTOR, STILL_IMAGE_DETECTOR} <= set(names)
    assert names == {path for path in SHIPPED.glob("*.json") if '"strides"' in path.read_text()}


def test_shipped_detectors_are_measured_once_per_boot(tmp_path):
    """The second start reads the cache and runs no model, as its stopped clocks prove."""
    first = choose_detector(settings(max_core_fraction=1000.0), tmp_path)
    assert first.card == shipped_detectors()[-1].path
    kept = json.loads((tmp_path / CACHE_FILE).read_bytes())
    assert set(kept["seconds"]) == {candidate.digest for candidate in shipped_detectors()}
    assert all(0 < seconds < 1 for seconds in kept["seconds"].values())
    frozen = Timers(lambda: 0.0, lambda: 0.0)
    assert choose_detector(settings(max_core_fraction=1000.0), tmp_path, frozen) == first
    tiny = choose_detector(settings(max_core_fraction=1e-6), tmp_path, frozen)
    assert tiny.card == shipped_detectors()[0].path
    assert "no smaller detector" in tiny.reason


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"boot": 1}', b"\xff\xfe", "other boot", "other threads", "other shape"],
    ids=["empty", "cut off", "a list", "wrong type", "not text", "other boot", "other threads", "other shape"],
)
def test_invalid_cache_is_replaced(tmp_path, content):
    """After a power cut, another boot or other settings the detectors are measured again."""
    path = tmp_path / CACHE_FILE
    choose_detector(settings(max_core_fraction=1000.0), tmp_path)
    good = msgspec.json.decode(path.read_bytes(), type=CostCache)
    wrong = dict.fromkeys(good.seconds, 1e9)
    others = {
        "other boot": {"boot": "0"},
        "other threads": {"threads": 4},
        "other shape": {"shape": (720, 1280)},
    }
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(good, seconds=wrong, **others[content])))
    assert choose_detector(settings(max_core_fraction=1000.0), tmp_path).card == shipped_detectors()[-1].path
    again = msgspec.json.decode(path.read_bytes(), type=CostCache)
    assert msgspec.structs.replace(again, seconds={}) == msgspec.structs.replace(good, seconds={})
    assert all(seconds < 1 for seconds in again.seconds.values())


def test_cache_folder_that_cannot_be_written_is_ignored(tmp_path):
    """The choice is made in any case, and made again at the next start."""
    assert choose_detector(settings(max_core_fraction=1000.0), tmp_path / "none").card == shipped_detectors()[-1].path


def test_file_is_always_replayed_with_the_default(tmp_path):
    """The choice does not depend on what the device can afford, and nothing is measured."""
    choice = choose_detector(settings(File(path="clip.mp4"), max_core_fraction=1e-6), tmp_path)
    assert choice == DetectorChoice(DEFAULT_DETECTOR, "the default, as for every replayed file")
    assert not list(tmp_path.iterdir())


def test_configured_detector_is_used(tmp_path):
    """It is given by name or path and is not measured; a name that is not shipped is an error."""
    name = shipped_detectors()[0].path.stem
    assert choose_detector(settings(bundle=name, max_core_fraction=1e-6), tmp_path).card == shipped_detectors()[0].path
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
def test_cost_is_based_on_the_expected_rate_of_detections(tmp_path, capture, detect, rate):
    """The rate is the camera's or ``detect.max_fps``; that of a GStreamer pipeline is not known."""
    assert f"of a core at {rate} per second" in choose_detector(settings(capture, **detect), tmp_path).reason


def test_damaged_detector_is_skipped(tmp_path, monkeypatch):
    """A device with a damaged file chooses another detector; without any it reports an error."""
    shutil.copytree(SHIPPED, tmp_path / "models")
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "models")
    largest, *others = reversed(shipped_detectors())
    largest.path.with_suffix(".tflite").write_bytes(b"no model")
    assert choose_detector(settings(max_core_fraction=1000.0), None).card == others[0].path
    for each in others:
        each.path.with_suffix(".tflite").unlink()
    with pytest.raises(BundleError, match="none of the shipped detectors can run on this machine"):
        choose_detector(settings(), None)
