import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import cloudpickle

from models.architecture import Architecture, Range
from models.families import families
from models.task import GraphSize, Task
from models.training.defaults import default_recipe
from models.training.recipe import TrainingSettings
from search.dataset_facts import DatasetFacts, named_facts
from search.objectives import Objective
from search.problems import MAX_PROBLEMS
from search.resolve import (
    SpecError,
    SpecProblem,
    describe,
    estimate,
    resolve,
    resolve_space,
    with_task_defaults,
)

MINIMAL: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "regularized_evolution"},
}
FULL: dict[str, Any] = {
    "name": "digits-cnn",
    "dataset": "digits",
    "space": {
        "family": "cnn_cell",
        "nodes": 3,
        "operations": ["none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "max_pool_3x3"],
        "channels": {"choice": [8, 16]},
        "cells": {"low": 1, "high": 3},
    },
    "training": {
        "epochs": {"choice": [4, 8]},
        "batch_size": 64,
        "optimizer": {"choice": ["momentum", "adam"]},
        "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        "l2": 0.0001,
        "dropout": 0.1,
    },
    "strategy": {"name": "regularized_evolution", "population_size": 10, "sample_size": 3},
    "objectives": [{"metric": "val_accuracy", "goal": "maximize"}],
    "constraints": [{"metric": "parameters", "max": 200000}],
    "budget": {"trials": 30, "seconds": 600},
    "resources": {"parallel_trials": 2, "cpus_per_trial": 1, "gpus_per_trial": 0},
    "final": {"top": 1, "seeds": 3, "epochs": 30},
    "seed": 0,
}


def problems(body: object) -> dict[str, str]:
    with pytest.raises(SpecError) as raised:
        resolve(body)
    found = {problem.pointer: problem.message for problem in raised.value.problems}
    assert len(found) == len(raised.value.problems), "one problem a place"
    return found


def test_three_fields_are_a_complete_request() -> None:
    spec = resolve(MINIMAL).spec
    assert spec.name == "digits-cnn_cell-regularized_evolution"
    assert spec.objectives == (Objective(metric="val_accuracy", goal="maximize"),)
    assert spec.final.epochs == 3 * 8
    assert spec.budget.trials == 50 and spec.seed == 0


def test_the_default_of_final_epochs_follows_the_longest_trial() -> None:
    body = {**FULL, "final": {}}
    assert resolve(body).spec.final.epochs == 24
    body["training"] = {"epochs": {"low": 1, "high": 9000}}
    assert resolve(body).spec.final.epochs == 10_000


def test_a_fidelity_has_defaults_and_is_refused_where_it_cannot_work() -> None:
    assert resolve(MINIMAL).spec.to_json()["fidelity"] == {"name": "none"}
    asha = resolve({**MINIMAL, "fidelity": {"name": "asha"}}).spec
    assert asha.to_json()["fidelity"]["reduction_factor"] == 3
    assert tuple(asha.fidelity_rule().rungs) == (1, 3)  # below the 8 epochs of the default recipe
    objectives = [{"metric": "val_accuracy"}, {"metric": "flops", "goal": "minimize"}]
    body = {**MINIMAL, "training": {"epochs": {"low": 2, "high": 4}}, "objectives": objectives}
    found = problems(body | {"fidelity": {"name": "median", "grace_epochs": 4}})
    assert found.pop("/objectives").startswith("regularized_evolution optimises 1 objective")
    assert found == {
        "/fidelity": "median compares trials by one objective, got 2",
        "/fidelity/grace_epochs": "median would stop no trial: the longest has 4 epochs, got 4",
    }
    assert problems({**MINIMAL, "fidelity": {"name": "ahsa"}}) == {
        "/fidelity/name": 'unknown fidelity "ahsa", known are asha, hyperband, median, none'
    }
    assert problems({**MINIMAL, "fidelity": {"name": "asha", "brackets": 2}}) == {
        "/fidelity/brackets": "unknown field, known are name, reduction_factor, grace_epochs, "
        "variant"
    }


@pytest.mark.parametrize("body", [MINIMAL, FULL])
def test_resolving_what_was_resolved_changes_nothing(body: dict[str, Any]) -> None:
    spec = resolve(body).spec
    stored = json.loads(json.dumps(spec.to_json(), allow_nan=False))
    again = resolve(stored).spec
    assert again == spec and again.to_json() == stored


@pytest.mark.parametrize("family", families)
def test_the_search_of_every_family_travels_to_workers(family: str) -> None:
    dataset = {"mlp": "wine", "rnn": "waves", "gnn": "rings"}.get(family, "digits")
    tasks = {
        "waves": Task("forecasting", (12, 2), 4, targets=(0, 1)),
        "rings": Task("node_classification", (5,), 3, graph=GraphSize(8, 20)),
    }

    def lookup(name: str) -> DatasetFacts:
        if name not in tasks:
            return named_facts(name)
        return DatasetFacts(tasks[name], {"train": 4}, "f" * 64, name)

    body = {**MINIMAL, "dataset": dataset, "space": {"family": family}}
    spec = resolve({**body, "fidelity": {"name": "asha"}}, lookup).spec
    again = cloudpickle.loads(cloudpickle.dumps(spec))
    assert again == spec and again.to_json() == spec.to_json()


def test_the_parts_fit_together() -> None:
    resolved = resolve(FULL)
    candidate = resolved.strategy().ask(0, ())
    assert resolved.task.input_shape == (1, 8, 8) and resolved.task.outputs == 10
    assert len(resolved.dataset.fingerprint) == 64
    assert resolved.dataset.sizes["train"] > resolved.dataset.sizes["validation"] > 0
    assert resolved.cost(candidate)["parameters"] > 0  # type: ignore[arg-type]  # no supernet


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        (
            {"space": {"family": "nope"}},
            "/space/family",
            'unknown family "nope", known are cnn_cell',
        ),
        ({"space": {"family": ["x"]}}, "/space/family", 'unknown family ["x"], known are'),
        ({"space": {}}, "/space/family", "is required, known are cnn_cell"),
        ({"space": 3}, "/space", "must be an object, got 3"),
        ({"space": None}, "/space", "must be an object, got null"),
        (
            {"space": {"family": "cnn_cell", "operations": ["conv_9x9"]}},
            "/space/operations",
            "['conv_9x9'] are not operations of darts, allowed are avg_pool_3x3, dil_conv_3x3",
        ),
        (
            {"space": {"family": "cnn_cell", "channels": {"choice": []}}},
            "/space/channels/choice",
            "needs at least 1 item, got 0",
        ),
        (
            {"space": {"family": "cnn_cell", "channels": {"choice": ["8"]}}},
            "/space/channels/choice/0",
            'must be an integer, got "8"',
        ),
        (
            {"space": {"family": "cnn_cell", "cells": {"low": 3, "high": 1}}},
            "/space/cells",
            "low must not exceed high, got low 3 and high 1",
        ),
        (
            {"space": {"family": "cnn_cell", "chanels": 8}},
            "/space/chanels",
            "unknown field, known are family, topology, operations, nodes, channels, cells",
        ),
        (
            {"space": {"family": "cnn_cell", "cells": {"low": 1, "hihg": 2, "high": 3}}},
            "/space/cells/hihg",
            "unknown field, known are low, high, log, step",
        ),
        (
            {"budget": {"trials": 10**6}},
            "/budget/trials",
            "less than or equal to 100000, got 1000000",
        ),
        (
            {"training": {"learning_rate": math.nan}},
            "/training/learning_rate",
            "finite number, got NaN",
        ),
        ({"training": {"learning_rate": "0.1"}}, "/training/learning_rate", 'a number, got "0.1"'),
        ({"training": {"l2": 10**400}}, "/training/l2", "must be a number, got 1000"),
        ({"training": {"epochs": 10**5000}}, "/training/epochs", "too deep or too long"),
        (
            {"training": {"optimizer": "lion"}},
            "/training/optimizer",
            "'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam' or 'adamw', got \"lion\"",
        ),
        (
            {"training": {"dropout": {"low": 0, "high": 0.5, "log": True}}},
            "/training/dropout",
            "log range needs low > 0, got 0.0",
        ),
        (
            {"strategy": {"name": "nope"}},
            "/strategy/name",
            'unknown strategy "nope", known are ',
        ),
        (
            {"strategy": {"name": "regularized_evolution", "population_size": 5, "sample_size": 6}},
            "/strategy/sample_size",
            "sample_size must not exceed population_size, got 6 and 5",
        ),
        (
            {"strategy": {"name": "random", "sample_size": 6}},
            "/strategy/sample_size",
            "unknown field, known are name",
        ),
        (
            {"dataset": "nope"},
            "/dataset",
            'unknown dataset "nope", known are breast_cancer, cifar10, citeseer, cora, diabetes',
        ),
        ({"dataset": ""}, "/dataset", "at least 1 character"),
        (
            {"objectives": [{"metric": "accuracy"}]},
            "/objectives/0/metric",
            'unknown metric "accuracy", known are val_accuracy, val_loss, val_f1, val_auc',
        ),
        ({"objectives": [{"metric": "test_accuracy"}]}, "/objectives/0/metric", "unknown metric"),
        (
            {"constraints": [{"metric": "size", "max": 1}]},
            "/constraints/0/metric",
            "unknown metric",
        ),
        ({"constraints": [{"metric": "flops"}]}, "/constraints/0", "needs max, min or both"),
        (
            {"constraints": [{"metric": "val_f1", "min": 90}]},
            "/constraints/0/min",
            "is in 0..1, got 90",
        ),
        (
            {"constraints": [{"metric": "flops", "max": -1}]},
            "/constraints/0/max",
            "never below 0, got -1",
        ),
        ({"objectives": "val_loss"}, "/objectives", 'must be an array, got "val_loss"'),
        ({"objectives": [{"metric": "flops"}] * 9}, "/objectives", "needs at most 8 items, got 9"),
        (
            {"final": {"top": 100, "seeds": 100}},
            "/final",
            "must not exceed 1000 trainings, got 100 x 100",
        ),
        ({"a/b~c": 1}, "/a~1b~0c", "unknown field, known are name, dataset, space"),
        ({"budget": {"trails": 1}}, "/budget/trails", "unknown field, known are trials, seconds"),
        ({"objectives": [{"metrik": 1}]}, "/objectives/0/metrik", "known are metric, goal"),
        ({"seed": -1}, "/seed", "greater than or equal to 0, got -1"),
        ({"seed": True}, "/seed", "must be an integer, got true"),
    ],
)
def test_a_problem_says_what_where_and_what_is_allowed(
    change: dict[str, Any], pointer: str, message: str
) -> None:
    found = problems({**MINIMAL, **change})
    assert pointer in found, found
    assert message in found[pointer]


