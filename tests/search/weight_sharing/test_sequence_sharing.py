"""Searches on shared weights for the families of sequences: refusals, and from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.datasets import Dataset, series, text
from models.datasets.reference import StoredDataset
from models.datasets.stored import save
from models.storage import sha256_of_file
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import SUPERNET
from search.engine.stages.finals import FINAL
from search.evaluators.train import TrainEvaluator
from search.problems import SpecError
from search.request.dataset_facts import DatasetFacts
from search.request.resolve import resolve
from search.trial import TrialState

GUARD = {"every": 1, "warmup_share": 1.0}  # measures in every epoch, and stops in none
CELL = {"family": "rnn", "cell": "darts", "layers": 1, "hidden": 4, "nodes": 2}
BLOCKS = {
    "family": "transformer",
    "layers": 2,
    "width": 8,
    "heads": 2,
    "norm": "pre",
    "positions": "learned",
    "readout": "mean",
    "dropout": 0.1,
}
ONE_WAY = {"direction": "forward", "relative": True}


def letters() -> Dataset:
    content = "".join("abcd"[i * i % 7 % 4] for i in range(900))
    return text.language_modeling("mine", content, window=8)


def waves() -> Dataset:
    values = np.sin(np.arange(160.0) / 3)[:, None]
    return series.forecasting("mine", values, ["v"], ["v"], window=8, horizon=2)


def request(space: dict[str, Any], name: str, **strategy: Any) -> dict[str, Any]:
    return {
        "dataset": "mine",
        "space": space,
        "training": {"epochs": 1},
        "strategy": {"name": name, "seeds": 1, "epochs": 2, "guard": GUARD, **strategy},
        "final": {"seeds": 1, "epochs": 1},
    }


def facts_of(dataset: Dataset, reference: StoredDataset | None = None) -> DatasetFacts:
    return DatasetFacts(dataset.task, dataset.sizes, dataset.fingerprint, reference)


@pytest.mark.parametrize(
    ("make", "space", "strategy"),
    [
        (letters, CELL, {"name": "darts", "order": "second"}),
        (letters, BLOCKS, {"name": "gdas"}),
        (waves, CELL | ONE_WAY, {"name": "pc_darts", "partial": 1}),
        (waves, BLOCKS | {"relative": True}, {"name": "darts"}),
        (letters, CELL, {"name": "random_sharing", "samples": 8}),
        (waves, BLOCKS | {"relative": True}, {"name": "enas", "samples": 8}),
    ],
)
def test_what_a_supernet_derives_is_trained_and_retrained(
    make: Any, space: dict[str, Any], strategy: dict[str, Any], tmp_path: Path
) -> None:
    dataset: Dataset = make()
    path = tmp_path / "dataset.safetensors"
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
    assert {"supernet_loss", "derived_loss", "weight_loss"} <= supernet.metrics.keys()


@pytest.mark.parametrize(
    ("make", "space", "strategy", "pointer", "message"),
    [
        (letters, {"family": "rnn"}, "darts", "cell", "one value of cell, layers, hidden, dropout"),
        (
            waves,
            CELL | {"relative": False},
            "gdas",
            "direction",
            'fix them, as by {"direction": "forward"}',
        ),
        (letters, BLOCKS | {"layers": {"low": 1, "high": 2}}, "darts", "layers", "of layers, got"),
        (letters, {"family": "transformer"}, "darts", "layers", "of layers, width"),
        (letters, CELL, "pc_darts", "family", 'give the strategy "partial": 1'),
        (waves, BLOCKS, "pc_darts", "family", "see all channels, got 1 of 4"),
    ],
)
def test_a_space_that_cannot_share_weights_is_refused_with_a_way_out(
    make: Any, space: dict[str, Any], strategy: str, pointer: str, message: str
) -> None:
    dataset: Dataset = make()
    with pytest.raises(SpecError) as caught:
        resolve(request(space, strategy), lambda _: facts_of(dataset))
    (problem,) = caught.value.problems
    assert problem.pointer == f"/space/{pointer}" and message in problem.message


def test_the_way_out_is_one() -> None:
    """The values that a refusal names make the request resolve, and the mixtures stay open."""
    dataset = letters()
    for family in ("rnn", "transformer"):
        with pytest.raises(SpecError) as caught:
            resolve(request({"family": family}, "darts"), lambda _: facts_of(dataset))
        (problem,) = caught.value.problems
        fixed = json.loads(problem.message.split("fix them, as by ")[1])
        resolved = resolve(
            request({"family": family, **fixed}, "darts"), lambda _: facts_of(dataset)
        )
        assert resolved.space.size > 10
