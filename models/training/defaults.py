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
    "graph_classification": {"epochs": 60, "optimizer": "adam", "learning_rate": 0.01},
}
"""What differs from the defaults of `Recipe`, which are those for images."""


def default_recipe(task_name: str) -> Recipe:
    """A recipe that trains a plain network of this task well."""
    return Recipe.model_validate(_DEFAULTS[task_name])


def with_task_defaults(training: Settings, task_name: str) -> Settings:
    """`training`, whose fields are those of a recipe, with the task's own in what it left out."""
    recipe = default_recipe(task_name)
    left_out = type(training).model_fields.keys() - training.model_fields_set
    return training.model_copy(update={name: getattr(recipe, name) for name in left_out})