@pytest.mark.parametrize("body", [None, [], "x", 3, [MINIMAL], {1: 2}])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    found = problems(body)
    assert list(found) == [""] and "the body must be an object, got" in found[""]


def test_what_is_missing_is_named() -> None:
    assert problems({}) == {
        "/dataset": "is required",
        "/space": "is required",
        "/strategy": "is required",
    }


def test_all_problems_come_at_once_those_across_fields_as_well() -> None:
    body = {
        **MINIMAL,
        "training": {"epochs": 0, "dropout": 2},
        "objectives": [{"metric": "val_loss"}, {"metric": "val_loss"}, {"metric": "nope"}],
        "constraints": [{"metric": "val_accuracy", "min": 2}],
        "final": {"top": 100, "seeds": 11},
        "more": 1,
    }
    assert set(problems(body)) == {
        "/training/epochs",
        "/training/dropout",
        "/objectives",  # three are more than the strategy takes
        "/objectives/1/metric",
        "/objectives/2/metric",
        "/constraints/0/min",
        "/final",
        "/more",
    }


def test_the_strategies_that_take_so_many_objectives_are_named() -> None:
    two = [{"metric": "val_accuracy"}, {"metric": "flops", "goal": "minimize"}]
    found = problems({**MINIMAL, "objectives": two})
    assert found["/objectives"].startswith("regularized_evolution optimises 1 objective, got 2")
    assert "random" in found["/objectives"]
    assert resolve({**MINIMAL, "strategy": {"name": "random"}, "objectives": two})


