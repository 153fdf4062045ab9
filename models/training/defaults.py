"""The recipe of a task where a request leaves it open."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from models.domains import Choice, Range, Scalar, as_domain
from models.family import InfeasibleError
from models.recipe import MAX_EPOCHS, Recipe, TrainingSettings

_DEFAULTS: Mapping[str, Mapping[str, Scalar]] = {
    "tabular_classification": {
        "epochs": 40,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 0.005,
    },
    "tabular_regression": {
        "epochs": 40,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 0.005,
    },
    "image_classification": {},
    "forecasting": {"optimizer": "adam", "learning_rate": 0.001, "clip_norm": 1.0},
    "sequence_classification": {
        "epochs": 20,
        "optimizer": "adam",
        "learning_rate": 0.003,
        "clip_norm": 1.0,
    },
    "text_classification": {
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "weight_decay": 0.01,
        "schedule": "warmup_cosine",
        "clip_norm": 1.0,
    },
    "language_modeling": {
        "epochs": 4,
        "optimizer": "adamw",
        "learning_rate": 0.002,
        "weight_decay": 0.01,
        "schedule": "warmup_cosine",
        "clip_norm": 1.0,
    },
    "node_classification": {  # Kipf and Welling 2017, section 5.2; dropout is the family's
        "epochs": 200,
        "batch_size": 65_536,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "schedule": "constant",
        "l2": 5e-4,
    },
    "multilabel_classification": {  # of tables; else that of `Task.form`
        "epochs": 40,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": 0.005,
    },
    "graph_classification": {"epochs": 60, "optimizer": "adam", "learning_rate": 0.01},
}
"""What differs from the defaults of `Recipe`, which are those for images."""


_LEAST_STEPS, _LEAST_BATCH = 16, 8
# Validation accuracy at 0.001 and at 0.003 of three random networks a family on each of several
# sets. 60 texts of a made-up vocabulary: bag 0.885 and 0.932, text_cnn 0.949 and 0.968, transformer
# 0.774 and 0.754. Docstrings by their package, 60: 0.731 and 0.741, 0.685 and 0.704, 0.639 and
# 0.685; 150: 0.622 and 0.744, 0.767 and 0.767, 0.678 and 0.678; the bag of 600: 0.569 and 0.678.
_RATE_OF_FEW_TEXTS = 0.003
"""Where their batch is halved."""

_LEAST_TRAINING = 400
"""Steps of a whole training."""

_MOST_PASSES, _MOST_PASSES_OF_PICTURES = 10, 2
"""How many times the epochs of a task they may cost; a step of pictures takes the longest."""

_MANY_EPOCHS = {"tabular_classification", "tabular_regression", "node_classification"}
"""Tasks whose default epochs are enough for few samples; with more steps they overfit."""

# Four random networks each, by validation with the usual epochs and with 400 steps. 200 kB of text:
# loss 2.99 and 2.63; 73 windows of ETTh1: mse 0.16 and 0.44. Three of digits, accuracy after 8, 16
# and 24 epochs: 0.972, 0.978, 0.969; 0.565, 0.708, 0.774; 0.942, 0.961, 0.958.
_USUAL_EPOCHS = _MANY_EPOCHS | {"forecasting"}
"""Tasks whose epochs do not follow the data."""


_USUAL_RATES: Mapping[str, float] = {
    "sgd": 0.1,
    "momentum": 0.05,
    "nesterov": 0.05,
    "adagrad": 0.03,
    "rmsprop": 0.001,
    "adam": 0.003,
    "adamw": 0.003,
}
_STEADY = {"sgd", "momentum", "nesterov", "adagrad"}
"""Optimizers whose steps grow with the gradient."""

# Middle networks, by validation at a third of the usual rate, at it, three and ten times it. Linear
# maps: sunspots, mse 1.02, 0.50, 0.21, 0.21; weekly CO2, 0.090, 0.015, 0.006, 0.005; an rnn on
# sunspots 0.70, 0.31, 0.22, 0.22. Bag of n-grams, who speaks in plays, accuracy 0.25, 0.29, 0.37,
# 0.43. A perceptron, miles per gallon of cars, mse 0.108, 0.104, 0.106, 0.131.
_TIMES, _TIMES_OF_STEADY = (1 / 3, 1.0, 3.0, 10.0), (1 / 5, 1.0, 3.0)


def learning_rates(task_name: str, optimizers: Collection[str]) -> tuple[float, ...]:
    """Those that some family wants of a task, or of tasks of this form, ascending. The one in the
    middle, of two the lower, is the task's own where `optimizers` is its own alone.
    """
    own = default_recipe(task_name)
    found = set()
    for optimizer in optimizers:
        usual = own.learning_rate if optimizer == own.optimizer else _USUAL_RATES[optimizer]
        times = _TIMES_OF_STEADY if optimizer in _STEADY else _TIMES
        found |= {float(f"{usual * factor:.2g}") for factor in times}
    return tuple(sorted(found))


def default_recipe(task_name: str, samples: int | None = None) -> Recipe:
    """A recipe that trains a plain network of this task, or of tasks of this form, well. `samples`:
    of the train split; where they are few the batch is halved, down to 8, until an epoch has 16
    steps, and there are as many epochs as make 400 steps, at most ten times the usual ones and of
    pictures twice, but of forecasts. Few texts have a larger learning rate.
    """
    recipe = Recipe.model_validate(_DEFAULTS[task_name])
    if samples is None or task_name in _MANY_EPOCHS:
        return recipe
    batch_size = recipe.batch_size
    while batch_size > _LEAST_BATCH and samples < _LEAST_STEPS * batch_size:
        batch_size //= 2
    epochs = recipe.epochs
    if task_name not in _USUAL_EPOCHS:
        epochs = _enough_epochs(task_name, samples, batch_size)
    changed: dict[str, float] = {"batch_size": batch_size, "epochs": epochs}
    if task_name == "text_classification" and batch_size < recipe.batch_size:
        changed["learning_rate"] = _RATE_OF_FEW_TEXTS
    return recipe.model_copy(update=changed)


def with_task_defaults(
    training: TrainingSettings, task_name: str, samples: int | None = None
) -> TrainingSettings:
    """`training`, whose fields are those of a recipe and `steps`, with the task's own in what it
    left out, and with epochs for steps. `samples`: of the train split, where they are known.

    Raises:
        InfeasibleError: the steps are more epochs than there may be, or cannot be counted.
    """
    said = {name: getattr(training, name) for name in training.model_fields_set}
    filled = {**dict(default_recipe(task_name, samples)), **said}
    steps = filled.pop("steps", None)
    if steps is not None:
        filled["epochs"] = _epochs_for(steps, filled["batch_size"], samples)
    elif samples is not None and "epochs" not in said and task_name not in _USUAL_EPOCHS:
        largest = max(int(size) for size in as_domain(filled["batch_size"]).levels(2))
        filled["epochs"] = _enough_epochs(task_name, samples, largest)
    found: TrainingSettings = type(training).model_construct(**filled)
    return found


def _enough_epochs(task_name: str, samples: int, batch_size: int) -> int:
    usual = Recipe.model_validate(_DEFAULTS[task_name]).epochs
    pictures = task_name == "image_classification"
    passes = _MOST_PASSES_OF_PICTURES if pictures else _MOST_PASSES
    wanted = math.ceil(_LEAST_TRAINING / math.ceil(samples / batch_size))
    return max(usual, min(wanted, passes * usual))


def _epochs_for(
    steps: int | Choice | Range, batch_size: int, samples: int | None
) -> int | Choice | Range:
    """The fewest epochs that have so many steps."""
    if samples is None:
        raise InfeasibleError("steps", "steps are counted by the dataset, and a task has none")
    an_epoch = math.ceil(samples / int(as_domain(batch_size).first))

    def epochs(wanted: Scalar) -> int:
        found = math.ceil(int(wanted) / an_epoch)
        if found > MAX_EPOCHS:
            message = f"{wanted} steps are {found} epochs, allowed are {MAX_EPOCHS}"
            raise InfeasibleError("steps", f"{message}: an epoch has {an_epoch}")
        return found

    if isinstance(steps, Range):
        return Range(epochs(steps.low), epochs(steps.high), log=steps.log)
    if isinstance(steps, Choice):
        return Choice(tuple(dict.fromkeys(epochs(wanted) for wanted in steps.options)))
    return epochs(steps)
