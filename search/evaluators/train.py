"""Training: build the proposed network, train it on the dataset, score it on validation."""

from __future__ import annotations

import gc
import logging
import math
import traceback
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from time import perf_counter
from typing import Literal

import torch
from torch import nn

from models import checkpoint
from models.accelerator import is_sticky, set_deterministic, use_card
from models.architecture import Architecture
from models.cost import cost
from models.datasets import Dataset
from models.datasets.input_transform import with_inputs
from models.datasets.reference import DatasetReference, load_dataset
from models.domains import as_domain
from models.family import FamilySettings, InfeasibleError, families
from models.latency import latency_ms
from models.memory import PeakMemory, available_bytes, training_bytes
from models.presets import preset
from models.quiet import at_work, waited_seconds
from models.recipe import Recipe
from models.training.confusion import DECISION_METRICS
from models.training.criterion import scoring
from models.training.evaluation import outputs_of
from models.training.final_scores import final_scores, fitted
from models.training.folds import FoldedTraining
from models.training.initialization import build
from models.training.pretraining import largest_step
from models.training.thresholds import ADJUSTMENT, MARGIN
from models.training.trainer import NonFiniteError, Training, TrainingState
from models.training.values import ErrorUnit
from search import saved
from search.evaluation import NOTHING, EvaluationError, Measurement, Metrics, PoisonedError
from search.evaluators.combining import Final, combine, leave_outputs
from search.objectives import COST_METRICS, Constraint, Objective
from search.spec import SearchSpec
from search.trial import (
    Candidate,
    EnsembleProposal,
    Failure,
    FailureKind,
    SupernetProposal,
    Trial,
)
from search.weight_sharing.evaluation import train_supernet
from search.weight_sharing.inheritance import SHARED_BY_NETWORKS, inherit

log = logging.getLogger(__name__)

Data = Literal["train", "train+val"]

_MEMORY_MESSAGES = (
    "can't allocate memory",  # torch's DefaultCPUAllocator
    "could not create a primitive",  # oneDNN, which had no memory for it
    "not enough memory",
    "out of memory",
    "std::bad_alloc",
    "could not create a memory",  # oneDNN
)


MICRO_BATCHES = 2
"""Parts of a step, after a trial had no room for its steps as a whole."""

EARLY_METRICS = ("latency_ms", "peak_memory_bytes")
"""Known of a network that was built, before it is trained."""