def test_the_only_network_of_a_space_is_held_against_its_limits() -> None:
    fixed = {
        "family": "cnn_cell",
        "topology": "nasbench201",
        "nodes": 2,
        "operations": ["nor_conv_3x3"],
    }
    body = {**MINIMAL, "space": fixed, "constraints": [{"metric": "parameters", "max": 10}]}
    found = problems(body)
    assert "the only network of the space has parameters" in found["/constraints/0"]
    assert resolve({**MINIMAL, "space": fixed}).space.size == 1


def test_there_is_an_end_to_the_problems() -> None:
    found = problems({**MINIMAL, **{f"field{i}": 1 for i in range(MAX_PROBLEMS + 7)}})
    assert len(found) == MAX_PROBLEMS + 1
    assert found[""] == "7 further problems are left out"


def test_deep_and_wide_values_are_refused_in_time() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    found = problems({**MINIMAL, "name": deep, "training": deep, "objectives": deep})
    assert set(found) == {"/name", "/training", "/objectives/0"}
    wide = {"choice": list(range(100_000))}
    found = problems({**MINIMAL, "space": {"family": "cnn_cell", "channels": wide}})
    assert "/space/channels/choice" in found
    while deep:  # or its destruction recurses
        deep = deep.pop()


def at(document: Any, path: list[Any], value: object) -> None:
    for part in path[:-1]:
        document = document[part]
    document[path[-1]] = value


