"""Values of which a few are far from the rest, from the file to a network that predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import checkpoint
from models.datasets.reference import StoredDataset
from models.datasets.stored import save
from models.datasets.target import own_values
from models.domains import Choice
from models.storage import sha256_of_file
from models.task import MULTILABEL
from models.training.baseline import baseline
from models.training.values import Values
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.finals import FINAL
from search.evaluators.train import TrainEvaluator
from search.request.dataset_facts import DatasetFacts
from search.request.resolve import Resolved, resolve
from tests.models.support.uploads import csv, read

ROWS = 500


def searched(folder: Path, **body: Any) -> tuple[Resolved, StoredDataset, np.ndarray]:
    """A search on prices by size, four of them a hundredfold and three `99999999`; and the prices
    of the test split, as they are.
    """
    rng = np.random.default_rng(0)
    size = rng.uniform(30, 200, ROWS)
    price = 3000 * size * np.exp(rng.normal(0, 0.1, ROWS))
    price[:4] *= 100
    price[4:7] = 99_999_999
    columns = {"size": [f"{v:.2f}" for v in size], "price": [f"{v:.2f}" for v in price]}
    dataset = read(folder, csv(columns), "tabular_regression", target="price")
    save(dataset, folder / "stored")
    stored = StoredDataset(str(folder / "stored"), sha256_of_file(folder / "stored"))
    facts = DatasetFacts(
        dataset.task,
        dataset.sizes,
        dataset.fingerprint,
        stored,
        baseline(dataset, "val"),
        dataset.remarks,
    )
    request = {"dataset": "prices", "space": {"family": "mlp"}, "strategy": {"name": "random"}}
    resolved = resolve({**request, **body}, lambda name: facts)
    target = dataset.preprocessing["target"]
    test = dataset.test.y[:, 0].double().numpy() * target["std"][0] + target["mean"][0]
    return resolved, stored, test


def test_a_search_that_says_nothing_of_it_decides_loss_and_transform(tmp_path: Path) -> None:
    resolved, _, _ = searched(tmp_path)
    training: Any = resolved.spec.training
    assert training.loss == Choice(("mse", "huber", "mae"))
    assert training.target_transform == Choice(("none", "log", "quantile"))
    assert [o.metric for o in resolved.spec.objectives] == ["val_mae"]
    assert "heavy_tail" in {warning.code for warning in resolved.warnings}
    again, _, _ = searched(tmp_path, **resolved.spec.to_json())
    assert again.spec == resolved.spec
    said, _, _ = searched(tmp_path, training={"loss": "mse"}, objectives=[{"metric": "val_rmse"}])
    training = said.spec.training
    assert training.loss == "mse" and training.target_transform.size == 3
    assert [o.metric for o in said.spec.objectives] == ["val_rmse"]


def test_half_of_the_prices_are_nearly_right(tmp_path: Path) -> None:
    resolved, stored, true = searched(
        tmp_path,
        space={"family": "mlp", "depth": 1, "width": 32, "norm": "none", "dropout": 0.0},
        training={"epochs": 12, "learning_rate": 0.02, "loss": "huber"},
        budget={"trials": 3},
        final={"seeds": 1, "epochs": 12},
        strategy={"name": "grid"},
    )
    run = SearchRun(
        resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
    )
    run_serial(run, TrainEvaluator.for_search(resolved.spec, str(tmp_path), stored))
    final = next(trial for trial in run.trials if trial.kind is FINAL)
    weights, dataset = checkpoint.load(f"{tmp_path}/{final.number}.safetensors"), stored.load()
    with torch.no_grad():
        outputs = weights.network()(dataset.test.x)
    found = own_values(outputs, Values.of(dataset, weights.recipe).target)[:, 0].numpy()
    constant = np.median(true)
    assert np.median(np.abs(found - true)) < 0.3 * np.median(np.abs(constant - true))
    assert final.metrics["test_mae"] < np.abs(constant - true).mean()


@pytest.mark.parametrize("task", ["tabular_classification", MULTILABEL])
def test_a_search_decides_how_numbers_far_apart_are_seen(task: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(0, 3, ROWS))
    label = np.where(size > 1, "large;rich", "small").tolist()
    columns = {"size": [f"{v:.4f}" for v in size], "label": label}
    dataset = read(tmp_path, csv(columns), task, target="label")
    facts = DatasetFacts(
        dataset.task,
        dataset.sizes,
        dataset.fingerprint,
        "sizes",
        baseline(dataset, "val"),
        dataset.remarks,
    )
    request = {"dataset": "sizes", "space": {"family": "mlp"}, "strategy": {"name": "random"}}
    training: Any = resolve(request, lambda name: facts).spec.training
    assert training.input_transform == Choice(("standard", "quantile"))
    request["training"] = {"input_transform": "standard"}
    training = resolve(request, lambda name: facts).spec.training
    assert training.input_transform == "standard"