class TrainEvaluator:
    """Runs trials of one search in this process.

    Every epoch reports the trainer's metrics and, with them, `parameters`, `flops`, `latency_ms`
    (batch 1, on the training device, alone on its machine), `train_seconds` (so far, without what
    the caller does between epochs) and `peak_memory_bytes` (`models.memory.PeakMemory`). Final
    trials add the test metrics to their last report, and leave
    `{checkpoints}/{number}.safetensors`; on `train+val` with early stopping they train twice
    (`_retrained`). An ensemble is put together of what they left
    (`search.evaluators.combining`). Of a dataset with folds others are trained once a fold
    (`models.training.folds`).

    A candidate that breaks one of the `limits` on `latency_ms` or `peak_memory_bytes` before its
    first step is infeasible, with both among its metrics. Of the memory only the least is known
    then. `free` architectures have no limits.

    A candidate that runs out of memory, or surely would, is trained once more from where it began,
    with its steps in two parts (`models.training.trainer.Training`): then `micro_batches` is among
    its metrics. One after which a GPU refuses all work is a `PoisonedError`.

    After each epoch of `save_after` a candidate leaves its state beside them before it reports the
    epoch, and so does a supernet after epochs of its own choice
    (`search.weight_sharing.evaluation`).
    Whoever evaluates it again goes on from there: the first report is that epoch's. A supernet
    whose settings say `inherit_weights` leaves the weights of what it derived there as well, and a
    candidate with `weights_from` begins with them, or fails where they are lost.
    """

    def __init__(
        self,
        dataset: DatasetReference,
        checkpoints: str,
        *,
        final_data: Data = "train",
        cpus: float = 1,
        gpus: float = 0,
        memory_limit_bytes: int | None = None,
        save_after: Collection[int] = (),
        space: FamilySettings | None = None,
        limits: Sequence[Constraint] = (),
        free: Collection[Architecture] = (),
        error_unit: ErrorUnit = "own_unit",
        shared: Recipe | None = None,
        best_for: str | None = None,
        is_deterministic: bool = False,
        combined_for: Sequence[Objective] = (),
    ) -> None:
        """`checkpoints` is a folder or an fsspec URL. `memory_limit_bytes`: what a training run
        may need at least; default: what the machine has. `space`: of which supernets are built.
        `shared`: what all networks of a supernet are trained by; default: the default recipe.
        `best_for`: the metric, without prefix, for which thresholds are chosen on validation.
        `is_deterministic`: a GPU gives the same bits each time, or the trial fails. `combined_for`:
        the objectives by which final trials are put together; none: they are not.

        Raises:
            models.registry.UnknownNameError: there is no such dataset.
            models.datasets.reference.DamagedDatasetError: it is not what was stored.
            RuntimeError: a GPU is asked for where there is none.
        """
        self._dataset, self._checkpoints = load_dataset(dataset), checkpoints.rstrip("/")
        self._prepared: dict[tuple[str, str], Dataset] = {}
        self._final_data, self._threads = final_data, max(1, round(cpus))
        self._device = use_card(gpus) if gpus > 0 else torch.device("cpu")
        self._is_deterministic = is_deterministic
        self._memory_limit_bytes = memory_limit_bytes
        self._save_after, self._space = frozenset(save_after), space
        self._limits = [limit for limit in limits if limit.metric in EARLY_METRICS]
        self._cost_limits = [limit for limit in limits if limit.metric in COST_METRICS]
        self._free, self._error_unit = free, error_unit
        self._shared, self._best_for = shared, best_for
        self._combined_for = tuple(combined_for)

    @classmethod
    def for_search(
        cls, spec: SearchSpec, checkpoints: str, dataset: DatasetReference | None = None
    ) -> TrainEvaluator:
        """`spec` is resolved; `dataset`: where its dataset is kept, default: under its name."""
        shared = {
            name: as_domain(getattr(spec.training, name)).first for name in SHARED_BY_NETWORKS
        }
        return cls(
            dataset or spec.dataset,
            checkpoints,
            final_data=spec.final.data,
            cpus=spec.resources.cpus_per_trial,
            gpus=spec.resources.gpus_per_trial,
            save_after=spec.fidelity_rule().pause_epochs,
            space=spec.members[0] if len(spec.members) == 1 else None,
            limits=spec.constraints,
            free=[preset(name).architecture for name in spec.presets],
            error_unit=spec.errors_in,
            shared=Recipe.model_validate(shared),
            best_for=_decided_for(spec.objectives),
            is_deterministic=spec.resources.deterministic,
            combined_for=() if spec.ensemble is None else spec.objectives,
        )

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        failure: Failure | None = None
        metrics: Metrics | None = None
        is_poisoned = False
        attempts = (1,) if trial.is_supernet else (1, MICRO_BATCHES)
        for micro_batches in attempts:
            try:
                yield from at_work(self._run(trial, micro_batches))
                return
            except EvaluationError as error:
                failure, metrics = error.failure, error.metrics
            except Exception as error:  # whatever a candidate does, the search goes on
                failure, is_poisoned = failure_of(error), is_sticky(error)
                # As text: a log record with the traceback would hold the network's tensors too.
                log.warning("trial %d failed\n%s", trial.number, traceback.format_exc())
                if is_poisoned:
                    break
            _release_memory()  # out here nothing holds the traceback, its frames or their tensors
            if failure.kind is not FailureKind.OUT_OF_MEMORY:
                break
        assert failure is not None  # noqa: S101 - for the type checker
        kind = PoisonedError if is_poisoned else EvaluationError
        raise kind(failure.kind, failure.message, metrics)

    def _run(self, trial: Trial, micro_batches: int) -> Generator[Measurement]:
        if self._device.type == "cuda":
            set_deterministic(self._is_deterministic)
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        if isinstance(trial.proposal, SupernetProposal):
            if self._space is None:
                raise ValueError("a supernet needs the space of its networks")
            leaves_weights = trial.proposal.settings.get("inherit_weights", False)
            yield from train_supernet(
                trial,
                self._space,
                self._with_inputs(self._shared or Recipe()),
                self._device,
                self._state_url(trial),
                self._cost_limits,
                self._memory_limit_bytes,
                self._weights_url(trial.number) if leaves_weights else None,
                self._shared,
            )
            return
        if isinstance(trial.proposal, EnsembleProposal):
            yield self._combined(trial.proposal)
            return
        device, candidate = self._device, trial.candidate
        dataset = self._with_inputs(candidate.recipe)
        is_final = trial.kind.sees_test
        data: Data = self._final_data if is_final else "train"

        known = dict(cost(candidate.architecture, dataset.task, candidate.recipe))
        if micro_batches > 1:
            known["micro_batches"] = float(micro_batches)
        self._refuse_too_big(candidate, known, micro_batches)
        peak = PeakMemory(device)
        network = build(candidate.architecture, dataset.task, candidate.recipe, trial.seed)
        network.to(device)
        url = self._state_url(trial)
        start, left = None, NOTHING
        if not is_final and self._leaves_state(candidate):
            start, left = saved.left(url, trial)
        before = left.metrics
        known["latency_ms"] = before.get("latency_ms") or latency_ms(network, dataset.task, device)
        if not is_final and not before and candidate.architecture not in self._free:
            self._keep_limits(candidate, known, peak, micro_batches)
        if candidate.weights_from is not None and start is None:
            inherit(self._weights_url(candidate.weights_from), network, candidate)
        spent = before.get("train_seconds", 0.0)
        is_retrained = data == "train+val" and candidate.recipe.early_stopping > 0
        found_on: Data = "train" if is_retrained else data
        training = self._training(trial, network, found_on, start, micro_batches)
        epochs = training.epochs()
        if is_retrained:
            epochs = self._retrained(epochs, trial, network, micro_batches)
        is_validated = data == "train" or is_retrained
        reports = _complete(epochs, known, peak, spent, with_validation=is_validated)
        if not is_final:
            if before:
                yield left
            for report in reports:
                epoch = report["epoch"]
                if epoch in self._save_after and epoch < candidate.recipe.epochs:
                    saved.save(url, trial, training.state(), Measurement(report))
                yield Measurement(report)
            return
        held = next(reports)  # one report behind, because only the last one carries the test score
        for report in reports:
            yield Measurement(held)
            held = report
        network.to("cpu")  # the test score is the one that a user of the bundle gets
        tested = final_scores(
            network,
            dataset,
            candidate.recipe,
            self._error_unit,
            chosen=held,
            best_for=self._best_for,
            is_validated=data == "train",
        )
        held |= _finite(tested, "the test split")
        self._save(trial, network, held)
        yield Measurement(held)

    def _with_inputs(self, recipe: Recipe) -> Dataset:
        """The dataset as the recipe has it, worked out once."""
        wanted = (recipe.input_transform, recipe.tokens)
        if wanted not in self._prepared:
            self._prepared[wanted] = with_inputs(self._dataset, recipe)
        return self._prepared[wanted]

    def _retrained(
        self,
        found: Iterator[dict[str, float]],
        trial: Trial,
        network: nn.Module,
        micro_batches: int,
    ) -> Generator[dict[str, float]]:
        """The epochs `found` of a training that keeps validation, then of one from scratch on both
        splits, with the same seed and schedule, that ends after the best epoch of the first. They
        are numbered on. The last report has what validation said of the first training: its scores,
        of which there are none of the weights that the network then holds, what its outputs are
        decided by and their temperature; and `retrained_epochs`.
        """
        candidate = trial.candidate
        first: dict[str, float] = {}
        task = self._with_inputs(candidate.recipe).task
        for first in found:
            yield first
        validation = self._with_inputs(candidate.recipe).validation
        said = outputs_of(network, validation, task)
        if self._combined_for:
            leave_outputs(self._outputs_url(trial.number), said)
        best, epoch = int(first["best_epoch"]), first["epoch"]
        kept = {name: value for name, value in first.items() if _is_of_validation(name)}
        kept |= fitted(said, validation.y, task, best_for=self._best_for)
        again = build(candidate.architecture, task, candidate.recipe, trial.seed)
        network.load_state_dict(again.state_dict())
        training = self._training(trial, network, "train+val", None, micro_batches)
        with closing(training.epochs()) as epochs:
            for metrics in islice(epochs, best):
                told = kept | {"retrained_epochs": best} if metrics["epoch"] == best else {}
                yield metrics | {"epoch": epoch + metrics["epoch"], "best_epoch": best} | told

    def _combined(self, proposal: EnsembleProposal) -> Measurement:
        """Of the networks that are best together, on the CPU, as a user of the bundle gets it."""
        finals = [
            Final(
                number,
                left := checkpoint.load(self._checkpoint_url(number)),
                self._with_inputs(left.recipe),
                self._outputs_url(number),
            )
            for number in proposal.finals
        ]
        chosen, metrics = combine(
            finals,
            proposal.size,
            self._combined_for,
            partial(scoring, error_unit=self._error_unit, best_for=self._best_for),
            self._best_for,
        )
        network = chosen.network().to(self._device)
        metrics["latency_ms"] = latency_ms(network, chosen.task, self._device)
        tested = final_scores(
            network.to("cpu"),
            self._with_inputs(chosen.recipe),
            chosen.recipe,
            self._error_unit,
            chosen=metrics,
            is_validated=False,
        )
        return Measurement(_finite({**metrics, **tested}, "the test split"), chosen.architecture)

    def _training(
        self,
        trial: Trial,
        network: nn.Module,
        data: Data,
        start: TrainingState | None,
        micro_batches: int,
    ) -> Training | FoldedTraining:
        """Of the network on the dataset, or of one like it on each of its folds."""
        architecture, recipe = trial.candidate.architecture, trial.candidate.recipe
        is_final = trial.kind.sees_test
        if self._dataset.folds and not is_final:
            return FoldedTraining(
                partial(build, architecture, self._with_inputs(recipe).task, recipe),
                self._dataset,
                recipe,
                seed=trial.seed,
                device=self._device,
                error_unit=self._error_unit,
                best_for=self._best_for,
                start=start,
                micro_batches=micro_batches,
            )
        return Training(
            network,
            self._with_inputs(recipe),
            recipe,
            seed=trial.seed,
            device=self._device,
            data=data,
            keep_best=is_final and data == "train",
            start=start,
            error_unit=self._error_unit,
            best_for=self._best_for,
            micro_batches=micro_batches,
        )

    def _keep_limits(
        self,
        candidate: Candidate,
        known: Mapping[str, float],
        peak: PeakMemory,
        micro_batches: int,
    ) -> None:
        """Refuse a candidate that breaks a limit already. A limit below, on memory, is left to the
        measurement.
        """
        if not self._limits:
            return
        least = max(peak.bytes(), self._training_bytes(candidate, micro_batches))
        metrics = {**known, "peak_memory_bytes": float(least)}
        for limit in self._limits:
            is_bound = limit.metric == "peak_memory_bytes"
            reason = limit.violation(metrics)
            if reason and not (is_bound and (limit.max is None or least <= limit.max)):
                message = f"refused before training: {reason}"
                raise EvaluationError(FailureKind.INFEASIBLE, message, metrics)

    def _refuse_too_big(
        self, candidate: Candidate, known: Mapping[str, float], micro_batches: int
    ) -> None:
        dataset = self._dataset
        limit = self._memory_limit_bytes or available_bytes(self._device)
        batch_size = largest_step(dataset, candidate.recipe, micro_batches)
        # A value that autograd keeps takes four bytes and some FLOPs: few FLOPs, enough room.
        if 16 * (known["flops"] * batch_size + known["parameters"]) < limit:
            return
        needed = self._training_bytes(candidate, micro_batches)
        if needed > limit:
            of = "" if micro_batches == 1 else "half "
            raise EvaluationError(
                FailureKind.OUT_OF_MEMORY,
                f"refused before training: {of}a step with {batch_size} samples needs at least "
                f"{needed / 2**20:,.0f} MiB, allowed are {limit / 2**20:,.0f} MiB",
            )

    def _training_bytes(self, candidate: Candidate, micro_batches: int) -> int:
        """The least that a step of the candidate's training needs."""
        task, recipe = self._with_inputs(candidate.recipe).task, candidate.recipe
        with torch.device("meta"):
            network = families[candidate.architecture.family].build(
                candidate.architecture, task, recipe
            )
        batch_size = largest_step(self._dataset, recipe, micro_batches)
        return training_bytes(network, task, recipe, batch_size)

    def _leaves_state(self, candidate: Candidate) -> bool:
        """Whether its training is left after an epoch that is not its last: to look for what was
        left costs a store two requests.
        """
        return any(epoch < candidate.recipe.epochs for epoch in self._save_after)

    def _state_url(self, trial: Trial) -> str:
        return f"{self._checkpoints}/{trial.number}.state.safetensors"

    def _weights_url(self, supernet: int) -> str:
        return f"{self._checkpoints}/{supernet}.weights.safetensors"

    def _checkpoint_url(self, final: int) -> str:
        return f"{self._checkpoints}/{final}.safetensors"

    def _outputs_url(self, final: int) -> str:
        return f"{self._checkpoints}/{final}.outputs.safetensors"

    def _save(self, trial: Trial, network: nn.Module, metrics: Mapping[str, float]) -> None:
        checkpoint.save(
            self._checkpoint_url(trial.number),
            network,
            trial.candidate.architecture,
            self._with_inputs(trial.candidate.recipe).task,
            trial.candidate.recipe,
            {
                "trial": trial.number,
                "seed": trial.seed,
                "metrics": dict(metrics),
                "dataset": self._dataset.name,
                "dataset_fingerprint": self._dataset.fingerprint,
            },
        )