def leaves(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values within a document, objects and arrays included."""
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    inner = [leaf for key, value in items for leaf in leaves(value, (*path, key))]
    return ([path] if path else []) + inner


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.just(10**400),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from(["cnn_cell", "digits", "random", "choice", "val_loss"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["choice", "low", "high", "log", "step", "family", "name", "metric"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.sampled_from(leaves(FULL)), json_values)
def test_whatever_stands_in_a_request_is_taken_or_explained(
    path: tuple[Any, ...], value: object
) -> None:
    body = json.loads(json.dumps(FULL))
    at(body, list(path), value)
    try:
        resolved = resolve(body)
    except SpecError as error:
        assert error.problems
        assert all(isinstance(p, SpecProblem) and p.message for p in error.problems)
        json.dumps([[p.pointer, p.message] for p in error.problems], allow_nan=False)
        assert all(p.pointer.startswith(f"/{path[0]}") or len(path) == 1 for p in error.problems)
    else:
        json.dumps(resolved.spec.to_json(), allow_nan=False)
        assert resolve(resolved.spec.to_json()).spec == resolved.spec


def test_the_dry_run_says_what_a_search_will_cost() -> None:
    resolved = resolve(FULL)
    answer = json.loads(json.dumps(estimate(resolved), allow_nan=False))
    assert answer["size"] is None  # the learning rate is continuous
    assert (answer["trials"], answer["final_trials"], answer["seconds_limit"]) == (30, 3, 600)
    assert answer["epochs"] == 30 * 6 + 3 * 30
    assert len(answer["examples"]) == 3
    for example in answer["examples"]:
        assert example["parameters"] > 0 and example["flops"] > 0 and example["violation"] is None
        architecture = Architecture.from_json(example["architecture"])
        assert families["cnn_cell"].canonical(architecture)
    flops = sum(example["flops"] for example in answer["examples"]) / 3
    train = resolved.dataset.sizes["train"]
    assert answer["training_flops"] == pytest.approx(flops * 3 * train * (30 * 6 + 3 * 30))
    assert estimate(resolved) == estimate(resolve(FULL))


def test_the_dry_run_shows_which_examples_break_a_limit() -> None:
    limits = [{"metric": "parameters", "max": 1}]
    examples = estimate(resolve({**MINIMAL, "constraints": limits}))["examples"]
    assert all("above the constraint's max 1" in example["violation"] for example in examples)


def test_a_small_space_has_an_exact_size_and_bounds_the_cost() -> None:
    space = {
        "family": "cnn_cell",
        "topology": "nasbench201",
        "nodes": 2,
        "operations": ["none", "nor_conv_3x3"],
        "channels": {"choice": [8, 16]},
    }
    answer = estimate(resolve({**MINIMAL, "space": space}))
    assert answer["size"] == 4 and answer["trials"] == 4
    assert len(answer["examples"]) <= 4


def test_the_nasbench201_space_has_its_published_size() -> None:
    request = {"space": {"family": "cnn_cell", "topology": "nasbench201"}, "dataset": "digits"}
    assert describe(resolve_space(request))["size"] == 15_625


def test_presets_to_compare_with_must_be_networks_for_the_dataset() -> None:
    names = ["lenet", "mlp-100", "lenet-5", "lenet-5"]
    with pytest.raises(SpecError) as caught:
        resolve({**MINIMAL, "baselines": names})
    found = {p.pointer: p.message for p in caught.value.problems}
    assert 'unknown preset "lenet", known are alexnet' in found["/baselines/0"]
    assert "it is for tabular_classification" in found["/baselines/1"]
    assert "a kernel of 5 without padding needs at least 5" in found["/baselines/2"]
    assert 'listed once, got "lenet-5" again' in found["/baselines/3"]
    assert len(found) == 4
    wine = {**MINIMAL, "dataset": "wine", "space": {"family": "mlp"}, "baselines": ["linear"]}
    assert estimate(resolve(wine))["baseline_trials"] == 1


def test_what_a_recipe_leaves_open_is_that_of_the_task() -> None:
    asked = TrainingSettings(epochs=3, learning_rate=Range(0.1, 0.2))
    for name in ("image_classification", "tabular_regression"):
        filled = with_task_defaults(asked, Task(name, (5,), 1))  # type: ignore[arg-type]
        assert filled.epochs == 3 and filled.learning_rate == Range(0.1, 0.2)
        assert filled.optimizer == default_recipe(name).optimizer  # type: ignore[arg-type]
        assert with_task_defaults(filled, Task("forecasting", (5,), 1)) == filled
        assert TrainingSettings.model_validate(filled.model_dump(mode="json")) == filled


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


def test_the_dry_run_counts_what_is_seen_before_the_first_epoch() -> None:
    """Ten trials and three final trainings, each of 4 epochs over two views of every sample."""
    training = {"epochs": 5, "pretraining": "contrastive", "pretraining_epochs": 4}
    body = {**MINIMAL, "budget": {"trials": 10}, "training": training}
    resolved = resolve(body)
    found = estimate(resolved)
    flops = sum(example["flops"] for example in found["examples"]) / 3
    train = resolved.dataset.sizes["train"]
    samples = train * (10 * 5 + 3 * 15) + 13 * 4 * 2 * train
    assert found["training_flops"] == pytest.approx(flops * 3 * samples)
