"""The engine on real Ray: a head of its own, real worker processes."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

import psutil
import pytest
import ray

from models.processes.folders import sweep
from search.engine import crew, ray_workers
from search.engine.control import Orders
from search.engine.crew import EngineError
from search.engine.journal import (
    EpochReported,
    Event,
    MemoryJournal,
    StaleOwnerError,
    TrialEnded,
    TrialResumed,
    TrialStarted,
)
from search.engine.ray_tune import CapacityError, run_ray_tune
from search.engine.run import SearchRun
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.engine.stages.finals import FINAL
from search.engine.trial_actor import Report, trial_from_text, trial_to_text
from search.evaluation import Measurement
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.spec import Budget, Final, Resources
from search.strategy import Strategy, strategies
from search.trial import (
    Candidate,
    Failure,
    FailureKind,
    SupernetProposal,
    Trial,
    TrialState,
)
from service.running.ray_runtime import RayRuntime
from service.settings import ServiceSettings
from tests.search.support.mortal import Mortal, steps_of_attempts
from tests.search.support.spaces import letters, spec_of
from tests.search.support.unruly import (
    Late,
    StoppedAtStart,
    Unbuildable,
    Unruly,
    attempts,
    temporary_files,
)

pytestmark = pytest.mark.slow
TWO = Resources(parallel_trials=2)
PATIENCE_SECONDS = 240.0


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPoolExecutor]:
    """A process that has joined Ray, as drivers do: authentication is settled once a process, when
    Ray is imported.
    """
    runtime = RayRuntime(ServiceSettings(home=tmp_path_factory.mktemp("home")), cpus=2)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(
                "PYTHONPATH", str(Path(__file__).parents[3]), prepend=os.pathsep
            )  # for workers
            light = {"RAY_preload_python_modules": "search.engine.trial_actor"}
            patch.setattr(ray_workers, "NODE_ENVIRONMENT", ray_workers.NODE_ENVIRONMENT | light)
            runtime.start()
            for name, value in runtime.environment().items():
                patch.setenv(name, value)
            with ProcessPoolExecutor(1, get_context("spawn"), _join, (runtime.address,)) as driver:
                yield driver
                for process in psutil.Process().children():
                    with suppress(psutil.NoSuchProcess):  # it ends while it is looked at
                        if "spawn_main" in " ".join(process.cmdline()):
                            process.kill()  # a test may have left it busy
    finally:
        runtime.stop()


def _join(address: str) -> None:
    ray_workers.connect(address)
    ray_workers.prestart(2)


def on_ray(test: Callable[[Path], None]) -> Callable[[Path, ProcessPoolExecutor], None]:
    """Run a test in the process that has joined Ray."""

    def in_driver(tmp_path: Path, driver: ProcessPoolExecutor) -> None:
        driver.submit(_run, test.__name__, tmp_path).result(PATIENCE_SECONDS)

    in_driver.__name__, in_driver.__doc__ = test.__name__, test.__doc__
    in_driver.body = test  # type: ignore[attr-defined]  # for `_run`
    return in_driver


def _run(name: str, folder: Path) -> None:
    globals()[name].body(folder)


class Script:
    """Orders that follow from what the journal holds."""

    def __init__(self, rule: Callable[[], Orders]) -> None:
        self.orders = rule


def run_of(
    journal: MemoryJournal,
    trials: int = 4,
    strategy: Strategy | None = None,
    seeds: int = 1,
) -> SearchRun:
    space = letters(6)
    spec = spec_of(budget=Budget(trials=trials), final=Final(top=1, seeds=seeds, epochs=2))
    entry = strategies["random"]
    strategy = strategy or entry(space, entry.Settings(), 0)
    return SearchRun(spec, space, strategy, journal, lambda candidate: {})


def ended(journal: MemoryJournal, number: int) -> Trial:
    (trial,) = [
        event.trial
        for event in journal.events
        if isinstance(event, TrialEnded) and event.trial.number == number
    ]
    return trial


def most_at_once(events: Sequence[Event]) -> int:
    running, most = set[int](), 0
    for event in events:
        if isinstance(event, TrialStarted):
            running.add(event.trial.number)
        elif isinstance(event, TrialEnded):
            running.discard(event.trial.number)
        most = max(most, len(running))
    return most


def is_gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether the process ends within `seconds`; one that waits to be reaped has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


@on_ray
def test_a_search_on_digits_runs_to_its_end_in_processes_that_were_there_before(
    folder: Path,
) -> None:
    resolved = resolve(
        {
            "dataset": "digits",
            "space": {"family": "cnn_cell", "nodes": 1, "channels": 4, "cells": 1},
            "training": {"epochs": 2},
            "strategy": {"name": "random"},
            "budget": {"trials": 12},
            "final": {"top": 1, "seeds": 2, "epochs": 3},
        }
    )
    journal = MemoryJournal()
    idle = _idle_workers(2)
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    evaluator = partial(TrainEvaluator.for_search, resolved.spec, str(folder))
    run_ray_tune(run, evaluator, resolved.spec.resources)
    assert run.finished and run.failed_reason is None
    candidates = [t for t in run.trials if t.kind is CANDIDATE]
    assert sum(trial.state is TrialState.COMPLETED for trial in candidates) == 12
    epochs = [event.epoch for event in journal.events if isinstance(event, EpochReported)]
    trained = [t for t in candidates if t.source is None and not t.is_refused]
    assert len(epochs) == 2 * len(trained) + 2 * 3
    finals = [trial for trial in run.trials if trial.kind is FINAL]
    assert all(0 <= trial.metrics["test_accuracy"] <= 1 for trial in finals)
    assert all((folder / f"{trial.number}.safetensors").exists() for trial in finals)
    workers = {int(str(trial.worker).rpartition(":")[2]) for trial in trained}
    assert workers <= idle


@on_ray
def test_asha_prunes_and_a_promoted_trial_goes_on_where_it_was_left(folder: Path) -> None:
    resolved = resolve(
        {
            "dataset": "digits",
            "space": {
                "family": "cnn_cell",
                "nodes": 1,
                "channels": 4,
                "cells": 1,
                "operations": ["sep_conv_3x3", "dil_conv_3x3"],
                "stem_stride": 1,
                "head_pool": 1,
            },
            "training": {
                "epochs": 2,
                "batch_size": 32,
                "learning_rate": {"choice": [0.00001, 0.05]},
            },
            "strategy": {"name": "random"},
            "fidelity": {"name": "asha", "variant": "promotion", "reduction_factor": 2},
            "resources": {"parallel_trials": 1},  # who waits and who goes on is then known
            "budget": {"trials": 4},
            "final": {"top": 1, "seeds": 1, "epochs": 1},
            "seed": 35,  # draws the large rate, the small one twice, the large one
        }
    )
    journal = MemoryJournal()
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    evaluator = partial(TrainEvaluator.for_search, resolved.spec, str(folder))
    run_ray_tune(run, evaluator, resolved.spec.resources)
    assert run.finished and run.failed_reason is None
    curves: dict[int, list[EpochReported]] = {}
    for event in journal.events:
        if isinstance(event, EpochReported):
            curves.setdefault(event.number, []).append(event)
    for trial in run.trials:
        curve = curves[trial.number]
        assert [point.epoch for point in curve] == list(range(1, len(curve) + 1))
        assert trial.kind is FINAL or trial.metrics == curve[-1].metrics
        is_pruned = trial.state is TrialState.PRUNED
        assert is_pruned == (trial.kind is CANDIDATE and len(curve) < 2)
        assert not is_pruned or f"pruned by asha at epoch {len(curve)}" in str(trial.failure)
    resumed = {event.number for event in journal.events if isinstance(event, TrialResumed)}
    completed = [t for t in run.trials if t.number in resumed and t.state is TrialState.COMPLETED]
    assert [trial.number for trial in run.trials if trial.state is TrialState.PRUNED] == [1, 2]
    assert [trial.number for trial in completed] == [0]
    alone = TrainEvaluator(resolved.spec.dataset, str(folder / "alone")).evaluate(completed[0])
    assert [measured.metrics["val_loss"] for measured in alone] == [
        point.metrics["val_loss"] for point in curves[completed[0].number]
    ]


@on_ray
def test_supernets_of_two_seeds_run_side_by_side_and_derive_what_they_derive_alone(
    folder: Path,
) -> None:
    resolved = resolve(
        {
            "dataset": "digits",
            "space": {"family": "cnn_cell", "nodes": 1, "cells": 1, "channels": 4},
            "training": {"epochs": 1, "batch_size": 256},
            "strategy": {"name": "enas", "seeds": 2, "epochs": 2, "batch_size": 256, "samples": 20},
            "resources": {"parallel_trials": 2},
            "final": {"seeds": 1, "epochs": 1},
        }
    )
    journal = MemoryJournal()
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    evaluator = partial(TrainEvaluator.for_search, resolved.spec, str(folder))
    run_ray_tune(run, evaluator, resolved.spec.resources)
    assert run.finished and run.failed_reason is None
    first, second, *others = run.trials
    assert first.worker != second.worker
    assert others[-1].kind is FINAL
    for trial in (first, second):
        assert trial.kind is SUPERNET and trial.state is TrialState.COMPLETED
        alone = TrainEvaluator.for_search(resolved.spec, str(folder / "alone"))
        *_, last = alone.evaluate(trial)
        assert last.derived == trial.derived
        assert last.metrics["weight_loss"] == trial.metrics["weight_loss"]


@on_ray
def test_a_supernet_whose_worker_is_killed_ends_as_one_that_was_left_in_peace(folder: Path) -> None:
    """In the second of three steps of the third of four epochs; what is derived goes on with the
    weights of the second process.
    """
    resolved = resolve(
        {
            "dataset": "digits",
            "space": {"family": "cnn_cell", "nodes": 1, "cells": 1, "channels": 4},
            "training": {"epochs": 1, "batch_size": 256},
            "strategy": {
                "name": "darts",
                "seeds": 1,
                "epochs": 4,
                "batch_size": 256,
                "architecture_learning_rate": 0.1,
                "inherit_weights": True,
            },
            "resources": {"parallel_trials": 1},
            "final": {"seeds": 1, "epochs": 1},
        }
    )
    journal = MemoryJournal()
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    run_ray_tune(run, partial(Mortal, folder, resolved.spec, 8), resolved.spec.resources)
    assert run.finished and run.failed_reason is None
    supernet, candidate, _ = run.trials
    first, second = steps_of_attempts(folder)
    told = [event for event in journal.events if isinstance(event, EpochReported)]
    left = 4 - second // 3  # the epoch after which the state was saved
    epochs = [point.epoch for point in told if point.number == supernet.number]
    assert (first, second % 3) == (8, 0) and left in (1, 2)
    assert epochs == [1, 2, *range(left, 5)]

    alone = TrainEvaluator.for_search(resolved.spec, str(folder / "alone"))
    *course, closing = alone.evaluate(supernet)
    curve = {point.epoch: point for point in told if point.number == supernet.number}
    memory = "peak_memory_bytes"
    for report in course:
        point = curve[int(report.metrics["epoch"])]
        assert point.derived == report.derived
        assert {**point.metrics, memory: 0} == {**report.metrics, memory: 0}
    assert supernet.derived == closing.derived == candidate.candidate.architecture
    assert {**supernet.metrics, memory: 0} == {**closing.metrics, memory: 0}
    (trained,) = alone.evaluate(candidate)
    assert candidate.candidate.weights_from == supernet.number
    assert candidate.metrics["val_loss"] == trained.metrics["val_loss"]


def _idle_workers(count: int) -> set[int]:
    """Process ids of the workers that `prestart` asked for, once they are there."""
    address = ray.get_runtime_context().gcs_address
    deadline = time.monotonic() + PATIENCE_SECONDS / 2
    while time.monotonic() < deadline:
        (raylet,) = [
            process
            for process in psutil.process_iter(["name", "cmdline"])  # any other may end meanwhile
            if process.info["name"] == "raylet"
            and f"--gcs-address={address}" in (process.info["cmdline"] or ())
        ]
        head = raylet.parent()  # what else it started is where workers come from
        members = head.children(recursive=True) if head is not None else []
        found = {member.pid for member in members if member.name().startswith("ray::IDLE")}
        if len(found) >= count:
            return found
        time.sleep(0.2)
    raise AssertionError(f"no {count} idle workers, found {found}")


@on_ray
def test_trials_shorter_than_the_start_of_a_worker_are_spread_over_all(folder: Path) -> None:
    """The second worker is there when the first has run ten trials. The trial that it is made for
    waits for it; how many follow there depends on the machine.
    """
    run = run_of(MemoryJournal(), trials=40)
    run_ray_tune(run, Late(folder, 10), TWO)
    assert run.finished and run.failed_reason is None
    candidates = [trial for trial in run.trials if trial.kind is CANDIDATE]
    assert len({trial.worker for trial in candidates}) == 2


@on_ray
def test_a_worker_whose_card_is_broken_gets_no_other_trial(folder: Path) -> None:
    journal = MemoryJournal()
    run = run_of(journal, trials=4)
    run_ray_tune(run, partial(Unruly, folder, {1: "poison"}), Resources(parallel_trials=1))
    assert run.finished and run.failed_reason is None
    said = "CUDA error: device-side assert triggered"
    assert ended(journal, 1).failure == Failure(FailureKind.ERROR, said)
    workers = [attempts(folder, number) for number in range(4)]
    assert workers[0] == workers[1] and workers[2] == workers[3] != workers[1]
    assert all(len(of_trial) == 1 for of_trial in workers)  # nothing is tried again
    assert not psutil.pid_exists(workers[1][0])


@on_ray
def test_a_trial_that_fails_or_takes_its_worker_down_hurts_no_other(folder: Path) -> None:
    orders = {0: "fail", 1: "raise", 2: "exit", 3: "exit once"}
    journal = MemoryJournal()
    run = run_of(journal, trials=7)
    run_ray_tune(run, partial(Unruly, folder, orders), TWO)
    assert run.finished and run.failed_reason is None
    said = ended(journal, 0).failure
    assert said is not None and said.kind is FailureKind.OUT_OF_MEMORY
    assert said.message.startswith("3 GB are not there (beside others there were ")
    assert ended(journal, 1).failure == Failure(FailureKind.ERROR, "ZeroDivisionError: no luck")
    assert (ended(journal, 0).metrics, ended(journal, 1).metrics) == ({"latency_ms": 7.0}, {})
    died = ended(journal, 2)
    assert died.failure and died.failure.kind is FailureKind.WORKER_DIED
    assert "3 attempts" in died.failure.message and "worker" in died.failure.message.lower()
    assert len(attempts(folder, 2)) == 3 and len(attempts(folder, 3)) == 2
    for number in (3, 4, 5, 6, 7):
        trial = ended(journal, number)
        assert trial.state is TrialState.COMPLETED
        expected = 0.5 + number / 100
        assert trial.metrics["val_accuracy"] == expected
    assert all(len(attempts(folder, number)) == 1 for number in (0, 1, 4, 5, 6, 7))
    left = [path for number in (0, 1, 3, 4, 5, 6, 7) for path in temporary_files(folder, number)]
    assert len(left) == 8 and len({path.parent for path in left}) == 8
    of_a_killed_worker = left[2]
    assert {path for path in left if path.exists()} <= {of_a_killed_worker}, "unless it was swept"
    sweep(of_a_killed_worker.parents[1])
    assert not of_a_killed_worker.exists()


@on_ray
def test_a_trial_that_wants_all_memory_fails_and_its_worker_and_neighbour_go_on(
    folder: Path,
) -> None:
    journal = MemoryJournal()
    run = run_of(journal, trials=5)
    run_ray_tune(run, partial(Unruly, folder, {0: "hog"}), TWO)
    assert run.finished and run.failed_reason is None
    hog = ended(journal, 0)
    assert hog.failure is not None and hog.failure.kind is FailureKind.OUT_OF_MEMORY
    assert re.fullmatch(
        r"MemoryError \(beside others there were [\d,]+ MiB for it\)", hog.failure.message
    )
    others = [trial for trial in run.trials if trial.number]
    assert all(trial.state is TrialState.COMPLETED for trial in others)
    assert all(len(attempts(folder, trial.number)) == 1 for trial in run.trials)
    assert attempts(folder, 0)[0] in [pid for t in others for pid in attempts(folder, t.number)]


@on_ray
def test_a_frozen_trial_is_tried_again(folder: Path) -> None:
    journal = MemoryJournal()
    run = run_of(journal, trials=2)
    impatient = Resources(parallel_trials=2, trial_timeout_seconds=3)
    run_ray_tune(run, partial(Unruly, folder, {0: "freeze once"}), impatient)
    assert run.finished and ended(journal, 0).state is TrialState.COMPLETED
    first, _ = attempts(folder, 0)
    assert is_gone(first)


@on_ray
def test_a_worker_that_freezes_while_it_starts_is_replaced(folder: Path) -> None:
    """Its trial goes to another one, and its clients have heard of it. Time is up for the frozen
    one alone: a healthy start may take long on a busy machine.
    """
    journal, told, first = MemoryJournal(), list[str | None](), folder / "first"
    run = run_of(journal, trials=2)
    (folder / "attempts").mkdir()
    limits = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "SILENT_SECONDS", 0.0)

        def tell(reason: str | None) -> None:
            told.append(reason)
            is_frozen = first.exists() and bool(limits)
            patch.setattr(crew, "STARTING_SECONDS", limits.pop() if is_frozen else 180.0)

        run_ray_tune(run, StoppedAtStart(folder), Resources(parallel_trials=1), tell=tell)
    assert run.finished and run.failed_reason is None and told[-1] is None
    assert all(trial.state is TrialState.COMPLETED for trial in run.trials)
    assert all(len(attempts(folder / "attempts", trial.number)) == 1 for trial in run.trials)
    assert (
        "waiting for trial 0: no sign of life of the worker that starts for it for 0 s; after "
        "180 s without one it is tried again"
    ) in told, told
    assert is_gone(int(first.read_text()))


@on_ray
def test_cancelling_stops_trials_in_the_middle_of_an_epoch(folder: Path) -> None:
    journal = MemoryJournal()
    cancelled = float("inf")

    def rule() -> Orders:
        nonlocal cancelled
        if sum(isinstance(event, EpochReported) for event in journal.events) < 2:
            return Orders()
        cancelled = min(cancelled, time.monotonic())
        return Orders("cancel")

    run = run_of(journal)
    run_ray_tune(run, partial(Unruly, folder, {0: "long", 1: "long"}), TWO, Script(rule))
    assert time.monotonic() - cancelled < 8  # one or two seconds where the cores are free
    assert run.finished
    for number in (0, 1):
        trial = ended(journal, number)
        assert trial.state is TrialState.PRUNED
        assert trial.failure and trial.failure.kind is FailureKind.CANCELLED
        (pid,) = attempts(folder, number)
        assert is_gone(pid)


@on_ray
def test_a_paused_search_goes_on_from_its_journal(folder: Path) -> None:
    journal = MemoryJournal()

    def rule() -> Orders:
        has_ended = any(isinstance(event, TrialEnded) for event in journal.events)
        return Orders("pause" if has_ended else "run")

    run = run_of(journal, trials=200)
    evaluator = partial(Unruly, folder, seconds=0.1)
    run_ray_tune(run, evaluator, TWO, Script(rule))
    assert not run.finished and not run.running
    before = len(run.trials)
    assert 1 <= before < 200
    again = run_of(journal, trials=before + 2)
    run_ray_tune(again, evaluator, TWO)
    numbers = list(range(before + 3))
    assert again.finished and [trial.number for trial in again.trials] == numbers
    assert all(len(attempts(folder, number)) == 1 for number in numbers)


@on_ray
def test_the_time_budget_prunes_what_runs_and_goes_on_to_the_final_stage(folder: Path) -> None:
    journal = MemoryJournal()

    def rule() -> Orders:
        has_ended = any(isinstance(event, TrialEnded) for event in journal.events)
        return Orders(seconds=0.0 if has_ended else None)

    run = run_of(journal, trials=100, seeds=1)
    # Trial 1 is in the middle of an epoch that never ends, trial 0 gives a result.
    run_ray_tune(run, partial(Unruly, folder, {1: "long"}), TWO, Script(rule))
    assert run.finished and run.failed_reason is None
    pruned = ended(journal, 1)
    assert pruned.failure and pruned.failure.kind is FailureKind.BUDGET
    finals = [trial for trial in run.trials if trial.kind is FINAL]
    assert [trial.state for trial in finals] == [TrialState.COMPLETED]
    assert is_gone(attempts(folder, 1)[0])


@on_ray
def test_parallel_trials_can_change_while_it_runs(folder: Path) -> None:
    journal = MemoryJournal()

    def rule() -> Orders:
        number = sum(isinstance(event, TrialEnded) for event in journal.events)
        return Orders(parallel_trials=2 if number >= 2 else 1)

    run = run_of(journal, trials=8)
    run_ray_tune(
        run, partial(Unruly, folder, seconds=0.2), Resources(parallel_trials=1), Script(rule)
    )
    ends = [index for index, event in enumerate(journal.events) if isinstance(event, TrialEnded)]
    assert most_at_once(journal.events[: ends[1]]) == 1
    assert most_at_once(journal.events) == 2


@on_ray
def test_what_the_strategy_raises_ends_the_search_at_once(folder: Path) -> None:
    class Broken:
        def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
            if number < 2:
                return letters(6).sample(Random(number))
            raise LookupError("out of ideas")

        def tell(self, trial: Trial) -> None: ...

    started = time.monotonic()
    with pytest.raises(LookupError, match="out of ideas"):
        run_ray_tune(
            run_of(MemoryJournal(), strategy=Broken()),
            partial(Unruly, folder, {0: "long"}),
            TWO,
        )
    assert time.monotonic() - started < 60
    assert is_gone(attempts(folder, 0)[0])


@on_ray
def test_a_lost_lease_stops_the_engine(folder: Path) -> None:
    class Stale(MemoryJournal):
        def append(self, event: Event) -> None:
            if isinstance(event, TrialEnded):
                raise StaleOwnerError("another driver has it")
            super().append(event)

    with pytest.raises(StaleOwnerError, match="another driver"):
        run_ray_tune(run_of(Stale()), partial(Unruly, folder, {1: "long"}), TWO)


@on_ray
def test_an_evaluator_that_cannot_be_built_ends_the_search(folder: Path) -> None:
    with pytest.raises(EngineError, match="FileNotFoundError: no dataset here"):
        run_ray_tune(run_of(MemoryJournal()), Unbuildable, TWO)


@on_ray
def test_a_trial_that_fits_no_node_is_refused(folder: Path) -> None:
    run, resources = run_of(MemoryJournal()), Resources(cpus_per_trial=64)
    with pytest.raises(CapacityError, match=r"64 CPUs .* have \[\{'CPU': 2.0"):
        run_ray_tune(run, partial(Unruly, folder), resources, capacity_seconds=0)


@on_ray
def test_a_search_says_at_once_that_it_waits_for_a_node_and_can_be_stopped(folder: Path) -> None:
    run, told = run_of(MemoryJournal()), list[str | None]()
    control = Script(lambda: Orders("cancel" if told else "run"))
    many = Resources(gpus_per_trial=1)
    run_ray_tune(run, partial(Unruly, folder), many, control, tell=told.append)
    (reason,) = told
    assert reason is not None and reason.startswith("waiting for a node that can hold a trial with")
    assert "1 CPUs and 1 GPUs, the nodes have [{'CPU': 2.0, 'GPU': 0.0}]" in reason
    assert run.finished and not run.trials


@on_ray
def test_clients_hear_of_a_worker_that_gives_no_sign_of_life(folder: Path) -> None:
    """And no more once it has given one: what is told last is that nothing is waited for."""
    run, told = run_of(MemoryJournal(), trials=2), list[str | None]()
    impatient = Resources(parallel_trials=2, trial_timeout_seconds=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "SILENT_SECONDS", 1.0)
        evaluator = partial(Unruly, folder, {0: "stop once"})
        run_ray_tune(run, evaluator, impatient, tell=told.append)
    worker = f"{platform.node()}:{attempts(folder, 0)[0]}"
    assert (
        f"waiting for trial 0: no sign of life on {worker} for 1 s; after 3 s without one it is "
        "tried again"
    ) in told, told
    assert run.finished and run.failed_reason is None and told[-1] is None
    first, _ = attempts(folder, 0)
    assert is_gone(first), psutil.Process(first).status()


def test_a_trial_and_a_report_survive_the_way_to_the_worker_and_back() -> None:
    candidate = letters(2).sample(Random(0))
    for kind, proposal in (
        (FINAL, candidate),
        (SUPERNET, SupernetProposal("darts", {"order": 2})),
    ):
        trial = Trial(3, kind, proposal, TrialState.RUNNING, "a", "r", seed=7, source=1)
        assert trial_from_text(trial_to_text(trial)) == (trial, 0)
        assert trial_from_text(trial_to_text(trial, 3)) == (trial, 3)
    failure = Failure(FailureKind.NON_FINITE, "loss is nan")
    report = Report(2, Measurement({"val_accuracy": 0.1}), 1.5, f"host:{os.getpid()}", failure)
    assert Report.from_text(report.to_text()) == report