def _decided_for(objectives: Sequence[Objective]) -> str | None:
    """The metric, without prefix, for which it is chosen how outputs are decided for: the first of
    the objectives of validation that depends on it. None: the larger output decides, or a
    probability of 1/2.
    """
    for objective in objectives:
        prefix, _, name = objective.metric.partition("_")
        if prefix == "val" and name in DECISION_METRICS and objective.goal == "maximize":
            return name
    return None


def _is_of_validation(metric: str) -> bool:
    return metric.startswith("val_") or metric in (MARGIN, ADJUSTMENT)


def failure_of(error: Exception) -> Failure:
    """The reason of a failed trial, for people: one line, no traceback."""
    kind = FailureKind.ERROR
    text = " ".join(str(error).split())
    if isinstance(error, InfeasibleError):
        return Failure(FailureKind.INFEASIBLE, text)
    if isinstance(error, NonFiniteError):
        kind = FailureKind.NON_FINITE
    elif isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(part in text for part in _MEMORY_MESSAGES)
    ):
        kind = FailureKind.OUT_OF_MEMORY
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Failure(kind, message if len(message) <= 500 else message[:497] + "...")


def _complete(
    epochs: Iterator[Mapping[str, float]],
    known: Mapping[str, float],
    peak: PeakMemory,
    train_seconds: float,
    *,
    with_validation: bool,
) -> Iterator[dict[str, float]]:
    """The trainer's reports with what is known and measured around them; `train_seconds` have been
    spent before. While others measure, nobody trains.
    """
    while True:
        started, waited = perf_counter(), waited_seconds()
        metrics = next(epochs, None)
        train_seconds += perf_counter() - started - (waited_seconds() - waited)
        if metrics is None:
            return
        shown = {
            name: value
            for name, value in metrics.items()
            if with_validation or not name.startswith("val_")
        }
        report = {
            **shown,
            **known,
            "train_seconds": train_seconds,
            "peak_memory_bytes": float(peak.bytes()),
        }
        yield _finite(report, f"epoch {metrics.get('epoch', 0):g}")


def _finite(metrics: Mapping[str, float], where: str) -> dict[str, float]:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise EvaluationError(FailureKind.NON_FINITE, f"{name} is {value} after {where}")
    return dict(metrics)


def _release_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
