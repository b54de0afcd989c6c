"""A compiled model and numbered batches -> the model trained, from where it was left."""

import csv
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from tqdm import tqdm

Batch = tuple[Any, ...]
WORKERS = 2
AHEAD = 6
EVERY = 200
"""Steps between two checkpoints."""


def train(make: Callable[[], keras.Model], batches: Callable[[int], Batch], steps: int, folder: Path) -> keras.Model:
    """Train for ``steps`` steps in all, with a checkpoint (weights, optimiser, step) each `EVERY` steps.

    A batch depends on its step alone, so a run that was killed and started again ends where an unbroken one does. The
    averaged weights (where the optimiser averages) are put in place at the end and ``model.keras`` is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)  # batches are made by `WORKERS` threads already
    checkpoint = folder / "checkpoint.keras"
    model = keras.saving.load_model(checkpoint) if checkpoint.exists() else make()
    done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) if model.optimizer.built else 0
    progress = tqdm(total=steps, initial=done, desc=folder.name, unit="step", mininterval=5)
    for step, batch in _ahead(batches, done, steps):
        _reseed(model, step)
        loss = float(model.train_on_batch(*batch))  # the mean since the metrics were last reset
        progress.update()
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            progress.set_postfix(loss=f"{loss:.4f}")
            _note(folder / "losses.csv", step + 1, loss)
            model.reset_metrics()
            _save(model, checkpoint)
    progress.close()
    if model.optimizer.use_ema:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    _save(model, folder / "model.keras")
    return model


def schedule(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate: up in the first twentieth, down along a cosine to a fiftieth (Loshchilov and Hutter 2017)."""
    warm = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        peak / 50, max(1, steps - warm), alpha=0.02, warmup_target=peak, warmup_steps=warm
    )


def _ahead(batches: Callable[[int], Batch], start: int, end: int) -> Iterator[tuple[int, Batch]]:
    """Batches in order, a few of them made ahead by threads (NumPy and OpenCV let go of the lock)."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[Future[Batch]] = deque()
        for step in range(start, end):
            while len(waiting) < AHEAD and step + len(waiting) < end:
                waiting.append(pool.submit(batches, step + len(waiting)))
            yield step, waiting.popleft().result()


def _reseed(model: keras.Model, step: int) -> None:
    """Make dropout, too, depend on the step alone: Keras does not keep its generators' state in a saved model."""
    states = [each for each in model.non_trainable_variables if each.path.endswith("seed_generator_state")]
    for index, state in enumerate(states):
        state.assign(np.array([index, step]))


def _save(model: keras.Model, path: Path) -> None:
    """Write beside, then rename: a kill leaves the old file or the new one, never half of one."""
    beside = path.with_name("writing-" + path.name)
    model.save(beside)
    beside.replace(path)


def _note(path: Path, step: int, loss: float) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(["step", "loss"])
        rows.writerow([step, f"{loss:.6f}"])
