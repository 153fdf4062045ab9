"""The engine on Ray Tune: a search's trials on the workers of a Ray cluster.

Tune asks its searcher for trials, keeps one actor a running trial, gives the actor of an ended
trial to the next one, and says what comes of each. Everything that has to outlive a crash is in
the search's journal: Tune's own experiment state is never read, and it takes no checkpoint.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import ray
from ray import tune
from ray.actor import ActorHandle
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from models.processes.folders import temporary_folder
from search.engine.control import Control, Steering
from search.engine.crew import Crew, Tell
from search.engine.run import SearchRun
from search.engine.trial_actor import TrialActor
from search.evaluation import Evaluator
from search.spec import Resources

TRIALS_PER_TUNER = 1000
"""Tune keeps what it knows of every trial, so a long search goes through it in several runs."""

CAPACITY_SECONDS = 600.0
"""How long a search waits for a node that is big enough for its trials, where nodes may join."""

CAPACITY_LOOK_SECONDS = 0.5

TUNE_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the old output says nothing at all
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),  # never: the journal is the truth
    "TUNE_MAX_PENDING_TRIALS_PG": str(10**6),  # the searcher suggests no more than can run
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": str(10**9),
}

log = logging.getLogger(__name__)


class CapacityError(RuntimeError):
    """No node of the cluster can hold one trial."""


def run_ray_tune(
    run: SearchRun,
    make_evaluator: Callable[[], Evaluator],
    resources: Resources,
    control: Control | None = None,
    *,
    storage: Path | None = None,
    tell: Tell = lambda reason: None,
    capacity_seconds: float = CAPACITY_SECONDS,
) -> None:
    """Run a search until it is finished, paused or cancelled. Ray is connected already.

    make_evaluator: called once in each worker process; pickled by reference, so that its module
        has to be importable there.
    resources: of a trial; `parallel_trials` until the control orders otherwise.
    storage: a folder for Tune's temporary files; default: one of its own.
    tell: is told what the search waits for.
    capacity_seconds: how long it waits for a node that can hold a trial; 0 where none can join.

    Raises:
        search.engine.ray_tune.CapacityError: no node can hold a trial.
        search.engine.crew.EngineError: no evaluator can be built, or there is nothing to run.
        Exception: whatever the strategy, the journal or the control raises. What a trial raises
            is its failure, and a worker that dies is replaced.
    """
    _configure_tune()
    steering = Steering(run, control)
    if not _has_capacity(run, steering, resources, tell, capacity_seconds):
        return
    crew = Crew(run, steering, resources, partial(capacity, resources), tell)
    with temporary_folder("tune", storage) as folder:
        while not run.finished:
            _tune(crew, make_evaluator, resources, folder)
            tell(None)
            if crew.error is not None:
                raise crew.error
            if crew.action != "run":
                return


def capacity(resources: Resources) -> int:
    """How many trials the cluster can hold at a time if it runs nothing else."""
    return sum(_fits(node, resources) for node in _nodes())


def _nodes() -> list[dict[str, Any]]:
    """What each living node has, CPU and GPU among it."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    return [node["Resources"] for node in nodes if node["Alive"]]


class RunSearcher(Searcher):
    """Gives Tune the trials of a search. What comes of them, Tune tells `CrewCallback`."""

    def __init__(self, crew: Crew, trials: int) -> None:
        super().__init__()
        self._crew, self._left = crew, trials

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        finished = cast("dict[str, Any]", self.FINISHED)  # a string, for all that Tune's types say
        if self._left <= 0:
            return finished
        config = self._crew.next_config(trial_id)
        if config is not None:
            self._left -= 1
            return config
        return finished if self._crew.is_done else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        pass

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        pass


class CrewCallback(tune.Callback):
    """Tune's news, by the trial's id. Never raises: Tune would blame the trial."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        self._crew.supervise()

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        actor = trial.temporary_state.ray_actor
        assert actor is not None  # noqa: S101 - Tune says so after it has set it
        self._crew.started(trial.trial_id, partial(ray.kill, actor))

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        self._crew.ended(trial.trial_id)

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        self._crew.died(trial.trial_id, Path(trial.error_file).read_text(errors="replace"))


class PatientScheduler(FIFOScheduler):
    """Leaves a trial to the actor that is being made for it.

    Tune's own gives the oldest waiting trial the first actor that becomes free, and drops the one
    that was being made for it. Where trials are shorter than the start of an actor, this one would
    never be made. Without a choice of ours Tune gives a free actor to the newest trial, and to a
    waiting one where there is no other.

    Tells the crew which actors are being made: Tune says so only when they have begun.
    """

    def __init__(self, crew: Crew) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Tune's
        self._crew = crew

    def choose_trial_to_run(self, tune_controller: object) -> None:
        for trial, actor in _being_made(tune_controller):
            self._crew.starting(trial.trial_id, partial(ray.kill, actor))


class CrewStopper(tune.Stopper):
    """Passes on what actors report, and ends their work on trials that the search has ended or
    paused. Tune's callbacks hear of a result when the next epoch is already under way.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._crew.reported(trial_id, result)

    def stop_all(self) -> bool:
        return self._crew.is_to_stop

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune writes its stopper down; ours is never read back


