"""What the engine adds to the work of its trials: `python benchmarks/overhead.py`.

Trials of a fixed amount of computing, about 50 ms, two at a time with one thread each: on the
engine, on a warm multiprocessing pool, and as a plain Tune function trainable. All three run the
same evaluator in the same run of this script, so that their ratio holds on a busy machine too.
Prints JSON. Wall milliseconds a trial are of the steady state, without the first ten trials.

Prediction: a trial costs the engine two messages to its actor and back (reset, one epoch), about
3 ms each, and the driver's bookkeeping of about 5 ms, which the other actor's work hides in part:
10 to 20 ms beyond the work, 1.2 to 1.4 times the pool. A function trainable starts a process a
trial: two seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from search.evaluation import Measurement
from search.trial import Trial

TRIALS, PLAIN_TRIALS, PARALLEL, WARM = 200, 6, 2, 10
WORK_SECONDS = 0.05
SIZE = 192


class Work:
    """An evaluator of one epoch: `rounds` products of matrices on one thread."""

    def __init__(self, rounds: int) -> None:
        import torch

        torch.set_num_threads(1)
        self._rounds = rounds
        self._matrix = torch.eye(SIZE) + 0.001

    def compute(self) -> float:
        """Seconds that it took."""
        start = time.perf_counter()
        matrix = self._matrix
        for _ in range(self._rounds):
            matrix = (matrix @ self._matrix).clamp(-1, 1)
        return time.perf_counter() - start

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        seconds = self.compute()
        yield Measurement({"epoch": 1.0, "val_accuracy": 0.5, "train_seconds": seconds})


def calibrate() -> int:
    """Rounds that take 50 ms of processor time, whatever else the machine does."""
    work, spent = Work(20), []
    for _ in range(20):
        start = time.process_time()
        work.compute()
        spent.append(time.process_time() - start)
    return max(1, round(20 * WORK_SECONDS / statistics.median(spent)))


def summary(ends: list[float], work: list[float]) -> dict[str, float]:
    """Wall milliseconds a trial once warm, and of these what is not the trials' own work."""
    wall = (ends[-1] - ends[WARM - 1]) / (len(ends) - WARM)
    computing = statistics.fmean(work[WARM:]) / PARALLEL
    return {
        "trials": len(ends),
        "wall_ms_per_trial": round(1000 * wall, 2),
        "work_ms_per_trial": round(1000 * computing * PARALLEL, 2),
        "overhead_ms_per_trial": round(1000 * (wall - computing), 2),
    }


def measure_engine(rounds: int) -> dict[str, float]:
    from search.engine.journal import Event, MemoryJournal, TrialEnded
    from search.engine.ray_tune import run_ray_tune
    from search.engine.run import SearchRun
    from search.engine.stages.candidates import CANDIDATE
    from search.request.resolve import resolve

    class Timed(MemoryJournal):
        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []
            self.work: list[float] = []

        def append(self, event: Event) -> None:
            super().append(event)
            if isinstance(event, TrialEnded) and event.trial.kind is CANDIDATE:
                self.ends.append(time.perf_counter())
                self.work.append(event.trial.metrics["train_seconds"])

    resolved = resolve(
        {
            "dataset": "digits",
            "space": {"family": "cnn_cell"},
            "training": {"epochs": 1},
            "strategy": {"name": "random"},
            "budget": {"trials": TRIALS},
            "final": {"top": 1, "seeds": 1, "epochs": 1},
            "resources": {"parallel_trials": PARALLEL},
        }
    )
    journal = Timed()
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, lambda _: {})
    before = time.process_time()
    run_ray_tune(run, partial(Work, rounds), resolved.spec.resources)
    driver = (time.process_time() - before) / TRIALS
    return {
        **summary(journal.ends, journal.work),
        "driver_cpu_ms_per_trial": round(1e3 * driver, 2),
    }


_pool_work: list[Work] = []


def _prepare(rounds: int) -> None:
    _pool_work.append(Work(rounds))


def _compute(_: int) -> float:
    return _pool_work[0].compute()


def measure_pool(rounds: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(PARALLEL, _prepare, (rounds,)) as pool:
        pool.map(_compute, range(2 * PARALLEL), chunksize=1)
        ends, work = [], []
        for seconds in pool.imap_unordered(_compute, range(TRIALS), chunksize=1):
            ends.append(time.perf_counter())
            work.append(seconds)
    return summary(ends, work)


def measure_plain(rounds: int) -> dict[str, float]:
    """Tune as its tutorials show it: a function, reporting once."""
    from ray import tune

    def trainable(config: dict[str, Any]) -> None:
        tune.report({"seconds": Work(rounds).compute(), "done_at": time.time()})

    with tempfile.TemporaryDirectory() as folder:
        results = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=PLAIN_TRIALS, max_concurrent_trials=PARALLEL),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        ends = sorted(result.metrics["done_at"] for result in results if result.metrics)
        work = [result.metrics["seconds"] for result in results if result.metrics]
    wall = (ends[-1] - ends[0]) / (len(ends) - 1)
    return {
        "trials": len(ends),
        "wall_ms_per_trial": round(1000 * wall, 2),
        "overhead_ms_per_trial": round(1000 * (wall - statistics.fmean(work) / PARALLEL), 2),
    }


def measure() -> dict[str, Any]:
    """In a process that Ray has not been imported in before its environment was right."""
    from search.engine import ray_workers

    ray_workers.connect(os.environ["NASMITH_RAY_ADDRESS"])
    rounds = calibrate()
    measured = {
        "engine": measure_engine(rounds),
        "pool": measure_pool(rounds),
        "plain_tune_function": measure_plain(rounds),
    }
    ratio = measured["engine"]["wall_ms_per_trial"] / measured["pool"]["wall_ms_per_trial"]
    return {
        "benchmark": "overhead",
        "parallel": PARALLEL,
        **measured,
        "ratio_to_pool": round(ratio, 3),
        "targets": {"engine.overhead_ms_per_trial": 30, "ratio_to_pool": 1.5},
    }


def main() -> None:
    from service.running.ray_runtime import RayRuntime
    from service.settings import ServiceSettings

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().child:
        print(json.dumps(measure(), indent=2), flush=True)
        os._exit(0)  # at once: an orderly end of Ray takes seconds
    with tempfile.TemporaryDirectory() as home:
        runtime = RayRuntime(ServiceSettings(home=Path(home)), cpus=PARALLEL)
        os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # for the workers
        runtime.start()
        try:
            environment = {**os.environ, **runtime.environment()}
            command = [sys.executable, str(Path(__file__)), "--child"]
            subprocess.run(command, env=environment, check=True)
        finally:
            runtime.stop()


if __name__ == "__main__":
    main()
