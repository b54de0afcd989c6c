"""The training loop: early stopping, snapshots, and batches that are made ahead."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.drawings import ROOT
from tests.support.waiting import wait_until

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed (make train-setup)")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed (make train-setup)")


def small_model():
    """Three inputs, one output, averaged weights."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.AdamW(0.1, use_ema=True), "mse")
    return model


def small_batch(step):
    """Four rows of noise."""
    rng = np.random.default_rng(step)
    return rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(4, 1)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_training_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path, monkeypatch):
    """With metrics of 1, 3, 2, 2 and a patience of two, the fourth epoch ends the run and the second is kept."""
    from training.fit import loop

    monkeypatch.setattr(loop, "EPOCH", 2)
    values, measured = iter([1.0, 3.0, 2.0, 2.0]), []

    def metrics(model):
        measured.append(model.get_weights())
        return {"accuracy": next(values), "loss": 0.5}

    with loop.BatchPrefetcher(small_batch) as batches:
        model = loop.train(small_model, batches, 100, tmp_path, loop.Validation(metrics, 2))
    assert len(measured) == 4
    for kept, best in zip(model.get_weights(), measured[1], strict=True):
        np.testing.assert_array_equal(kept, best)
    log = [line.split(",") for line in (tmp_path / "training_log.csv").read_text().splitlines()]
    assert [row[2] for row in log] == ["validation_accuracy", "1.000000", "3.000000", "2.000000", "2.000000"]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_validation_metrics_do_not_change_the_run(tmp_path, monkeypatch):
    """A run without patience ends with the same weights whether it is validated or not."""
    from training.fit import loop

    monkeypatch.setattr(loop, "EPOCH", 2)
    runs = (
        None,
        loop.Validation(lambda model: {"loss": 1.0}),
        loop.Validation(lambda model: {"loss": 1.0}, averaged=False),
    )
    with loop.BatchPrefetcher(small_batch) as batches:
        ends = [
            loop.train(small_model, batches, 6, tmp_path / str(at), validation).get_weights()[0].tolist()
            for at, validation in enumerate(runs)
        ]
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's own, with NumPy 2
def test_snapshots_are_averaged_weights_along_the_way(tmp_path, monkeypatch):
    """The last snapshot equals the end of the run, which snapshots do not change. A run of 0 steps is its start."""
    from training.fit import loop
    from training.networks.architectures import load_model

    monkeypatch.setattr(loop, "EPOCH", 2)
    monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 4)
    with loop.BatchPrefetcher(small_batch) as batches:
        run = loop.train(small_model, batches, 8, tmp_path)
        monkeypatch.setattr(loop, "SNAPSHOT_STEPS", 999)
        without, none = (loop.train(small_model, batches, steps, tmp_path / str(steps)) for steps in (8, 0))
    assert sorted(path.name for path in tmp_path.glob("*/snap*")) == []
    half, whole = (load_model(tmp_path / f"snapshot-0000{step}.keras") for step in (4, 8))
    first = [model.get_weights()[0].tolist() for model in (run, without, whole)]
    assert first[0] == first[1] == first[2] != half.get_weights()[0].tolist()
    assert none.get_weights()[0].tolist() == small_model().get_weights()[0].tolist()


def test_batches_come_in_order_and_their_workers_end_with_a_killed_run(tmp_path):
    """A batch is the same from whichever worker. No worker survives a kill of its parent."""
    from training.fit.prefetch import BatchPrefetcher

    with BatchPrefetcher(lambda number: (number, number**2)) as batches:
        assert list(batches.between(3, 40)) == [(number, number**2) for number in range(3, 40)]
        assert batches(5) == (5, 25)
    script = (
        "import os, time; from training.fit.prefetch import BatchPrefetcher\n"
        "with BatchPrefetcher(lambda number: (os.getpid(),)) as batches:\n"
        "    print(*{pid for (pid,) in batches.between(0, 200)}, flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        workers = [int(word) for word in run.stdout.readline().split()]
        assert workers and all(Path(f"/proc/{pid}").exists() for pid in workers)
        run.kill()
    wait_until(lambda: not any(_alive(pid) for pid in workers), "the workers are gone")


def _alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
