"""A compiled model and numbered batches -> the model trained, from where it was left."""

import csv
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

import cv2
import keras
import numpy as np
from tqdm import tqdm

from training.networks.architectures import restored

Batch = tuple[Any, ...]
WORKERS = len(os.sched_getaffinity(0))
AHEAD = 3 * WORKERS
FINISHED = 4
"""Batches that wait finished."""
EVERY = 200
"""Steps between two checkpoints."""
SNAPSHOT = 1200
"""Steps between two averages that are left; a mean of some may be better than the last."""
SETTLING = 40
"""Batches from which normalisation learns what averaged weights make of pictures."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Says how good a model is (higher is better) on data that it is not trained on; after ``patience`` verdicts, one
    every `EVERY` steps, without a better one training stops, and the best model is the one that is kept.
    """

    verdict: Callable[[keras.Model], float]
    patience: int


def train(
    make: Callable[[], keras.Model],
    batches: "Ahead",
    steps: int,
    folder: Path,
    judge: Judge | None = None,
    finish: Callable[[Batch], Batch] = tuple,
) -> keras.Model:
    """Train for ``steps`` steps in all, with a checkpoint (weights, optimiser, step) each `EVERY` steps; ``finish``
    makes of what ``batches`` gives what the model is given, in a thread beside the model: teachers answer there.

    A batch depends on its step alone, so a run that was killed and started again ends where an unbroken one does. The
    averaged weights (where the optimiser averages) are what is judged and what ``model.keras`` holds at the end; those
    of every `SNAPSHOT` steps stay as ``snapshot-STEP.keras``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, best = folder / "checkpoint.keras", folder / "best.keras"
    model = keras.saving.load_model(checkpoint) if checkpoint.exists() else make()
    done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) if model.optimizer.built else 0
    course = Course(folder / "course.csv", done)
    progress = tqdm(total=steps, initial=done, desc=folder.name, unit="step", mininterval=5)
    for step, batch in enumerate(_finished(batches.between(done, steps), finish), done):
        if judge and course.since_best() >= judge.patience:
            break
        _reseed(model, step)
        loss = float(model.train_on_batch(*batch))  # the mean since the metrics were last reset
        progress.update()
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            value = _judged(model, batches, judge, course, best) if judge else None
            course.note(step + 1, loss, value)
            progress.set_postfix(loss=f"{loss:.4f}", **({"judged": f"{value:.4f}"} if value is not None else {}))
            model.reset_metrics()
            save(model, checkpoint)
            if model.optimizer.use_ema and (step + 1) % SNAPSHOT == 0:
                with _undone(model):
                    model.optimizer.finalize_variable_values(model.trainable_variables)
                    save(model, folder / f"snapshot-{step + 1:05}.keras")
    progress.close()
    if judge and best.exists():
        model = restored(best)
    elif model.optimizer.built and model.optimizer.use_ema:  # built: by its first step
        _average(model, batches)
    save(model, folder / "model.keras")
    return model


def _finished(batches: Iterator[Batch], finish: Callable[[Batch], Batch]) -> Iterator[Batch]:
    """What ``finish`` makes of each batch, a few of them ahead."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Batch]] = deque()
        for batch in batches:
            waiting.append(thread.submit(finish, batch))
            if len(waiting) > FINISHED:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class Course:
    """How a run went: a CSV of step, loss and, where it is judged, how good the model is; what a killed run wrote
    beyond its checkpoint is taken back.
    """

    def __init__(self, path: Path, done: int) -> None:
        self._path, self._rows = path, []
        if path.exists():
            with path.open(newline="") as file:
                self._rows = [row for row in csv.DictReader(file) if int(row["step"]) <= done]

    def note(self, step: int, loss: float, value: float | None) -> None:
        """One more row, the file written anew and whole."""
        self._rows.append({"step": str(step), "loss": f"{loss:.6f}", "judged": "" if value is None else f"{value:.6f}"})
        beside = self._path.with_suffix(".writing")
        with beside.open("w", newline="") as file:
            rows = csv.DictWriter(file, ["step", "loss", "judged"])
            rows.writeheader()
            rows.writerows(self._rows)
        beside.replace(self._path)

    def best(self) -> float:
        """The best verdict so far."""
        return max((float(row["judged"]) for row in self._rows if row["judged"]), default=-math.inf)

    def since_best(self) -> int:
        """How many verdicts ago the best one was."""
        verdicts = [float(row["judged"]) for row in self._rows if row["judged"]]
        return len(verdicts) - 1 - verdicts.index(max(verdicts)) if verdicts else 0


