"""What the engine adds to the work of its trials: `python benchmarks/overhead.py [--rounds 3]`.

Trials of a fixed amount of computing, about 50 ms, two at a time with one thread each: on the
engine, on a warm multiprocessing pool, and as a plain Tune function trainable. All three run the
same evaluator in the same run of this script, engine and pool by turns, so that their ratio holds
on a busy machine too. Prints JSON, the median round by that ratio first. Wall milliseconds a trial
are of the steady state, without the first ten trials and those before every worker had one.

- `trials_by_worker`: how many trials each process ran; as many numbers as processes worked
- `trials_before_all_work`: ended before each worker had ended one

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
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
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


@dataclass(frozen=True)
class Ended:
    """A trial: when, by `perf_counter`, the seconds of its work, and who did it."""

    at: float
    work: float
    worker: str


def summary(trials: list[Ended]) -> dict[str, Any]:
    """Wall milliseconds a trial once warm, and of these what is not the trials' own work."""
    by_worker = Counter(trial.worker for trial in trials)
    first_of = {trial.worker: index for index, trial in reversed([*enumerate(trials)])}
    all_work = max(first_of.values())
    warm = max(WARM, all_work)
    wall = (trials[-1].at - trials[warm - 1].at) / (len(trials) - warm)
    computing = statistics.fmean(trial.work for trial in trials[warm:]) / PARALLEL
    return {
        "trials": len(trials),
        "trials_by_worker": sorted(by_worker.values(), reverse=True),
        "trials_before_all_work": all_work,
        "wall_ms_per_trial": round(1000 * wall, 2),
        "work_ms_per_trial": round(1000 * computing * PARALLEL, 2),
        "overhead_ms_per_trial": round(1000 * (wall - computing), 2),
    }


def measure_engine(rounds: int) -> dict[str, Any]:
    from search.engine.journal import Event, MemoryJournal, TrialEnded
    from search.engine.ray_tune import run_ray_tune
    from search.engine.run import SearchRun
    from search.engine.stages.candidates import CANDIDATE
    from search.request.resolve import resolve

    class Timed(MemoryJournal):
        def __init__(self) -> None:
            super().__init__()
            self.ended: list[Ended] = []

        def append(self, event: Event) -> None:
            super().append(event)
            if isinstance(event, TrialEnded) and event.trial.kind is CANDIDATE:
                work, worker = event.trial.metrics["train_seconds"], str(event.trial.worker)
                self.ended.append(Ended(time.perf_counter(), work, worker))

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
        **summary(journal.ended),
        "driver_cpu_ms_per_trial": round(1e3 * driver, 2),
    }


_pool_work: list[Work] = []


def _prepare(rounds: int) -> None:
    _pool_work.append(Work(rounds))


def _compute(_: int) -> tuple[float, str]:
    return _pool_work[0].compute(), str(os.getpid())


def measure_pool(rounds: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(PARALLEL, _prepare, (rounds,)) as pool:
        pool.map(_compute, range(2 * PARALLEL), chunksize=1)
        return summary(
            [
                Ended(time.perf_counter(), work, worker)
                for work, worker in pool.imap_unordered(_compute, range(TRIALS), chunksize=1)
            ]
        )


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


def measure_round(rounds: int) -> dict[str, Any]:
    engine, pool = measure_engine(rounds), measure_pool(rounds)
    ratio = engine["wall_ms_per_trial"] / pool["wall_ms_per_trial"]
    return {"ratio_to_pool": round(ratio, 3), "engine": engine, "pool": pool}


def measure(repetitions: int) -> dict[str, Any]:
    """In a process that Ray has not been imported in before its environment was right."""
    from search.engine import ray_workers

    ray_workers.connect(os.environ["NASMITH_RAY_ADDRESS"])
    ray_workers.prestart(PARALLEL)  # as a driver does before it has a search
    rounds = calibrate()
    measured = sorted(
        (measure_round(rounds) for _ in range(repetitions)), key=itemgetter("ratio_to_pool")
    )
    return {
        "benchmark": "overhead",
        "parallel": PARALLEL,
        **measured[(repetitions - 1) // 2],
        "plain_tune_function": measure_plain(rounds),
        "rounds": measured,
        "targets": {"len(engine.trials_by_worker)": PARALLEL, "ratio_to_pool": 1.2},
    }


def main() -> None:
    from service.running.ray_runtime import RayRuntime
    from service.settings import ServiceSettings

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.rounds), indent=2), flush=True)
        os._exit(0)  # at once: an orderly end of Ray takes seconds
    with tempfile.TemporaryDirectory() as home:
        runtime = RayRuntime(ServiceSettings(home=Path(home)), cpus=PARALLEL)
        os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # for the workers
        runtime.start()
        try:
            environment = {**os.environ, **runtime.environment()}
            command = [sys.executable, __file__, "--child", "--rounds", str(options.rounds)]
            subprocess.run(command, env=environment, check=True)
        finally:
            runtime.stop()


if __name__ == "__main__":
    main()
