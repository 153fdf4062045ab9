from typing import Any

import pytest

from search.problems import SpecError
from search.request.dry_run import describe
from search.request.space_request import resolve_space


def test_a_space_can_be_validated_for_a_task_without_data() -> None:
    task = {"name": "image_classification", "input_shape": [3, 32, 32], "outputs": 10}
    resolved = resolve_space({"space": {"family": "cnn_cell"}, "task": task})
    assert resolved.task.input_shape == (3, 32, 32)
    answer = describe(resolved)
    assert answer["size"] > 10**6 and len(answer["examples"]) == 3


@pytest.mark.parametrize(
    ("body", "pointer", "message"),
    [
        ({"space": {"family": "cnn_cell"}}, "", "give either dataset or task"),
        ({"space": {"family": "nope"}, "dataset": "digits"}, "/space/family", "unknown family"),
        ({"space": {"family": "cnn_cell"}, "dataset": "nope"}, "/dataset", "unknown dataset"),
        (
            {
                "space": {"family": "cnn_cell"},
                "task": {"name": "text_classification", "input_shape": [9], "outputs": 2},
            },
            "/task",
            "have a vocabulary",
        ),
        (
            {"space": {"family": "cnn_cell"}, "dataset": "digits", "seed": 1},
            "/seed",
            "known are space, training, dataset, task",
        ),
        (
            {
                "space": {"family": "cnn_cell"},
                "task": {"name": "forecasting", "input_shape": [3], "outputs": 1},
            },
            "/space/family",
            "cnn_cell is for image_classification, the task here is forecasting",
        ),
        (
            {"space": {"family": "cnn_cell"}, "task": {"name": "forecasting", "input_shape": [0]}},
            "/task/input_shape/0",
            "greater than or equal to 1, got 0",
        ),
    ],
)
def test_problems_of_a_space(body: dict[str, Any], pointer: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        resolve_space(body)
    found = {problem.pointer: problem.message for problem in raised.value.problems}
    assert message in found[pointer]


def test_an_impossible_shape_is_named_before_anything_is_built() -> None:
    task = {"name": "image_classification", "input_shape": [1, 2, 2], "outputs": 10}
    with pytest.raises(SpecError) as raised:
        resolve_space({"space": {"family": "cnn_cell", "cells": 20}, "task": task})
    (problem,) = raised.value.problems
    assert problem.pointer.startswith("/space/")


@pytest.mark.parametrize(
    ("dataset", "space", "asked", "able"),
    [
        ("wine", {"family": "mlp"}, "masked", None),
        ("digits", {"family": "transformer"}, {"choice": ["none", "contrastive"]}, None),
        ("my-graph", {"family": "gnn"}, "masked", "none"),
        ("my-series", {"family": "rnn"}, {"choice": ["none", "masked"]}, "none"),
        ("my-series", {"family": "transformer"}, "contrastive", "none, masked"),
    ],
)
def test_a_start_that_a_family_has_not_is_refused(
    dataset: str, space: dict[str, Any], asked: object, able: str | None
) -> None:
    tasks = {
        "my-graph": {
            "name": "node_classification",
            "input_shape": [5],
            "outputs": 3,
            "graph": {"nodes": 10, "edges": 20},
        },
        "my-series": {"name": "forecasting", "input_shape": [12, 2], "outputs": 4},
    }
    body: dict[str, Any] = {"space": space, "training": {"pretraining": asked}}
    body |= {"task": tasks[dataset]} if dataset in tasks else {"dataset": dataset}
    if able is None:
        resolve_space(body)
        return
    with pytest.raises(SpecError) as caught:
        resolve_space(body)
    (found,) = caught.value.problems
    assert found.pointer == "/training/pretraining"
    task = tasks[dataset]["name"]
    name = asked if isinstance(asked, str) else "masked"
    assert found.message == (
        f'"{name}" is no start for {space["family"]} on {task}; allowed are {able}'
    )
