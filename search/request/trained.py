"""A search of networks, which are trained on a dataset and scored on its validation split."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from models.cost import cost
from models.domains import as_domain
from models.family import FamilySettings, InfeasibleError, families
from models.recipe import (
    OF_LOSS,
    RECORDED,
    VALUE_TASKS,
    TrainingSettings,
    of_tasks,
    refused_fields,
)
from models.task import MULTILABEL, Task
from models.training.defaults import with_task_defaults
from models.training.metrics import default_metric, goal_of, metric_names, scores
from search.evaluation import Evaluator
from search.evaluators.train import TrainEvaluator
from search.objectives import COST_METRICS, MEASURED_METRICS, Constraint, Objective
from search.problems import SpecError, SpecProblem, SpecWarning, problem, shown
from search.request.dataset_facts import DatasetFacts
from search.request.left_open import (
    finalists,
    for_finals,
    for_heavy_columns,
    for_heavy_tails,
    for_several_families,
    for_short_texts,
    for_unknown_words,
)
from search.request.pretraining import pretraining_inputs, pretraining_refusal
from search.request.read import Draft
from search.space import SearchSpace
from search.spaces import spaces
from search.spec import SearchSpec, as_said
from search.trial import Candidate
from search.union import UnionSpace
from search.weight_sharing.one_shot import OneShotSettings


@dataclass(frozen=True, slots=True)
class Trained:
    """Implements `search.request.source.Source`."""

    dataset: DatasetFacts
    task: Task

    @property
    def trains(self) -> bool:
        return True

    @property
    def metrics(self) -> Sequence[str]:
        scores = [f"val_{name}" for name in metric_names(self.task.name)]
        return [*scores, *COST_METRICS, *MEASURED_METRICS]

    def defaults(self, draft: Draft[SearchSpec]) -> Draft[SearchSpec]:
        spec, task, form = draft.spec, self.task.name, self.task.form
        metric, goal = default_metric(task)
        samples = self.dataset.sizes["train"]
        try:
            training = with_task_defaults(spec.training, form, samples)
        except InfeasibleError as error:
            refused = problem(str(error), "training", error.field)
            draft = draft.refused(refused, "training")
            training = with_task_defaults(TrainingSettings(), form, samples)
        if self.has_heavy_tail and draft.has("training", "strategy"):
            metric, goal = "mae", goal_of(task, "val_mae") or goal
            training = for_heavy_tails(training, said=spec.training, strategy=spec.strategy)
        if self.has_heavy_columns and draft.has("training", "strategy"):
            training = for_heavy_columns(training, said=spec.training, strategy=spec.strategy)
        if self.has_unknown_words and draft.has("training", "strategy"):
            training = for_unknown_words(training, said=spec.training, strategy=spec.strategy)
        if draft.has("training", "strategy"):
            training = for_short_texts(training, spec.training, spec.strategy, form)
        final = for_finals(spec.final, training, spec.training, self.task, finalists(spec))
        if draft.has("space"):
            draft = self._with_space(draft.filled(training=training))
        if draft.has("space", "training", "strategy") and len(draft.spec.families) > 1:
            training = for_several_families(training, spec.training, spec.strategy, form)
        if draft.has("strategy") and isinstance(spec.strategy, OneShotSettings):
            draft = draft.filled(strategy=spec.strategy.for_task(form))
        return draft.filled(
            training=training,
            objectives=tuple(
                objective.towards(goal_of(task, objective.metric) or "minimize")
                for objective in spec.objectives
            )
            or (Objective(metric=f"val_{metric}", goal=goal),),
            final=final,
        )

    @property
    def has_heavy_tail(self) -> bool:
        """Whether a few of its values are far from the rest: squared errors are theirs alone."""
        return any(remark.code == "heavy_tail" for remark in self.dataset.remarks)

    @property
    def has_heavy_columns(self) -> bool:
        """Whether standardised numbers of a column look alike, as a few are far away."""
        return any(remark.code == "heavy_tailed_column" for remark in self.dataset.remarks)

    @property
    def has_unknown_words(self) -> bool:
        """Whether many words of validation are in no text of the train split, but parts may be."""
        kinds = {size.tokens for size in self.task.readings}
        return "subwords" in kinds and any(
            remark.code == "unknown_words" for remark in self.dataset.remarks
        )

    def name(self, spec: SearchSpec) -> str:
        if len(spec.families) > 1:
            return f"{spec.dataset}-{spec.strategy.name}"
        return f"{spec.dataset}-{spec.families[0]}-{spec.strategy.name}"

    def _with_space(self, draft: Draft[SearchSpec]) -> Draft[SearchSpec]:
        """Left out, it is every family of the task, but for those that the dataset or the recipe
        rules out, of which whoever asks is told.
        """
        spec = draft.spec
        if spec.space is None:
            able = [name for name, entry in families.items() if self.task.form in entry.tasks]
            spec = spec.model_copy(
                update={"space": as_said("space", [{"family": n} for n in able])}
            )
        shares = draft.has("strategy") and isinstance(spec.strategy, OneShotSettings)
        members = [m.for_task(self.task, shares_weights=shares) for m in spec.members]
        if draft.spec.space is None:
            reasons = [
                _unfit(member, spec.training, self.task) if draft.has("training") else None
                for member in members
            ]
            told = [
                SpecWarning("family_left_out", f"{m.family} is not searched: {reason}", "/space")
                for m, reason in zip(members, reasons, strict=True)
                if reason is not None
            ]
            if len(told) < len(members):
                members = [m for m, r in zip(members, reasons, strict=True) if r is None]
                draft = draft.warned(*told)
        return draft.filled(space=members[0] if len(members) == 1 else tuple(members))

    def problems(self, draft: Draft[SearchSpec]) -> Iterator[SpecProblem]:
        if draft.has("training"):
            yield from augmentation_problems(draft.spec.training, self.task)
            yield from other_tasks_problems(draft.spec.training, self.task)
            yield from token_problems(draft.spec.training, self.task)
            yield from ignored_problems(draft.spec.training, self.task)
        if draft.has("ensemble", "final", "training"):
            yield from ensemble_problems(draft.spec)
        if draft.has("objectives"):
            yield from objective_problems(draft.spec, self.dataset, self.task)
        if draft.has("constraints"):
            yield from undefined_problems(
                "constraints", draft.spec.constraints, self.dataset, self.task
            )
        if draft.has("strategy"):
            yield from fold_problems(draft.spec, self.dataset)
        if draft.has("objectives", "training"):
            yield from loss_problems(draft.spec, self.task)
        if draft.has("space", "training"):
            for family in draft.spec.families:
                yield from start_problems(family, draft.spec.training, self.task)

    def space(self, spec: SearchSpec) -> SearchSpace:
        return space_for(spec.space, spec.training, self.task, is_older=spec.is_older)

    def cost(self, candidate: Candidate) -> dict[str, float]:
        """Parameters and FLOPs of one sample forward."""
        return cost(candidate.architecture, self.task, candidate.recipe)

    def work(
        self, spec: SearchSpec, space: SearchSpace, trials: int, finals: int
    ) -> tuple[float, float | None]:
        searched, final = statistics.fmean(space.epochs) * trials, (spec.final.epochs or 0) * finals
        final *= 2 if spec.final.data == "train+val" and spec.final.patience else 1
        sizes = self.dataset.sizes
        train, first = sizes["train"], pretraining_inputs(spec.training, sizes)
        inputs = final * train + finals * first
        for size in self.dataset.fold_sizes or [train]:
            first = pretraining_inputs(spec.training, {**sizes, "train": size})
            inputs += searched * size + trials * first
        return searched + final, inputs

    def steps(self, spec: SearchSpec) -> float | None:
        training = spec.training
        sizes = self.dataset.fold_sizes or [self.dataset.sizes["train"]]
        batches = as_domain(training.batch_size).levels(LEVELS)
        an_epoch = statistics.fmean(
            math.ceil(size / int(batch)) for size in sizes for batch in batches
        )
        epochs = as_domain(training.epochs).values()
        return statistics.fmean(int(number) for number in epochs) * an_epoch

    def evaluator(self, spec: SearchSpec, checkpoints: str) -> Callable[[], Evaluator]:
        return functools.partial(
            TrainEvaluator.for_search, spec, checkpoints, self.dataset.reference
        )


LEVELS = 9
"""Of a range of batch sizes, that an estimate looks at."""


def token_problems(training: TrainingSettings, task: Task) -> Iterator[SpecProblem]:
    """The texts are kept in each of the ways that they are to be cut."""
    if "tokens" in refused_fields(task):
        return
    wanted = as_domain(training.tokens).values()
    known = ["dataset", *(size.tokens for size in task.readings)]
    if lost := [value for value in wanted if value not in known]:
        message = f"the dataset has no {lost[0]}, known are {', '.join(known)}"
        if not task.readings:
            message += "; it was stored by an older version, and has them where it is added again"
        yield problem(message, "training", "tokens")


def augmentation_problems(training: TrainingSettings, task: Task) -> Iterator[SpecProblem]:
    """Pictures alone are shifted and mirrored."""
    wanted = as_domain(training.augmentation).values()
    if task.form != "image_classification" and (other := [v for v in wanted if v != "none"]):
        message = f"{shown(other[0])} is for pictures, and this is {task.name}; allowed is none"
        yield problem(message, "training", "augmentation")


def other_tasks_problems(training: TrainingSettings, task: Task) -> Iterator[SpecProblem]:
    """Fields of the recipe that are for other tasks are left as they are."""
    others = refused_fields(task)
    for field in (name for name in of_tasks() if name in others):
        wanted = as_domain(getattr(training, field)).levels(1000)
        if other := [value for value in wanted if value != RECORDED[field]]:
            message = (
                f"{shown(other[0])} is for {', '.join(of_tasks()[field].tasks)}, and this is "
                f"{task.shown}; allowed is {shown(RECORDED[field])}"
            )
            yield problem(message, "training", field)


def ignored_problems(training: TrainingSettings, task: Task) -> Iterator[SpecProblem]:
    """What the loss of the task has no use for is left as it is."""
    for field in sorted(scores[task.name].ignores):
        wanted = as_domain(getattr(training, field)).levels(1000)
        if other := [value for value in wanted if value != RECORDED[field]]:
            message = (
                f"{shown(other[0])} changes nothing for {task.name}; allowed is "
                f"{shown(RECORDED[field])}"
            )
            yield problem(message, "training", field)


def loss_problems(spec: SearchSpec, task: Task) -> Iterator[SpecProblem]:
    """Losses of different kinds, or of values in different units, cannot be compared."""
    if task.name not in VALUE_TASKS or spec.force:
        return
    searched = [field for field in OF_LOSS if as_domain(getattr(spec.training, field)).size > 1]
    for index, objective in enumerate(spec.objectives):
        if objective.metric == "val_loss" and searched:
            others = [f"val_{name}" for name in metric_names(task.name) if name != "loss"]
            message = (
                f"val_loss means another thing for each value of training.{searched[0]}, which is "
                f"searched; objectives that do not are {', '.join(others)}"
            )
            yield problem(message, "objectives", index, "metric")


def fold_problems(spec: SearchSpec, dataset: DatasetFacts) -> Iterator[SpecProblem]:
    """A supernet has one train and one validation split: weights that every fold shared would have
    seen the validation of each.
    """
    if dataset.fold_sizes and isinstance(spec.strategy, OneShotSettings):
        message = (
            f"{spec.strategy.name} shares weights between networks, and the dataset validates by "
            f"{len(dataset.fold_sizes)} folds; a strategy that trains each network, or the dataset "
            "without the option validation, is needed"
        )
        yield problem(message, "strategy", "name")


def ensemble_problems(spec: SearchSpec) -> Iterator[SpecProblem]:
    """Its members are chosen on validation, which final trainings keep, or have kept at first."""
    if spec.ensemble is not None and not spec.validates_finals:
        message = (
            "an ensemble is chosen by validation scores, which final trainings on train+val have "
            "where they end early alone; final.patience above 0 or final.data train is needed"
        )
        yield problem(message, "ensemble")


def objective_problems(
    spec: SearchSpec, dataset: DatasetFacts, task: Task
) -> Iterator[SpecProblem]:
    """Objectives can be computed on the validation split, and go the way that they are meant."""
    yield from undefined_problems("objectives", spec.objectives, dataset, task)
    for index, objective in enumerate(spec.objectives):
        goal = goal_of(task.name, objective.metric)
        if goal is not None and objective.goal != goal and not spec.force:
            message = (
                f"{objective.metric} is better where it is {_BETTER[goal]}, got "
                f'{shown(objective.goal)}; "force": true searches for it all the same'
            )
            yield problem(message, "objectives", index, "goal")


def undefined_problems(
    field: str, items: Sequence[Objective | Constraint], dataset: DatasetFacts, task: Task
) -> Iterator[SpecProblem]:
    """Metrics of the task that validation does not give."""
    where = "the validation of a fold" if dataset.fold_sizes else "the validation split"
    for index, item in enumerate(items):
        if dataset.baseline is None or goal_of(task.name, item.metric) is None:
            continue
        if item.metric not in dataset.baseline:
            message = (
                f"{item.metric} cannot be computed: {_reason(task.name, where)}; "
                f"known here are {', '.join(sorted(dataset.baseline))}"
            )
            yield problem(message, field, index, "metric")


def _reason(task_name: str, where: str) -> str:
    """Why a metric has no value there."""
    if task_name == MULTILABEL:
        return f"of every label, all samples of {where} have it, or none has"
    what = "has one value" if task_name in VALUE_TASKS else "is of one class"
    return f"every sample of {where} {what}"


_BETTER = {"maximize": "larger", "minimize": "smaller"}


def space_for(
    space: FamilySettings | tuple[FamilySettings, ...],
    training: TrainingSettings,
    task: Task,
    *,
    is_older: bool = False,
) -> SearchSpace:
    """The space of a request: that of its family, or the union of several.

    Raises:
        search.problems.SpecError: a family is not for the task or named twice, or no network of its
            settings fits the task.
    """
    if not isinstance(space, tuple):
        return _space_of(space, training, task, "space", is_older=is_older)
    members: dict[str, SearchSpace] = {}
    problems: list[SpecProblem] = []
    for index, settings in enumerate(space):
        name = settings.family
        if name in members:
            message = f"each family is named once, got {shown(name)} again"
            problems.append(problem(message, "space", index, "family"))
            continue
        try:
            members[name] = _space_of(settings, training, task, "space", index, is_older=is_older)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return UnionSpace(members, is_older=is_older)


def _space_of(
    settings: FamilySettings,
    training: TrainingSettings,
    task: Task,
    *where: str | int,
    is_older: bool = False,
) -> SearchSpace:
    """`where`: of the settings in the request."""
    tasks = spaces[settings.family].tasks
    if task.form not in tasks:
        able = [name for name, entry in families.items() if task.form in entry.tasks]
        message = (
            f"{settings.family} is for {', '.join(sorted(tasks))}, the task here is {_told(task)}; "
            f"families for it are {', '.join(able) or 'none'}"
        )
        raise SpecError([problem(message, *where, "family")])
    try:
        family = families[settings.family]
        return SearchSpace.of_family(
            settings.family, family, settings, training, task, is_older=is_older
        )
    except InfeasibleError as error:
        raise SpecError([problem(str(error), *where, error.field)]) from None


def _unfit(settings: FamilySettings, training: TrainingSettings, task: Task) -> str | None:
    """Why networks of a family for the task cannot be built, or not trained by the recipe."""
    try:
        families[settings.family].decisions(settings, task)
    except InfeasibleError as error:
        return str(error)
    return pretraining_refusal(settings.family, training, task)


def _told(task: Task) -> str:
    return task.name if task.name == task.form else f"{task.name}, as {task.form} of its input"


def start_problems(family: str, training: TrainingSettings, task: Task) -> Iterator[SpecProblem]:
    """Networks of a family that is for the task can be pretrained as the recipe may say."""
    if task.form in spaces[family].tasks:
        if refusal := pretraining_refusal(family, training, task):
            yield problem(refusal, "training", "pretraining")
