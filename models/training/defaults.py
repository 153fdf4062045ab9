"""The recipe of a task where a request leaves it open."""

from __future__ import annotations

from collections.abc import Mapping

from models.domains import Scalar
from models.recipe import Recipe
from models.settings import Settings

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

_MANY_EPOCHS = {"tabular_classification", "tabular_regression", "node_classification"}
"""Tasks whose default epochs are enough for few samples; with more steps they overfit."""


def default_recipe(task_name: str, samples: int | None = None) -> Recipe:
    """A recipe that trains a plain network of this task, or of tasks of this form, well. `samples`:
    of the train split; where they are few the batch is halved, down to 8, until an epoch has 16
    steps.
    """
    recipe = Recipe.model_validate(_DEFAULTS[task_name])
    if samples is None or task_name in _MANY_EPOCHS:
        return recipe
    batch_size = recipe.batch_size
    while batch_size > _LEAST_BATCH and samples < _LEAST_STEPS * batch_size:
        batch_size //= 2
    return recipe.model_copy(update={"batch_size": batch_size})


def with_task_defaults(training: Settings, task_name: str, samples: int | None = None) -> Settings:
    """`training`, whose fields are those of a recipe, with the task's own in what it left out.
    `samples`: of the train split, where they are known.
    """
    recipe = default_recipe(task_name, samples)
    left_out = type(training).model_fields.keys() - training.model_fields_set
    return training.model_copy(update={name: getattr(recipe, name) for name in left_out})
