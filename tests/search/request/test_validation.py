import json
import math
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.family import families
from search.problems import MAX_PROBLEMS
from search.request.dry_run import estimate
from search.request.resolve import SpecError, SpecProblem, resolve
from tests.search.support.bodies import FULL, MINIMAL, problems


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        (
            {"space": {"family": "nope"}},
            "/space/family",
            'unknown family "nope", known are bag, cnn_cell',
        ),
        ({"space": {"family": ["x"]}}, "/space/family", 'unknown family ["x"], known are'),
        ({"space": {}}, "/space/family", "is required, known are bag, cnn_cell"),
        ({"space": []}, "/space", "needs at least 1 item, got 0"),
        ({"space": [{}]}, "/space/0/family", "is required, known are bag, cnn_cell"),
        (
            {"space": [{"family": "cnn_cell"}, {"family": "cnn_cell"}]},
            "/space/1/family",
            'each family is named once, got "cnn_cell" again',
        ),
        (
            {"space": [{"family": "cnn_cell"}, {"family": "gnn"}]},
            "/space/1/family",
            "gnn is for graph_classification, node_classification, the task here is image",
        ),
        (
            {"space": [{"family": "cnn_cell", "nodez": 3}]},
            "/space/0/nodez",
            "unknown field, known are family, topology",
        ),
        (
            {"space": [{"family": "cnn_stages"}, {"family": "cnn_cell", "cells": {"low": 1}}]},
            "/space/1/cells/high",
            "is required",
        ),
        (
            {
                "space": [{"family": "cnn_cell"}, {"family": "transformer"}],
                "strategy": {"name": "darts"},
            },
            "/strategy/name",
            "darts shares weights between networks of one family, the space here has cnn_cell, "
            "transformer; name one as space: cnn_cell, transformer",
        ),
        ({"ensemble": {"size": 1}}, "/ensemble/size", "must be greater than or equal to 2, got 1"),
        (
            {"ensemble": {}, "final": {"top": 1, "seeds": 1}},
            "/ensemble",
            "an ensemble is chosen among two final trainings at least, got 1 x 1",
        ),
        (
            {"ensemble": {}, "constraints": [{"metric": "latency_ms", "max": 2}]},
            "/ensemble",
            "an ensemble takes the latency_ms of all its networks together",
        ),
        (
            {
                "ensemble": {},
                "final": {"data": "train+val", "patience": 0},
            },
            "/ensemble",
            "an ensemble is chosen by validation scores, which final trainings on train+val have",
        ),
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
            {"resources": {"gpus_per_trial": 2}},
            "/resources/gpus_per_trial",
            "one trial uses one GPU, or a share of it: at most 1 is allowed, got 2",
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
        (
            {
                "strategy": {"name": "darts"},
                "training": {"class_weight": {"choice": ["none", "balanced"]}},
            },
            "/training/class_weight",
            'by one loss, so that class_weight has one value, got ["none", "balanced"]',
        ),
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
    assert problems({}) == {"/dataset": "is required"}


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


def test_objectives_are_distinct() -> None:
    twice = {"strategy": {"name": "random"}, "objectives": [{"metric": "val_loss"}] * 2}
    assert problems({**MINIMAL, **twice}) == {
        "/objectives/1/metric": 'each objective names another metric, got "val_loss" again'
    }


def test_there_is_an_end_to_the_problems() -> None:
    with pytest.raises(SpecError) as caught:
        resolve({**MINIMAL, **{f"field{i}": 1 for i in range(MAX_PROBLEMS + 7)}})
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert caught.value.count == MAX_PROBLEMS + 7


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


_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
_DOMAINS = st.one_of(
    _ODD,
    st.fixed_dictionaries({"choice": st.lists(_ODD, max_size=200)}),
    st.fixed_dictionaries({"low": _ODD, "high": _ODD}, optional={"log": _ODD, "step": _ODD}),
    st.recursive(_ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(max_size=5), inner, max_size=4), max_leaves=300),
)  # fmt: skip
_FIELDS = {name: list(entry.Settings.model_fields) for name, entry in families.items()}


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    """Of a family that there is, whatever its fields are given: of any kind, size and depth."""
    family = draw(st.sampled_from(sorted(_FIELDS)))
    names = st.sampled_from(_FIELDS[family]) | st.text(max_size=10)
    return {**draw(st.dictionaries(names, _DOMAINS, max_size=20)), "family": family}


@given(space=spaces() | st.lists(spaces(), max_size=12))
@settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "15")), deadline=None)
def test_any_space_is_taken_or_told_what_is_wrong_with_it(space: object) -> None:
    try:
        resolved = resolve({"dataset": "digits", "space": space})
    except SpecError as error:
        assert 0 < len(error.problems) <= MAX_PROBLEMS <= max(error.count, MAX_PROBLEMS)
        assert all(found.pointer.startswith("/space") for found in error.problems)
    else:
        assert resolve(resolved.spec.to_json()).spec == resolved.spec
