"""The hand-made networks that the field measures against, as points of the families' spaces.

One JSON document a network, named by its file: `description`; `architecture`; `recipe`, what it is
trained by where that differs from the task's own; `near`, what a smaller network in its likeness
has beside where that is open, none if left out; `published`, the task and the number of
parameters that its authors, or the library that everyone uses, report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from models.architecture import Architecture
from models.domains import Scalar
from models.recipe import Recipe
from models.registry import UnknownNameError
from models.task import Task
from models.training.defaults import default_recipe


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    description: str
    architecture: Architecture
    recipe: Mapping[str, Scalar]
    published: Mapping[str, Any]
    near: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def likeness(self) -> Architecture:
        """What a network in its likeness is sought by; it need not be one itself."""
        decisions = self.architecture.decisions
        return Architecture(self.architecture.family, {**self.near, **decisions})

    def recipe_for(self, task: Task, **wanted: object) -> Recipe:
        """The task's own recipe, changed by the preset and then by `wanted`.

        Raises:
            pydantic.ValidationError: an unknown field, or a value that it does not take.
        """
        own = default_recipe(task.form).model_dump()
        return Recipe.model_validate({**own, **self.recipe, **wanted})


@cache
def presets() -> Mapping[str, Preset]:
    """By name, sorted."""
    files = [file for file in resources.files(__name__).iterdir() if file.name.endswith(".json")]
    found = {}
    for file in sorted(files, key=lambda file: file.name):
        name, document = file.name.removesuffix(".json"), json.loads(file.read_text("utf-8"))
        architecture = Architecture.from_json(document.pop("architecture"))
        found[name] = Preset(name, architecture=architecture, **document)
    return found


def preset(name: str) -> Preset:
    """
    Raises:
        UnknownNameError: no such preset.
    """
    if name not in presets():
        raise UnknownNameError("preset", name, list(presets()))
    return presets()[name]
