"""A family is tested by existing: `search.testing.families` says what holds for each.

`tests/golden/*.json` holds what each built at first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models.architecture import Architecture
from models.family import families
from models.recipe import Recipe
from models.task import Task
from search.testing.families import (
    ON_TASK,
    check_checkpoint,
    check_corners,
    check_defaults,
    check_other_tasks,
    check_tasks,
)

GOLDEN = Path(__file__).parents[1] / "golden"
PAIRS = [(family, task) for family in families for task in sorted(families[family].tasks)]


@pytest.mark.parametrize("check", [check_tasks, check_defaults, check_other_tasks])
@pytest.mark.parametrize("name", families)
def test_a_family(name: str, check: Callable[[str], None]) -> None:
    check(name)


@pytest.mark.parametrize("check", ON_TASK)
@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_a_family_on_a_task(name: str, task_name: str, check: Callable[[str, str], None]) -> None:
    check(name, task_name)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_the_corners_of_the_space_are_networks(name: str, task_name: str, last: bool) -> None:
    check_corners(name, task_name, last)


@pytest.mark.parametrize(("name", "task_name"), PAIRS)
def test_a_checkpoint_gives_equal_outputs(name: str, task_name: str, tmp_path: Path) -> None:
    check_checkpoint(name, task_name, tmp_path)


@pytest.mark.parametrize("name", families)
def test_the_build_is_the_recorded_one(name: str) -> None:
    """A changed meaning of a decision is a new decision: stored searches keep their networks."""
    records = json.loads((GOLDEN / f"{name}.json").read_text())
    assert {record["task"]["name"] for record in records} == families[name].tasks
    for record in records:
        built = families[name].build(
            Architecture.from_json(record["architecture"]),
            Task.from_json(record["task"]),
            Recipe(batch_norm=record["batch_norm"]),
        )
        state = {n: list(v.shape) for n, v in built.state_dict().items()}
        assert state == record["state_dict"], record["name"]
        parameters = sum(p.numel() for p in built.parameters())
        assert parameters == record["parameters"], record["name"]