def _judged(model: keras.Model, batches: Callable[[int], Batch], judge: Judge, course: Course, best: Path) -> float:
    """The verdict on the averaged weights, which are kept in ``best`` if it is the best so far; the weights that are
    being trained stay as they are.
    """
    with _undone(model):
        if model.optimizer.use_ema:
            _average(model, batches)
        value = judge.verdict(model)
        if value > course.best():
            save(model, best)
    return value


@contextmanager
def _undone(model: keras.Model) -> Iterator[None]:
    """Whatever becomes of the model's variables in between is undone."""
    raw = [keras.ops.copy(each) for each in model.variables]
    yield
    for variable, before in zip(model.variables, raw, strict=True):
        variable.assign(before)


def _average(model: keras.Model, batches: Callable[[int], Batch]) -> None:
    """Put the averaged weights in the place of the trained ones, and settle."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    settle(model, batches)


def settle(model: keras.Model, batches: Callable[[int], Batch]) -> None:
    """Put into each batch normalisation the mean and variance of what it meets with the model's weights (Izmailov et
    al. 2018): those it followed while training are of other weights than an average.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    if not norms:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    forward, met = _forward(model), [each for norm in norms for each in (norm.moving_mean, norm.moving_variance)]
    total = [np.zeros(each.shape, np.float32) for each in met]
    for number in range(SETTLING):
        forward(np.asarray(batches(number)[0], np.float32))
        total = [all_of_it + np.asarray(each.value) for all_of_it, each in zip(total, met, strict=True)]
    for variable, all_of_it in zip(met, total, strict=True):
        variable.assign(all_of_it / SETTLING)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def _forward(model: keras.Model) -> Callable[[Any], None]:
    """The model as in training, its statistics following; with JAX, which runs single operators slowly, compiled."""
    if keras.backend.backend() != "jax":
        return lambda pixels: model(pixels, training=True)
    import jax  # noqa: PLC0415

    @jax.jit
    def stepped(trained: Any, others: Any, pixels: Any) -> Any:
        return model.stateless_call(trained, others, pixels, training=True)[1]

    def forward(pixels: Any) -> None:
        trained, others = (
            [each.value for each in part] for part in (model.trainable_variables, model.non_trainable_variables)
        )
        for variable, value in zip(model.non_trainable_variables, stepped(trained, others, pixels), strict=True):
            variable.assign(value)

    return forward


def build_with_precision(precision: str, make: Callable[[], keras.Model]) -> keras.Model:
    """The network that ``make`` makes, its layers computing in ``precision``; a saved model keeps that."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return make()
    finally:
        keras.config.set_dtype_policy(before)


def schedule(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Learning rate: up in the first twentieth, down along a cosine to a fiftieth (Loshchilov and Hutter 2017)."""
    warm = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        peak / 50, max(1, steps - warm), alpha=0.02, warmup_target=peak, warmup_steps=warm
    )


class BatchPrefetcher:
    """Numbered batches, a few of them made ahead, in processes of their own: by threads alone Python's lock would leave
    all but one or two processors without work, and an accelerator waiting.

    Best made before any model runs: a runtime's threads do not outlive the fork, and JAX warns of that.
    """

    _makers: ClassVar[dict[int, Callable[[int], Batch]]] = {}
    """What the processes inherit as they are forked, rather than by a copy for each."""

    def __init__(self, batches: Callable[[int], Batch]) -> None:
        self._batches = self._makers[id(self)] = batches
        cv2.setNumThreads(1)
        self._pool = ProcessPoolExecutor(WORKERS, get_context("fork"), _end_with, (os.getpid(),))
        self._pool.submit(int).result()  # all processes are forked here

    def __call__(self, number: int) -> Batch:
        """One batch, made here and now."""
        return self._batches(number)

    def between(self, start: int, end: int) -> Iterator[Batch]:
        """The batches from number ``start`` to before ``end``, in order."""
        waiting: deque[Future[Batch]] = deque()
        for number in range(start, end):
            while len(waiting) < AHEAD and number + len(waiting) < end:
                waiting.append(self._pool.submit(BatchPrefetcher._make, id(self), number + len(waiting)))
            yield waiting.popleft().result()

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)
        del self._makers[id(self)]

    @staticmethod
    def _make(which: int, number: int) -> Batch:
        return BatchPrefetcher._makers[which](number)


def _end_with(parent: int) -> None:
    """Let this process end soon after the one that forked it, even if that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _reseed(model: keras.Model, step: int) -> None:
    """Make dropout, too, depend on the step alone: Keras does not keep its generators' state in a saved model."""
    states = [each for each in model.non_trainable_variables if each.path.endswith("seed_generator_state")]
    for index, state in enumerate(states):
        state.assign(np.array([index, step]))


def save(model: keras.Model, path: Path) -> None:
    """Write beside, then rename: a kill leaves the old file or the new one, never half of one."""
    beside = path.with_name("writing-" + path.name)
    model.save(beside)
    beside.replace(path)
