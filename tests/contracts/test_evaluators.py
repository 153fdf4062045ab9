"""An evaluator is tested by existing: each class of `search.evaluators` that evaluates trials."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.architecture import Architecture
from models.recipe import Recipe
from search import evaluators
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.evaluation import Evaluator
from search.evaluators.tabular import Table, TableEvaluator
from search.evaluators.train import TrainEvaluator
from search.testing.evaluators import check_evaluator
from search.trial import Candidate, Trial, TrialState
from tests.search.support.tables import written

Example = Callable[[Path], tuple[Callable[[], Evaluator], Trial, Trial]]


def trial(family: str, **decisions: str | int) -> Trial:
    recipe = Recipe(epochs=3, batch_size=64)
    candidate = Candidate(Architecture(family, decisions), recipe)
    return Trial(0, CANDIDATE, candidate, TrialState.RUNNING)


def tabular(folder: Path) -> tuple[Callable[[], Evaluator], Trial, Trial]:
    table = Table.load(written(folder))
    of = trial("table", a="y", b=2)
    return lambda: TableEvaluator(table), of, trial("table", a="z", b=2)  # of which it has no row


def training(folder: Path) -> tuple[Callable[[], Evaluator], Trial, Trial]:
    def make() -> Evaluator:
        return TrainEvaluator("wine", str(folder))

    return make, trial("mlp", depth=0), trial("mlp", depth=-1)


EXAMPLES: dict[type, Example] = {TableEvaluator: tabular, TrainEvaluator: training}
"""How to make one, a trial that it can evaluate, and one that it cannot. A new one adds its own."""


def found() -> list[type]:
    modules = [
        importlib.import_module(f"{evaluators.__name__}.{module.name}")
        for module in pkgutil.iter_modules(evaluators.__path__)
    ]
    return [
        entry
        for module in modules
        for entry in vars(module).values()
        if isinstance(entry, type)
        and entry.__module__ == module.__name__
        and hasattr(entry, "evaluate")
    ]


@pytest.mark.parametrize("evaluator", found(), ids=lambda evaluator: evaluator.__name__)
def test_an_evaluator_keeps_its_contract(evaluator: type, tmp_path: Path) -> None:
    assert evaluator in EXAMPLES, f"{evaluator.__name__} needs an example here"
    make, of, impossible = EXAMPLES[evaluator](tmp_path)
    check_evaluator(make, of, FINAL, impossible)


def test_the_walk_finds_those_that_are_there() -> None:
    assert {TableEvaluator, TrainEvaluator} <= set(found())
