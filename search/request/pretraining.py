"""What a request says of pretraining: whether it can be had, and what it costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from models.domains import as_domain
from models.recipe import TrainingSettings
from models.task import Task
from models.training.pretexts import allowed, pretexts
from search.problems import shown


def pretraining_refusal(family: str, training: TrainingSettings, task: Task) -> str | None:
    """Why networks of a family cannot be pretrained as the recipe may say."""
    able = allowed(family, task.form)
    for name in as_domain(training.pretraining).values():
        if name not in able:
            return (
                f"{shown(name)} is no start for {family} on {task.name}; "
                f"allowed are {', '.join(able)}"
            )
    return None


def pretraining_inputs(training: TrainingSettings, sizes: Mapping[str, int]) -> float:
    """What a network sees before its first epoch, the mean over what the recipe may say."""
    names = as_domain(training.pretraining).values()
    epochs = as_domain(training.pretraining_epochs).values()
    views = statistics.fmean(0 if n == "none" else pretexts[str(n)].views for n in names)
    samples = sizes["train"] + sizes.get("unlabelled", 0)
    return views * statistics.fmean(float(number) for number in epochs) * samples
