"""A small search of each family that has built-in data: request to verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.datasets import datasets
from models.exporters.bundle import score_bundle
from models.training.defaults import default_recipe
from models.training.metrics import metric_names
from search.engine.journal import EpochReported, MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.finals import FINAL
from search.evaluation import EvaluationError
from search.evaluators.train import TrainEvaluator
from search.request.resolve import Resolved, resolve
from search.results.report import best
from search.trial import FailureKind
from tests.search.support.bundles import bundle_of_best

SEARCHES: dict[str, dict[str, Any]] = {
    "tabular_classification": {"dataset": "wine", "space": {"family": "mlp"}},
    "tabular_regression": {"dataset": "diabetes", "space": {"family": "mlp"}},
    "image_classification": {
        "dataset": "digits",
        "space": {"family": "cnn_stages", "width": {"choice": [4, 8]}, "stages": 2},
    },
}


def small(task: str, **more: Any) -> Resolved:
    return resolve(
        {
            **SEARCHES[task],
            "training": {"epochs": 2, "batch_size": 128},
            "strategy": {"name": "regularized_evolution"},
            "budget": {"trials": 3},
            "final": {"seeds": 2, "epochs": 3},
            **more,
        }
    )


@pytest.mark.parametrize("task", SEARCHES)
def test_a_search_ends_in_a_bundle_that_scores_what_was_found(task: str, tmp_path: Path) -> None:
    resolved, journal = small(task), MemoryJournal()
    assert resolved.dataset.task.name == task
    assert resolved.spec.training.optimizer == default_recipe(task).optimizer
    assert resolve(resolved.spec.to_json()).spec == resolved.spec
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    run_serial(run, TrainEvaluator.for_search(resolved.spec, str(tmp_path)))
    assert run.failed_reason is None
    for event in journal.events:
        if isinstance(event, EpochReported):
            known = {f"val_{name}" for name in metric_names(task)}
            assert known | {"gradient_norm_first", "latency_ms"} <= event.metrics.keys()
            assert 0 < event.metrics["latency_ms"] < 100
    (item,) = best(resolved.spec, run.trials)
    final = next(trial for trial in run.trials if trial.kind is FINAL)
    assert item["final_metrics"]["test_loss"]["seeds"] == 2
    dataset = datasets[resolved.spec.dataset].load()
    bundle = bundle_of_best(item, final, dataset, tmp_path)
    scores = score_bundle(bundle, dataset)
    assert len(scores) >= 3 and scores.keys() <= final.metrics.keys()
    assert scores == pytest.approx({name: final.metrics[name] for name in scores}, rel=1e-5)


@pytest.mark.parametrize("task", ["tabular_classification", "image_classification"])
def test_a_network_that_needs_more_memory_than_there_is_is_refused(
    task: str, tmp_path: Path
) -> None:
    space = {**SEARCHES[task]["space"], "width": 512}
    resolved = small(task, space=space)
    run = SearchRun(
        resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
    )
    trial = run.next_trial()
    assert trial is not None
    evaluator = TrainEvaluator(resolved.spec.dataset, str(tmp_path), memory_limit_bytes=64 * 1024)
    with pytest.raises(
        EvaluationError, match="refused before training: half a step with"
    ) as caught:
        next(iter(evaluator.evaluate(trial)))
    assert caught.value.failure.kind is FailureKind.OUT_OF_MEMORY
