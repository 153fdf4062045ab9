"""What a request may ask for, and had better not: said, and left to whoever asks."""

from __future__ import annotations

from collections.abc import Iterator

from models.recipe import CLASS_TASKS
from models.task import MULTILABEL, Task
from search.problems import SpecWarning
from search.request.dataset_facts import DatasetFacts
from search.spec import SearchSpec


def doubtful_choices(spec: SearchSpec, dataset: DatasetFacts, task: Task) -> Iterator[SpecWarning]:
    """Of a search that trains networks."""
    yield from _of_spaces(spec, task)
    if task.name == MULTILABEL:
        yield from _of_labels(spec)
    if task.name not in CLASS_TASKS:
        return
    told = {remark.code for remark in dataset.remarks}
    if spec.objectives[0].metric == "val_accuracy" and "class_imbalance" in told:
        message = (
            "val_accuracy hardly counts the rare class; val_balanced_accuracy, val_f1 or "
            "val_average_precision do, and training.class_weight has it count as much in training"
        )
        yield SpecWarning("accuracy_of_imbalance", message, "/objectives/0/metric")
    if not spec.validates_finals:
        message = (
            "final models train on validation too, and at once: nothing is left to learn a "
            "temperature or a threshold on, so that probabilities are not calibrated and the "
            "largest output decides; final.patience above 0 keeps validation at first"
        )
        yield SpecWarning("uncalibrated", message, "/final/data")


def short_budget(spec: SearchSpec) -> Iterator[SpecWarning]:
    """Of a search whose strategy learns nothing before the trials are over."""
    drawn = getattr(spec.strategy, "initial_samples", None) or 0
    first = drawn + len(spec.suggestions)
    if spec.budget.trials > first or not first:
        return
    suggested = f", {len(spec.suggestions)} of them suggestions" if spec.suggestions else ""
    message = (
        f"{spec.strategy.name} begins to learn after {first} trials{suggested}, and the budget has "
        f"{spec.budget.trials}: this is random search, and what wins says nothing of the strategy"
    )
    yield SpecWarning("opening_only", message, "/budget/trials")


def _of_labels(spec: SearchSpec) -> Iterator[SpecWarning]:
    if not spec.validates_finals:
        message = (
            "final models train on validation too, and at once: nothing is left to learn a "
            "temperature or a threshold of each label on, so that probabilities are not calibrated "
            "and a label is said from 1/2 on; final.patience above 0 keeps validation at first"
        )
        yield SpecWarning("uncalibrated", message, "/final/data")


def _of_spaces(spec: SearchSpec, task: Task) -> Iterator[SpecWarning]:
    for place, settings in enumerate(spec.members):
        where = f"/space/{place}" if isinstance(spec.space, tuple) else "/space"
        for remark in settings.doubts(task):
            yield SpecWarning(remark.code, remark.message, f"{where}/{remark.where}")
