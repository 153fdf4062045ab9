"""Searches on shared weights for tables and graphs: refusals, and from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.datasets import Dataset, datasets
from models.datasets.graphs import of_graphs, of_nodes
from models.datasets.reference import StoredDataset
from models.datasets.stored import save
from models.datasets.tabular import classification
from models.family import FamilySettings, families
from models.recipe import Recipe
from models.storage import sha256_of_file
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import SUPERNET
from search.engine.stages.finals import FINAL
from search.evaluation import Measurement
from search.evaluators.train import TrainEvaluator
from search.problems import SpecError
from search.request.dataset_facts import DatasetFacts
from search.request.resolve import resolve
from search.testing.small_graphs import citations, molecules
from search.trial import SupernetProposal, Trial, TrialState
from search.weight_sharing.evaluation import train_supernet
from search.weight_sharing.one_shot import OneShotSettings

GUARD = {"every": 1, "warmup_share": 1.0}  # measures in every epoch, and stops in none
TABLE = {"family": "mlp", "norm": "batch", "dropout": 0.1}
GRAPH = {
    "family": "gnn",
    "layers": {"low": 1, "high": 2},
    "hidden": 8,
    "heads": 2,
    "aggregation": "mean",
    "steps": 3,
    "teleport": 0.1,
    "norm": "batch",
    "dropout": 0.2,
}
MAKERS: dict[str, Any] = {
    "table": lambda: datasets["wine"].load(),
    "nodes": lambda: of_nodes("mine", citations()),
    "graphs": lambda: of_graphs("mine", molecules()),
}


def request(space: dict[str, Any], name: str, **strategy: Any) -> dict[str, Any]:
    return {
        "dataset": "mine",
        "space": space,
        "training": {"epochs": 1},
        "strategy": {"name": name, "seeds": 1, "epochs": 2, "guard": GUARD, **strategy},
        "final": {"seeds": 1, "epochs": 1},
    }


def trained(
    strategy: dict[str, Any],
    space: FamilySettings,
    dataset: Dataset,
    folder: Path,
    recipe: Recipe | None = None,
) -> Iterator[Measurement]:
    trial = Trial(0, SUPERNET, SupernetProposal("darts", strategy), TrialState.RUNNING)
    cpu = torch.device("cpu")
    return train_supernet(trial, space, dataset, cpu, f"{folder}/0", recipe=recipe)


def facts_of(dataset: Dataset, reference: StoredDataset | None = None) -> DatasetFacts:
    return DatasetFacts(dataset.task, dataset.sizes, dataset.fingerprint, reference or "")


@pytest.mark.parametrize(
    ("kind", "space", "strategy"),
    [
        ("table", TABLE, {"name": "darts"}),
        ("table", TABLE, {"name": "gdas"}),
        ("nodes", GRAPH, {"name": "darts", "order": "second"}),
        ("graphs", GRAPH, {"name": "gdas", "batch_size": 8}),
        ("graphs", GRAPH, {"name": "pc_darts", "partial": 1}),
        ("table", TABLE, {"name": "enas", "samples": 8}),
        ("nodes", GRAPH, {"name": "random_sharing", "samples": 8}),
    ],
)
def test_what_a_supernet_derives_is_trained_and_retrained(
    kind: str, space: dict[str, Any], strategy: dict[str, Any], tmp_path: Path
) -> None:
    dataset: Dataset = MAKERS[kind]()
    path = tmp_path / "dataset"
    save(dataset, path)
    stored = StoredDataset(str(path), sha256_of_file(path))
    resolved = resolve(request(space, **strategy), lambda _: facts_of(dataset, stored))
    run = SearchRun(
        resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
    )
    run_serial(run, TrainEvaluator.for_search(resolved.spec, str(tmp_path), stored))
    assert run.failed_reason is None
    assert [trial.state for trial in run.trials] == [TrialState.COMPLETED] * 3
    supernet, candidate, final = run.trials
    assert supernet.kind is SUPERNET and final.kind is FINAL
    assert candidate.candidate.architecture == supernet.derived
    assert {"supernet_accuracy", "derived_accuracy", "weight_loss"} <= supernet.metrics.keys()


@pytest.mark.parametrize(("kind", "space"), [("table", TABLE | {"depth": 2}), ("nodes", GRAPH)])
def test_a_mixture_learns_three_classes(kind: str, space: dict[str, Any], tmp_path: Path) -> None:
    """From half of the train split, on the validation split, with the optimizer and the rate of a
    search that leaves them open; a third is chance.
    """
    dataset = MAKERS[kind]()
    settings = families[space["family"]].Settings.model_validate(space)
    usual = OneShotSettings().for_task(dataset.task.name)
    assert usual.optimizer == "adam"
    fast = {"epochs": 15, "batch_size": 32, "seed": 0}
    fast |= usual.model_dump(include={"optimizer", "learning_rate"})
    *_, last = trained(fast, settings, dataset, tmp_path)
    assert last.metrics["supernet_accuracy"] > 0.7


def test_a_supernet_says_the_rare_class_where_classes_count_the_same(tmp_path: Path) -> None:
    """One row in sixteen, two deviations off: hardly ever the likelier class."""
    rng = np.random.default_rng(0)
    y = (np.arange(480) % 16 == 0).astype(np.int64)
    dataset = classification("rare", {"a": rng.normal(2 * y, 1)}, y)
    space = {**TABLE, "depth": 1, "width": {"choice": [4, 8]}, "activation": "relu"}
    settings = families["mlp"].Settings.model_validate(space)
    found = []
    for weight in ("none", "balanced"):
        brief = {
            "epochs": 4,
            "batch_size": 32,
            "learning_rate": 0.05,
            "seed": 0,
            "guard": {"every": 4},
        }
        recipe = Recipe(class_weight=weight)
        *_, last = trained(brief, settings, dataset, tmp_path / weight, recipe)
        found.append(last.metrics["derived_balanced_accuracy"])
    assert found[0] < 0.65 < 0.75 < found[1]


def test_a_supernet_with_dropout_is_a_function_of_its_seed(tmp_path: Path) -> None:
    settings = families["gnn"].Settings.model_validate(GRAPH)
    found = []
    for before, seed in ((0, 1), (99, 1), (0, 2)):
        torch.manual_seed(before)
        brief = {"epochs": 2, "batch_size": 64, "seed": seed}
        *_, last = trained(brief, settings, MAKERS["nodes"](), tmp_path / f"{before} {seed}")
        found.append({name: value for name, value in last.metrics.items() if "memory" not in name})
        assert torch.initial_seed() == before
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("kind", "space", "strategy", "pointer", "message"),
    [
        ("table", {"family": "mlp"}, "darts", "norm", "one value of norm, dropout"),
        ("table", TABLE, "pc_darts", "family", 'give the strategy "partial": 1'),
        ("nodes", {"family": "gnn"}, "gdas", "hidden", "of hidden, norm, dropout, heads, agg"),
        ("graphs", GRAPH, "pc_darts", "family", "gnn see all channels, got 1 of 4"),
    ],
)
def test_a_space_that_cannot_share_weights_is_refused_with_a_way_out(
    kind: str, space: dict[str, Any], strategy: str, pointer: str, message: str
) -> None:
    dataset: Dataset = MAKERS[kind]()
    with pytest.raises(SpecError) as caught:
        resolve(request(space, strategy), lambda _: facts_of(dataset))
    (problem,) = caught.value.problems
    assert problem.pointer == f"/space/{pointer}" and message in problem.message


@pytest.mark.parametrize(("kind", "family"), [("table", "mlp"), ("nodes", "gnn")])
def test_the_way_out_is_one(kind: str, family: str) -> None:
    dataset: Dataset = MAKERS[kind]()
    with pytest.raises(SpecError) as caught:
        resolve(request({"family": family}, "darts"), lambda _: facts_of(dataset))
    (problem,) = caught.value.problems
    fixed = json.loads(problem.message.split("fix them, as by ")[1])
    resolved = resolve(request({"family": family, **fixed}, "darts"), lambda _: facts_of(dataset))
    assert resolved.space.size > 1000
