import io
import json
import pickle
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from models.architecture import Architecture
from models.recipe import Recipe
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.evaluation import EvaluationError, Measurement
from search.evaluators.tabular import Table, TableError, TableEvaluator
from search.spec import SearchSpec
from search.strategy import strategies
from search.trial import FailureKind, Trial, TrialState
from search.trial_kind import TrialKind
from tests.search.support.tables import DIMENSIONS, arrays, written


def architecture(a: str, b: int) -> Architecture:
    return Architecture("table", {"a": a, "b": b})


def trial(table: Table, a: str, b: int, kind: TrialKind = CANDIDATE) -> Trial:
    candidate = table.space().candidate({"a": a, "b": b})
    return Trial(0, kind, candidate, TrialState.RUNNING)


def test_a_table_is_a_search_space_of_its_dimensions(tmp_path: Path) -> None:
    table = Table.load(written(tmp_path))
    space = table.space()
    assert (table.name, len(table), space.size) == ("small", 5, 6)
    assert [d.name for d in space.decisions] == ["a", "b"] and not space.searches_recipe
    seen = {space.sample(Random(seed)) for seed in range(200)}
    assert {c.architecture for c in seen} == {architecture(a, b) for a in "xyz" for b in (1, 2)}
    assert {c.recipe for c in seen} == {Recipe()}
    for candidate in seen:
        assert space.candidate(space.values(candidate)) == candidate
        assert len(set(space.neighbours(candidate))) == 3
        assert space.mutate(candidate, Random(0)) in set(space.neighbours(candidate))


def test_a_trial_is_looked_up_and_its_final_score_kept_for_final_trials(tmp_path: Path) -> None:
    table = Table.load(written(tmp_path, parameters=np.array([5, 4, 3, 2, 1])))
    evaluator = TableEvaluator(table)
    assert list(evaluator.evaluate(trial(table, "y", 1))) == [
        Measurement({"search_score": 30.0, "parameters": 3.0})
    ]
    assert list(evaluator.evaluate(trial(table, "y", 1, FINAL))) == [
        Measurement({"search_score": 30.0, "parameters": 3.0, "final_score": 55.0})
    ]


def test_a_limit_on_the_latency_that_a_table_knows_costs_no_budget(tmp_path: Path) -> None:
    table = Table.load(written(tmp_path, latency_ms=np.array([1.0, 2.0, 3.0, 4.0, 5.0])))
    spec = SearchSpec.model_validate(
        {
            "dataset": "small",
            "space": {"family": "table"},
            "strategy": {"name": "grid"},
            "objectives": [{"metric": "search_score"}],
            "constraints": [{"metric": "latency_ms", "max": 3}],
            "budget": {"trials": 4},
        }
    )
    strategy = strategies["grid"](table.space(), spec.strategy, 0)
    run = SearchRun(spec, table.space(), strategy, MemoryJournal(), table.cost)
    run_serial(run, TableEvaluator(table))
    asked = [trial for trial in run.trials if trial.kind is CANDIDATE]
    refused = {trial.metrics.get("latency_ms") for trial in asked if trial.is_refused}
    kept = [trial.metrics["latency_ms"] for trial in asked if trial.costs_budget]
    assert refused == {4.0, 5.0, None} and sorted(kept) == [1.0, 2.0, 3.0]


def test_a_combination_without_a_row_is_infeasible(tmp_path: Path) -> None:
    table = Table.load(written(tmp_path))
    assert table.row(architecture("z", 2)) is None
    with pytest.raises(EvaluationError, match="small has no row") as raised:
        list(TableEvaluator(table).evaluate(trial(table, "z", 2)))
    assert raised.value.failure.kind is FailureKind.INFEASIBLE


