"""The training loop: resumable at checkpoints, with averaged weights and validation metrics each epoch."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from tqdm import tqdm

from training.fit import training_log
from training.fit.prefetch import Batch, BatchPrefetcher
from training.fit.recalibrate import BATCHES, recalibrate_batch_norm
from training.fit.training_log import TrainingLog
from training.networks.architectures import load_model

EPOCH = 200
"""Steps between two checkpoints, and between two measurements of validation metrics."""
SNAPSHOT_STEPS = 1200
"""Steps between two snapshots of the averaged weights; a mean of some may be better than the last."""
BEST = "best.keras"
"""File with the best model so far, if training stops early."""
SHORT_RUN = 50
"""Steps up to which the training step is not compiled with XLA."""
FINISHED = 4
"""Finished batches that wait for the model."""


@dataclass(frozen=True, slots=True)
class Validation:
    """How a model is measured on the validation set each epoch."""

    metrics: Callable[[keras.Model], Mapping[str, float]]
    """Metrics by name; the first is the one that ``patience`` watches, and higher is better."""
    patience: int = 0
    """Epochs without improvement after which training stops and the best model is kept; 0: never."""
    averaged: bool = True
    """Whether averaged weights are measured. That needs `recalibrate_batch_norm`, which is slow for large images."""


def train(
    make: Callable[[], keras.Model],
    batches: BatchPrefetcher,
    steps: int,
    folder: Path,
    validation: Validation | None = None,
    finish: Callable[[Batch], Batch] = tuple,
) -> keras.Model:
    """Train a compiled model up to ``steps`` steps in all and return it with averaged weights.

    ``make`` returns a new model, which is used if ``folder`` holds no checkpoint. ``finish`` completes each batch in a
    thread beside the model, for example with the predictions of teachers. Batches depend on their step alone, so a run
    that is killed and started again ends with the same weights.

    Files in ``folder``: ``checkpoint.keras`` each epoch (weights, optimiser, step), ``training_log.csv``, snapshots of
    the averaged weights as ``snapshot-STEP.keras``, and ``model.keras`` at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, best = folder / "checkpoint.keras", folder / BEST
    model = keras.saving.load_model(checkpoint) if checkpoint.exists() else make()
    done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) if model.optimizer.built else 0
    log = TrainingLog(folder / training_log.NAME, done)
    patience = validation.patience if validation else 0
    progress = tqdm(total=steps, initial=done, desc=folder.name, unit="step", mininterval=5)
    for step, batch in enumerate(_finished(batches.between(done, steps), finish), done):
        if patience and log.epochs_since_best >= patience:
            break
        _reseed(model, step)
        loss = float(model.train_on_batch(*batch))  # the mean since the metrics were last reset
        progress.update()
        if (step + 1) % EPOCH == 0 or step + 1 == steps:
            metrics = _validate(model, batches, validation, log, steps) if validation else {}
            log.append(step + 1, loss, metrics)
            named = {training_log.METRIC + name: value for name, value in metrics.items()}
            progress.set_postfix({"loss": f"{loss:.4f}"} | {name: f"{value:.4f}" for name, value in named.items()})
            model.reset_metrics()
            save(model, checkpoint)
            if model.optimizer.use_ema and (step + 1) % SNAPSHOT_STEPS == 0:
                _save_snapshot(model, folder / f"snapshot-{step + 1:05}.keras")
    progress.close()
    if patience and best.exists():
        model = load_model(best)
    elif model.optimizer.built and model.optimizer.use_ema:  # built by its first step
        _average(model, batches, steps)
    save(model, folder / "model.keras")
    return model


def _finished(batches: Iterator[Batch], finish: Callable[[Batch], Batch]) -> Iterator[Batch]:
    """Apply ``finish`` to each batch, a few of them ahead."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Batch]] = deque()
        for batch in batches:
            waiting.append(thread.submit(finish, batch))
            if len(waiting) > FINISHED:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _validate(
    model: keras.Model, batches: Callable[[int], Batch], validation: Validation, log: TrainingLog, steps: int
) -> Mapping[str, float]:
    """Measure the model, and save it as ``best.keras`` if it is; the weights in training stay as they are."""
    with _restoring(model):
        if validation.averaged and model.optimizer.use_ema:
            _average(model, batches, steps)
        metrics = validation.metrics(model)
        if validation.patience and next(iter(metrics.values())) > log.best:
            save(model, log.folder / BEST)
    return metrics


def _save_snapshot(model: keras.Model, path: Path) -> None:
    with _restoring(model):
        model.optimizer.finalize_variable_values(model.trainable_variables)
        save(model, path)


@contextmanager
def _restoring(model: keras.Model) -> Iterator[None]:
    """Restore the model's variables at the end."""
    before = [keras.ops.copy(each) for each in model.variables]
    yield
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)


def _average(model: keras.Model, batches: Callable[[int], Batch], steps: int) -> None:
    """Replace the weights by their moving average, and recalibrate batch normalisation for them.

    A run of few ``steps`` is recalibrated on no more batches than it was trained on.
    """
    model.optimizer.finalize_variable_values(model.trainable_variables)
    recalibrate_batch_norm(model, batches, min(steps, BATCHES))


def build_with_precision(precision: str, make: Callable[[], keras.Model]) -> keras.Model:
    """Call ``make`` with a Keras dtype policy, which the layers of its model keep."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(before)


def schedule(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up in the first twentieth, then cosine decay to a fiftieth (Loshchilov and Hutter 2017)."""
    warm = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        peak / 50, max(1, steps - warm), alpha=0.02, warmup_target=peak, warmup_steps=warm
    )


def jit_compile(steps: int) -> Literal["auto", False]:
    """Whether Keras should compile the training step with XLA; in a short run compiling takes longer than training."""
    return "auto" if steps > SHORT_RUN else False


def _reseed(model: keras.Model, step: int) -> None:
    """Make dropout depend on the step alone: Keras does not save the state of its random generators."""
    states = [each for each in model.non_trainable_variables if each.path.endswith("seed_generator_state")]
    for index, state in enumerate(states):
        state.assign(np.array([index, step]))


def save(model: keras.Model, path: Path) -> None:
    """Save a model under a temporary name, then rename it: a kill leaves the old file or the new one."""
    partial = path.with_name("writing-" + path.name)
    model.save(partial)
    partial.replace(path)
