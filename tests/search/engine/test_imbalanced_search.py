"""A small search where one row in eight is of the class that counts: file to predictions."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.finals import FINAL
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.results.report import best
from tests.models.support.uploads import csv, read
from tests.search.support.bundles import bundle_of_best
from tests.search.support.stored import stored

ROWS = 320


def test_a_bundle_says_the_classes_that_the_search_was_scored_by(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    is_rare = np.arange(ROWS) % 8 == 0
    values = rng.normal(0, 1, ROWS) + 1.5 * is_rare
    columns = {
        "a": [f"{value:.3f}" for value in values],
        "b": [f"{value:.3f}" for value in rng.normal(0, 1, ROWS)],
        "ill": np.where(is_rare, "yes", "no").tolist(),
    }
    dataset = read(tmp_path, csv(columns), "tabular_classification", target="ill")
    facts = stored(dataset, tmp_path)
    resolved = resolve(
        {
            "dataset": "mine",
            "space": {"family": "mlp", "depth": 1, "width": 8, "embedding": "none"},
            "training": {"epochs": 6, "class_weight": {"choice": ["none", "balanced"]}},
            "strategy": {"name": "grid"},
            "objectives": [{"metric": "val_balanced_accuracy"}],
            "budget": {"trials": 2},
            "final": {"seeds": 1, "epochs": 6},
        },
        lambda name: facts,
    )
    run = SearchRun(
        resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
    )
    run_serial(run, TrainEvaluator.for_search(resolved.spec, str(tmp_path), facts.reference))
    tried = [trial for trial in run.trials if trial.kind is not FINAL]
    assert {trial.candidate.recipe.class_weight for trial in tried} == {"none", "balanced"}
    final = next(trial for trial in run.trials if trial.kind is FINAL)
    margin = final.metrics["decision_margin"]
    assert margin != 0
    (item,) = best(resolved.spec, run.trials)
    bundle = bundle_of_best(item, final, dataset, tmp_path)
    decision = json.loads((bundle / "preprocessing.json").read_text())["decision"]
    assert decision["offsets"] == [0, -margin]
    spec = importlib.util.spec_from_file_location("predict", bundle / "predict.py")
    assert spec is not None and spec.loader is not None
    predict = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(predict)
    results = predict.load(bundle).predict(dataset.raw_rows)
    said = [result["label"] for result in results]
    true = [dataset.preprocessing["classes"][place] for place in dataset.test.y.tolist()]
    expected = final.metrics["test_balanced_accuracy"]
    assert balanced_accuracy_score(true, said) == pytest.approx(expected)
    likelier = ["yes" if row["probability_yes"] >= 0.5 else "no" for row in results]
    assert likelier != said, "the threshold is another than a half"