def test_rows_that_agree_in_every_column_and_a_cost_are_one_architecture(tmp_path: Path) -> None:
    equal: dict[str, Any] = {
        "search_score": np.array([10, 20, 10, 10, 50]),
        "final_score": np.array([11, 22, 11, 11, 33]),
    }
    table = Table.load(written(tmp_path, **equal, latency_ms=np.array([0.1, 0.2, 0.1, 0.3, 0.1])))
    assert table.distinct == 4
    key = table.space().keys
    space = table.space()
    first, other, third = (
        space.candidate({"a": a, "b": b}) for a, b in (("x", 1), ("y", 1), ("y", 2))
    )
    assert key(first) == key(other) != key(third)
    assert table.canonical(table.canonical(other.architecture)) == first.architecture


def test_equal_scores_alone_do_not_make_architectures_equal(tmp_path: Path) -> None:
    ones = np.ones(5)
    assert Table.load(written(tmp_path, search_score=ones, final_score=ones)).distinct == 5


def dimensions(*entries: Any) -> str:
    return json.dumps(list(entries))


X = {"name": "a", "options": ["x", "y", "z"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search_score": None}, "needs search_score, got dimensions, codes, final_score"),
        ({"dimensions": "no json"}, "dimensions must be a JSON string"),
        ({"dimensions": np.zeros(3)}, "an array of float64 with shape"),
        ({"dimensions": '{"name": "a"}'}, "dimensions must be a JSON string"),
        ({"dimensions": dimensions(X, {"name": "b"})}, "options"),
        ({"dimensions": dimensions(X, {"name": "b", "options": []})}, "at least one option"),
        ({"dimensions": dimensions(X, {"name": "b", "options": [[1], [2]]})}, "dimensions must"),
        ({"dimensions": dimensions(X, {"name": "b", "options": [1, True]})}, "for their type"),
        ({"dimensions": dimensions(X, {"name": "a", "options": [1, 2]})}, "have one name"),
        ({"dimensions": dimensions(X)}, r"codes must be integers of shape \(rows, 1\)"),
        ({"codes": np.zeros((5, 2))}, "codes must be integers of shape .* got float64"),
        ({"codes": np.zeros((0, 2), dtype=np.int8)}, "codes has 1 to 1,000,000 rows"),
        ({"codes": np.array([[0, 0], [0, 1], [1, 0], [1, 2], [2, 0]])}, r"'b' must be in 0..1"),
        ({"codes": np.array([[0, 0], [0, 1], [1, 0], [-1, 1], [2, 0]])}, r"'a' must .* got -1..2"),
        ({"codes": np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 1]])}, "lists 1 rows more than"),
        ({"search_score": np.ones(4)}, r"search_score must be numbers of shape \(5,\)"),
        ({"final_score": np.array(list("abcde"))}, "final_score must be numbers"),
        ({"flops": np.array([1, 2, np.nan, 4, 5])}, "flops is not finite in row 2"),
    ],
)
def test_a_file_that_is_no_table_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        Table.load(written(tmp_path, **changes))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip", b"\x93NUMPY"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(TableError, match=r"not an \.npz"):
        Table.load(tmp_path / "x.npz")


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    values = {**arrays(), "search_score": np.array([pickle.dumps(1), None], dtype=object)}
    file = tmp_path / "x.npz"
    np.savez(file, **values)
    with pytest.raises(TableError, match=r"not an \.npz of plain arrays"):
        Table.load(file)


def test_a_file_that_unpacks_to_gigabytes_is_refused_unread() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("codes.npy", b"")
        archive.infolist()[0].file_size = 2**31  # as the directory of the archive will say
    with pytest.raises(TableError, match="at most 1,073,741,824 bytes unpacked"):
        Table.load(packed)


def test_an_open_file_is_read_too() -> None:
    packed = io.BytesIO()
    np.savez(packed, **arrays())
    table = Table.load(packed, "uploaded")
    assert table.name == "uploaded" and [d.name for d in table.decisions] == [
        entry["name"] for entry in DIMENSIONS
    ]