def _tune(
    crew: Crew, make_evaluator: Callable[[], Evaluator], resources: Resources, folder: Path
) -> None:
    """One run of Tune, of at most `TRIALS_PER_TUNER` trials.

    `tune.run` and not `Tuner.fit`, which pickles searcher and callbacks, hence strategy and
    journal, for a restore that never happens.
    """
    name = f"run-{uuid.uuid4().hex[:12]}"
    bundle = {"CPU": resources.cpus_per_trial}
    if resources.gpus_per_trial:
        bundle["GPU"] = resources.gpus_per_trial
    analysis = None
    try:
        analysis = tune.run(
            tune.with_parameters(TrialActor, make_evaluator=make_evaluator),
            name=name,
            storage_path=str(folder),
            resources_per_trial=tune.PlacementGroupFactory([bundle]),
            num_samples=-1,
            search_alg=RunSearcher(crew, TRIALS_PER_TUNER),
            callbacks=[CrewCallback(crew)],
            scheduler=PatientScheduler(crew),
            stop=CrewStopper(crew),
            reuse_actors=True,
            raise_on_failed_trial=False,
            trial_dirname_creator=_trial_directory,
            verbose=0,
        )
    except BaseException:
        crew.kill_all()
        raise
    finally:
        crew.close()
        _remove_leftovers(analysis.trials if analysis else (), name)
        shutil.rmtree(folder / name, ignore_errors=True)


def _being_made(controller: Any) -> Iterator[tuple[TuneTrial, ActorHandle[Any]]]:
    """Trials that wait for an actor which Ray has begun to make, and its handle, for which Tune has
    no public name. Those that wait for a free worker have none yet.
    """
    made = controller._actor_manager._live_actors_to_ray_actors_resources
    for trial, actor in controller._trial_to_actor.items():
        if trial.status == TuneTrial.PENDING and actor in made:
            yield trial, made[actor][0]


def _trial_directory(trial: TuneTrial) -> str:
    return str(trial.trial_id)


def _remove_leftovers(trials: Sequence[TuneTrial], name: str) -> None:
    """Tune makes two folders a trial in Ray's session folder and leaves them there."""
    for trial in trials[:1]:
        assert trial.storage is not None  # noqa: S101 - for the type checker
        parts = Path(trial.storage.experiment_driver_staging_path).parts
        shutil.rmtree(Path(*parts[: parts.index(name) + 1]), ignore_errors=True)


def _configure_tune() -> None:
    """Process-wide, because Tune reads its options from the environment alone."""
    os.environ.update(TUNE_ENVIRONMENT)
    class_cache.DEFAULT_ENV_VARS.clear()  # with these, no actor would get a warm process
    class_cache.ENV_VARS_TO_PROPAGATE.clear()  # the node's environment holds them already
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


def _has_capacity(
    run: SearchRun, steering: Steering, resources: Resources, tell: Tell, seconds: float
) -> bool:
    """Wait for a node that can hold one trial: a cluster may be starting or growing just now.
    False: somebody paused or cancelled the search meanwhile, or its time has ended.
    """
    deadline = time.monotonic() + seconds
    while capacity(resources) == 0:
        nodes = [{name: node.get(name, 0.0) for name in ("CPU", "GPU")} for node in _nodes()]
        a_trial = (
            f"a trial with {resources.cpus_per_trial:g} CPUs and {resources.gpus_per_trial:g} GPUs"
        )
        if time.monotonic() >= deadline:
            raise CapacityError(f"no worker can hold {a_trial}, the nodes have {nodes}")
        tell(f"waiting for a node that can hold {a_trial}, the nodes have {nodes}")
        action = steering.check().action
        if action == "cancel":
            run.cancel()
        if action != "run" or run.finished:
            return False
        time.sleep(CAPACITY_LOOK_SECONDS)
    return True


def _fits(node: dict[str, Any], resources: Resources) -> int:
    fits = float(node.get("CPU", 0.0)) / resources.cpus_per_trial
    if resources.gpus_per_trial:
        fits = min(fits, float(node.get("GPU", 0.0)) / resources.gpus_per_trial)
    return math.floor(fits + 1e-9)
