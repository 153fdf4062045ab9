"""A search whose results are looked up: what its request says, and what it may not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.datasets.reference import StoredDataset
from search.evaluators.tabular import Table, TableEvaluator
from search.request import source
from search.request.dataset_facts import DatasetFacts
from search.request.dry_run import estimate
from search.request.read import stored_spec
from search.request.resolve import SpecError, reopen, resolve
from tests.search.support.tables import written

BODY: dict[str, Any] = {"dataset": "small", "strategy": {"name": "random"}}
STORED: dict[str, Any] = {
    "name": "small-random",
    "dataset": "small",
    "space": {"family": "table"},
    "training": {},
    "strategy": {"name": "random"},
    "fidelity": {"name": "none"},
    "objectives": [{"metric": "search_score", "goal": "maximize"}],
    "constraints": [],
    "proxies": [],
    "budget": {"trials": 50, "seconds": None},
    "warm_start": [],
    "memory": [],
    "suggestions": [],
    "opening": "known",
    "baseline": None,
    "baselines": [],
    "ensemble": None,
    "resources": {
        "parallel_trials": 2,
        "cpus_per_trial": 1.0,
        "gpus_per_trial": 0.0,
        "deterministic": False,
        "trial_timeout_seconds": None,
    },
    "final": {
        "top": 1,
        "seeds": 1,
        "epochs": None,
        "patience": None,
        "data": "train",
        "formats": [],
        "ties": "loss",
    },
    "force": False,
    "errors_in": "own_unit",
    "seed": 0,
    "format": 2,
}
"""As every version has stored it."""


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    table = Table.load(written(tmp_path))
    monkeypatch.setattr(source, "load_table", lambda reference: table)
    return table


def lookup(name: str) -> DatasetFacts:
    return DatasetFacts(None, {"rows": 5}, "f" * 64, StoredDataset("x", "y"))


def problems(**changes: Any) -> dict[str, str]:
    with pytest.raises(SpecError) as raised:
        resolve({**BODY, **changes}, lookup)
    return {problem.pointer: problem.message for problem in raised.value.problems}


@pytest.mark.parametrize("space", [{}, {"space": {"family": "table"}}])
def test_a_dataset_and_a_strategy_are_a_complete_request(space: dict[str, Any]) -> None:
    resolved = resolve({**BODY, **space}, lookup)
    assert resolved.spec.to_json() == STORED
    assert resolve(STORED, lookup).spec == resolved.spec
    assert (resolved.space.size, resolved.spec.max_epochs, resolved.source.trains) == (6, 1, False)
    assert isinstance(resolved.source.evaluator(resolved.spec, "")(), TableEvaluator)
    answer = estimate(resolved)
    assert (answer["trials"], answer["epochs"], answer["training_flops"]) == (6, 0, None)
    assert reopen(stored_spec(STORED), lookup).space.size == 6


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"space": {"family": "mlp"}}, "/space/family", 'must be "table", as the dataset is'),
        ({"space": {"family": "table", "depth": 2}}, "/space/depth", "known are family"),
        ({"training": {"epochs": 3}}, "/training/epochs", "a table has nothing to train"),
        ({"final": {"seeds": 3}}, "/final/seeds", "must be 1: nothing is trained, got 3"),
        ({"final": {"epochs": 9}}, "/final/epochs", "must be null: nothing is trained, got 9"),
        ({"final": {"patience": 0}}, "/final/patience", "must be null: nothing is trained, got 0"),
        ({"final": {"data": "train+val"}}, "/final/data", 'must be "train": nothing is trained'),
        ({"proxies": [{"name": "snip"}]}, "/proxies", "a table has no networks to score"),
        ({"baselines": ["lenet-5"]}, "/baselines", "a table has no networks to train"),
        (
            {"strategy": {"name": "bananas", "proxies": ["snip"]}},
            "/strategy/proxies",
            "a table has no networks to score",
        ),
        (
            {"strategy": {"name": "darts"}},
            "/strategy/name",
            "darts shares weights between networks of cnn_cell, ",
        ),
        (
            {"fidelity": {"name": "asha"}},
            "/fidelity/grace_epochs",
            "asha would stop no trial: the longest has 1 epochs, got 1",
        ),
        (
            {"objectives": [{"metric": "val_accuracy"}]},
            "/objectives/0/metric",
            'unknown metric "val_accuracy", known are search_score',
        ),
    ],
)
def test_what_needs_networks_is_refused(change: dict[str, Any], pointer: str, message: str) -> None:
    found = problems(**change)
    assert list(found) == [pointer] and message in found[pointer], found


def test_all_of_it_is_refused_at_once() -> None:
    found = problems(
        training={"epochs": 3}, proxies=[{"name": "snip"}], final={"seeds": 2}, seed=-1
    )
    assert set(found) == {"/training/epochs", "/proxies", "/final/seeds", "/seed"}


def test_the_space_of_a_table_is_none_for_networks() -> None:
    with pytest.raises(SpecError) as raised:
        resolve({**BODY, "dataset": "digits", "space": {"family": "table"}})
    (problem,) = raised.value.problems
    assert problem.pointer == "/space/family"
    assert problem.message.startswith("table is for table, the task here is image_classification")
