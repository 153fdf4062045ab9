"""What a search that trains networks has where its request leaves the recipe or the finals open, as
its data, families and budget want it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from models.domains import Choice, as_domain
from models.recipe import MAX_EPOCHS, TrainingSettings
from models.task import Task
from models.training.defaults import default_recipe, learning_rates
from search.spec import Final, SearchSpec, longest_training
from search.strategy import StrategySettings
from search.weight_sharing.inheritance import NEEDED
from search.weight_sharing.one_shot import OneShotSettings


def for_finals(
    final: Final, training: TrainingSettings, said: TrainingSettings, task: Task, top: int
) -> Final:
    """The settings of the final stage, with what the request leaves open; `top`: what it has where
    it does. By validation the best epoch of most is in their first half: a run that is no better
    for a quarter of its epochs hardly ever becomes so. In time validation is the newest data, which
    a forecast needs most.
    """
    epochs = final.epochs or min(3 * longest_training(training), MAX_EPOCHS)
    update: dict[str, Any] = {"epochs": epochs}
    if final.patience is None and "early_stopping" not in said.model_fields_set:
        update["patience"] = max(LEAST_PATIENCE, math.ceil(epochs / 4))
    if task.name == "forecasting" and "data" not in final.model_fields_set:
        update["data"] = "train+val"
    if "top" not in final.model_fields_set:
        update["top"] = top
    return final.model_copy(update=update)


def finalists(spec: SearchSpec) -> int:
    """One for every ten trials, so that they cost no more than the search does, and 3 at most. With
    30 seeds and validation by 38 samples, the winner of three after 50 trials is better than the
    first of the search by 0.64 +- 0.29 points on NAS-Bench-201, 0.42 +- 0.27 on NAS-Bench-Graph.
    """
    if len(spec.objectives) > 1:
        return 1
    return min(MAX_FINALISTS, max(1, spec.budget.trials // TRIALS_A_FINALIST))


MAX_FINALISTS, TRIALS_A_FINALIST = 3, 10


LEAST_PATIENCE = 10
"""Epochs: where there are few, the best one is often the last."""


HEAVY_TAIL_CHOICES: Mapping[str, Choice] = {
    "loss": Choice(("mse", "huber", "mae")),
    "target_transform": Choice(("none", "log", "quantile")),
}
"""Of the recipe where a few values are far from the rest and the request says nothing of it."""


def for_heavy_tails(
    training: TrainingSettings, said: TrainingSettings, strategy: StrategySettings
) -> TrainingSettings:
    """The recipe with those choices, as far as what the request `said` leaves them open."""
    inherits = isinstance(strategy, OneShotSettings) and strategy.inherit_weights
    left_open = {
        name: choice
        for name, choice in HEAVY_TAIL_CHOICES.items()
        if name not in said.model_fields_set and not (inherits and name in NEEDED)
    }
    return training.changed(**left_open)


def for_heavy_columns(
    training: TrainingSettings, said: TrainingSettings, strategy: StrategySettings
) -> TrainingSettings:
    """The recipe with the choice of taking numbers by their rank, where the request leaves it open
    and no weights are handed on that know them otherwise.
    """
    inherits = isinstance(strategy, OneShotSettings) and strategy.inherit_weights
    if inherits or "input_transform" in said.model_fields_set:
        return training
    return training.changed(input_transform=Choice(("standard", "quantile")))


def for_unknown_words(
    training: TrainingSettings, said: TrainingSettings, strategy: StrategySettings
) -> TrainingSettings:
    """The recipe with the choice of parts of words, where the request leaves it open and networks
    are trained each with a vocabulary of its own.
    """
    if isinstance(strategy, OneShotSettings) or "tokens" in said.model_fields_set:
        return training
    return training.changed(tokens=Choice(("words", "subwords")))


# 60,000 characters of plays, 23 epochs, bits a character on validation of the best epoch and of
# the last: n-grams beside a GRU 2.60 in the third and 3.65, with a dropout of 0.5 2.58 in the
# fourth and 3.34; n-grams alone 2.66 in the fourth and 3.51.
PATIENCE_OF_SHORT_TEXTS = 3
"""Epochs."""


def for_short_texts(
    training: TrainingSettings, said: TrainingSettings, strategy: StrategySettings, task_name: str
) -> TrainingSettings:
    """The recipe of a language model that ends where validation is no better, with its best
    weights, where the request leaves its length open and the text is so short that it is gone
    through more often than is usual: what counts n-grams knows it by heart after a few times.
    """
    is_open = not {"epochs", "steps", "early_stopping"} & said.model_fields_set
    if task_name != "language_modeling" or not is_open or isinstance(strategy, OneShotSettings):
        return training
    if int(as_domain(training.epochs).first) <= default_recipe(task_name).epochs:
        return training
    return training.changed(early_stopping=PATIENCE_OF_SHORT_TEXTS)


def for_several_families(
    training: TrainingSettings, said: TrainingSettings, strategy: StrategySettings, task_name: str
) -> TrainingSettings:
    """The recipe with a choice of learning rates, where the request leaves that open: a linear map
    wants ten times the rate of a transformer.
    """
    if isinstance(strategy, OneShotSettings) or "learning_rate" in said.model_fields_set:
        return training
    optimizers = as_domain(training.optimizer).values()
    rates = learning_rates(task_name, [str(name) for name in optimizers])
    return training.changed(learning_rate=Choice(rates))
