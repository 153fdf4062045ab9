"""A candidate begins with the weights that it had in the supernet which derived it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from models import checkpoint
from models.architecture import Architecture
from models.datasets import Dataset, datasets
from models.datasets.graphs import of_nodes
from models.datasets.reference import StoredDataset, load_dataset
from models.datasets.stored import save
from models.family import FamilySettings, families
from models.recipe import Recipe
from models.storage import sha256_of_file
from models.supernets import supernets
from models.task import Task
from models.training.evaluation import evaluate
from models.training.initialization import build
from models.training.metrics import scores
from models.training.state import load_state
from search.engine.journal import EpochReported, Event, MemoryJournal, TrialEnded
from search.engine.replay import replay
from search.engine.serial import run_serial
from search.engine.stage import Given
from search.engine.stages.baseline import BASELINE
from search.engine.stages.candidates import CANDIDATE, SUPERNET
from search.engine.stages.finals import FINAL
from search.evaluation import EvaluationError, Measurement, Metrics
from search.evaluators.train import TrainEvaluator
from search.problems import SpecError
from search.request.resolve import Resolved, resolve
from search.request.warm_start import Earlier, taken_over
from search.space import SearchSpace
from search.strategies.weight_sharing import WeightSharing
from search.testing.small_graphs import citations
from search.trial import Candidate, FailureKind, SupernetProposal, Trial, TrialState
from search.weight_sharing import evaluation as supernet
from search.weight_sharing.evaluation import train_supernet
from tests.search.engine.stages.test_baseline import candidates, complete, started
from tests.search.engine.test_run import Listed
from tests.search.support.spaces import letters as letter_space
from tests.search.support.spaces import spec_of
from tests.search.weight_sharing.test_sequence_sharing import BLOCKS, CELL, letters
from tests.search.weight_sharing.test_weight_sharing import SHARING, request, run_of

CNN = {"family": "cnn_cell", "nodes": 2, "cells": 2, "channels": 2}
NASBENCH = {"family": "cnn_cell", "topology": "nasbench201", "nodes": 3, "cells": 1, "channels": 2}
TABLE = {"family": "mlp", "norm": "batch", "dropout": 0.0}
GRAPH = {
    "family": "gnn",
    "layers": 2,
    "hidden": 4,
    "heads": 2,
    "aggregation": "mean",
    "steps": 3,
    "teleport": 0.1,
    "norm": "batch",
    "dropout": 0.0,
}
SETTINGS = {"epochs": 2, "seed": 3, "inherit_weights": True}
WHOLE = Recipe(epochs=1, batch_size=65_536)
"""One step on all samples, so that its loss is that of the weights before any step."""

FILE = "0.weights.safetensors"
CLOCK = ("latency_ms", "peak_memory_bytes", "train_seconds")


def images() -> Dataset:
    """A part of digits."""
    whole = load_dataset("digits")
    parts = {"train": whole.train, "validation": whole.validation}
    return replace(whole, **{n: replace(s, x=s.x[:90], y=s.y[:90]) for n, s in parts.items()})


MAKERS: dict[str, Any] = {
    "images": images,
    "table": lambda: datasets["wine"].load(),
    "nodes": lambda: of_nodes("mine", citations()),
    "letters": letters,
}


def settings_of(space: Mapping[str, Any]) -> FamilySettings:
    settings = families[str(space["family"])].Settings.model_validate(space)
    assert isinstance(settings, FamilySettings)
    return settings


def evaluator(
    dataset: Dataset, folder: Path, space: Mapping[str, Any], **named: Any
) -> TrainEvaluator:
    path = folder / "dataset.safetensors"
    save(dataset, path)
    stored = StoredDataset(str(path), sha256_of_file(path))
    return TrainEvaluator(stored, str(folder), space=settings_of(space), **named)


def supernet_trial(method: str = "darts", **settings: Any) -> Trial:
    proposal = SupernetProposal(method, {**SETTINGS, **settings})
    return Trial(0, SUPERNET, proposal, TrialState.RUNNING)


def candidate_trial(
    architecture: Architecture, recipe: Recipe = WHOLE, weights_from: int | None = 0
) -> Trial:
    candidate = Candidate(architecture, recipe, weights_from)
    return Trial(5, CANDIDATE, candidate, TrialState.RUNNING, seed=11)


def drawn(space: Mapping[str, Any], task: Task, number: int = 0) -> Architecture:
    whole = SearchSpace.of_architectures(str(space["family"]), settings_of(space), task)
    return whole.sample(Random(number)).architecture


def timeless(metrics: Metrics) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in CLOCK}


@pytest.mark.parametrize(
    ("kind", "space", "method", "settings"),
    [
        ("images", CNN, "darts", {}),
        ("images", NASBENCH, "pc_darts", {"partial": 1}),
        ("table", TABLE, "gdas", {}),
        ("nodes", GRAPH, "random_sharing", {"samples": 4}),
        ("letters", CELL | {"dropout": 0.0}, "darts", {}),
        ("letters", BLOCKS | {"dropout": 0.0}, "enas", {"samples": 4}),
    ],
)
def test_a_candidate_begins_where_its_subnet_ended(
    kind: str,
    space: dict[str, Any],
    method: str,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the train split by the supernet itself, whose weights are read from its own state."""
    monkeypatch.setattr(supernet, "SAVING_SHARE", math.inf)  # after the last epoch too
    dataset = MAKERS[kind]()
    trains = evaluator(dataset, tmp_path, space)
    *_, closing = trains.evaluate(supernet_trial(method, **settings))
    architecture = closing.derived
    assert architecture is not None

    state, _ = load_state(f"{tmp_path}/0.state.safetensors")
    prefix = "search.supernet."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in state.tensors.items()
        if name.startswith(prefix)
    }
    shared = supernets[str(space["family"])].build(settings_of(space), dataset.task)
    shared.load_state_dict(weights)
    outputs = shared.train()(dataset.train.x, shared.mix_of(architecture))
    expected = scores[dataset.task.name].loss(outputs, dataset.train.y).item()
    (first,) = trains.evaluate(candidate_trial(architecture))
    assert first.metrics["train_loss"] == pytest.approx(expected, rel=1e-6)
    (scratch,) = trains.evaluate(candidate_trial(architecture, weights_from=None))
    assert abs(scratch.metrics["train_loss"] - expected) > 1e-3

    network = checkpoint.load(f"{tmp_path}/{FILE}").network()
    found = evaluate(network, dataset.validation, dataset.task, "val")
    assert found["val_loss"] == pytest.approx(closing.metrics["derived_loss"], rel=1e-6)


def test_only_the_weights_are_others(tmp_path: Path) -> None:
    """Where a file holds the very weights of the seed, order, dropout and shifts are the same."""
    dataset, trained = images(), evaluator(images(), tmp_path, NASBENCH)
    architecture = drawn(NASBENCH, dataset.task)
    recipe = Recipe(epochs=2, batch_size=32, dropout=0.3, augmentation="shift_flip")
    scratch = candidate_trial(architecture, recipe, None)
    network = build(architecture, dataset.task, recipe, scratch.seed)
    checkpoint.save(f"{tmp_path}/{FILE}", network, architecture, dataset.task, recipe, {})
    inheriting = candidate_trial(architecture, recipe)
    expected = [timeless(report.metrics) for report in trained.evaluate(scratch)]
    assert [timeless(report.metrics) for report in trained.evaluate(inheriting)] == expected


def test_a_paused_candidate_goes_on_from_its_own_state(tmp_path: Path) -> None:
    dataset = images()
    trained = evaluator(dataset, tmp_path, NASBENCH, save_after={1})
    architecture = drawn(NASBENCH, dataset.task)
    other = build(architecture, dataset.task, Recipe(), 4)
    checkpoint.save(f"{tmp_path}/{FILE}", other, architecture, dataset.task, Recipe(), {})
    trial = candidate_trial(architecture, Recipe(epochs=2, batch_size=32))
    expected = [timeless(report.metrics) for report in trained.evaluate(trial)]
    (tmp_path / FILE).unlink()
    assert [timeless(report.metrics) for report in trained.evaluate(trial)] == expected


def test_after_a_collapse_the_weights_are_of_the_healthy_architecture(tmp_path: Path) -> None:
    def reports(folder: Path, **guard: Any) -> list[Any]:
        quick = {"epochs": 4, "batch_size": 45, "architecture_learning_rate": 0.3}
        trial = supernet_trial(**quick, guard={"max_skip_share": 1.0, **guard})
        run = train_supernet(
            trial,
            settings_of(NASBENCH),
            images(),
            torch.device("cpu"),
            f"{folder}/state",
            weights_url=f"{folder}/{FILE}",
        )
        return list(run)

    free = reports(tmp_path / "free", action="off")
    limit = (free[0].metrics["entropy"] + free[1].metrics["entropy"]) / 2
    healthy = {"min_entropy": limit, "patience": 1, "warmup_share": 0.0}
    *course, closing = reports(tmp_path / "stopped", **healthy)
    assert closing.metrics["derived_epoch"] == 1 and course[-1].metrics["epoch"] == 2
    assert course[0].derived != course[-1].derived
    left = checkpoint.load(f"{tmp_path}/stopped/{FILE}")
    assert left.architecture == closing.derived == course[0].derived
    assert left.extra == {"trial": 0}
    found = evaluate(left.network(), images().validation, left.task, "val")
    assert found["val_accuracy"] == closing.metrics["derived_accuracy"]


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "are not there"),
        (damaged, "are damaged"),
        (None, "are of the architecture"),
        ("narrow", "do not fit: 2 tensors differ, the first is classifier.bias, (3,) there and"),
    ],
)
def test_weights_that_are_lost_or_of_another_network_are_refused_by_name(
    change: Any, message: str, tmp_path: Path
) -> None:
    dataset = images()
    trained = evaluator(dataset, tmp_path, NASBENCH)
    architecture, others = (drawn(NASBENCH, dataset.task, number) for number in (0, 1))
    task = replace(dataset.task, outputs=3) if change == "narrow" else dataset.task
    of = others if change is None else architecture
    network = build(of, task, Recipe(), 0)
    checkpoint.save(f"{tmp_path}/{FILE}", network, of, task, Recipe(), {})
    if callable(change):
        change(tmp_path / FILE)
    with pytest.raises(EvaluationError) as caught:
        next(trained.evaluate(candidate_trial(architecture)))
    failure = caught.value.failure
    assert failure.kind is FailureKind.ERROR and message in failure.message
    assert f"the weights of supernet trial 0, in {FILE}" in failure.message


def inheriting(name: str = "darts", **changes: Any) -> Resolved:
    whole = {"partial": 1} if name == "pc_darts" else {}
    return resolve(request(name, inherit_weights=True, **whole) | changes)


class Crash(BaseException):
    """The process is gone."""


class Mortal:
    """An evaluator whose process dies at the first candidate."""

    def __init__(self, evaluator: TrainEvaluator) -> None:
        self._evaluator = evaluator

    def evaluate(self, trial: Trial) -> Iterator[Measurement]:
        if trial.kind is CANDIDATE:
            raise Crash
        return self._evaluator.evaluate(trial)


def without_clock(events: list[Event]) -> list[Event]:
    found: list[Event] = []
    for event in events:
        if isinstance(event, EpochReported):
            found.append(replace(event, metrics=timeless(event.metrics)))
        elif isinstance(event, TrialEnded):
            ended = replace(event.trial, metrics=timeless(event.trial.metrics), seconds=0.0)
            found.append(replace(event, trial=ended))
        else:
            found.append(event)
    return found


def test_a_search_goes_on_with_the_weights_after_a_crash(tmp_path: Path) -> None:
    resolved, whole = inheriting(dataset="wine", space=TABLE), MemoryJournal()
    run = run_of(resolved, whole)
    run_serial(run, TrainEvaluator.for_search(resolved.spec, str(tmp_path / "whole")))
    derived = {trial.number: trial.derived for trial in run.trials if trial.is_supernet}
    tried = [trial for trial in run.trials if trial.kind is CANDIDATE]
    assert tried and all(trial.state is TrialState.COMPLETED for trial in tried)
    for trial in tried:
        number = trial.candidate.weights_from
        assert number is not None and derived[number] == trial.candidate.architecture
    final = run.trials[-1]
    assert final.kind is FINAL and final.candidate.weights_from is None
    given = Given(resolved.spec, resolved.space, resolved.strategy())
    assert replay(given, whole.history()).is_same

    folder, parted = str(tmp_path / "parted"), MemoryJournal()
    trains = TrainEvaluator.for_search(resolved.spec, folder)
    with pytest.raises(Crash):
        run_serial(run_of(resolved, parted), Mortal(trains))
    left = MemoryJournal()
    left.events = list(parted.events)
    run_serial(run_of(resolved, parted), TrainEvaluator.for_search(resolved.spec, folder))
    assert without_clock(parted.events) == without_clock(whole.events)

    for path in (tmp_path / "parted").glob("*.weights.safetensors"):
        path.unlink()
    run = run_of(resolved, left)
    run_serial(run, TrainEvaluator.for_search(resolved.spec, folder))
    assert run.failed_reason is not None and "are not there" in run.failed_reason
    for trial in run.trials:
        if trial.kind is CANDIDATE:
            name = f"{trial.candidate.weights_from}.weights.safetensors"
            assert trial.failure is not None and name in trial.failure.message


def supernets_asked(strategy: WeightSharing, count: int) -> list[Trial]:
    """The first trials, which run."""
    found: list[Trial] = []
    for number in range(count):
        proposal = strategy.ask(number, found)
        assert (
            isinstance(proposal, SupernetProposal) and proposal.settings["inherit_weights"] is True
        )
        found.append(Trial(number, SUPERNET, proposal, TrialState.RUNNING))
    return found


@pytest.mark.parametrize("name", SHARING)
def test_what_two_supernets_derive_is_tried_with_the_weights_of_the_first_that_ended(
    name: str,
) -> None:
    resolved = inheriting(name)
    strategy = resolved.strategy()
    assert isinstance(strategy, WeightSharing)
    architecture = resolved.space.sample(Random(0)).architecture
    for trial in reversed(supernets_asked(strategy, 2)):
        strategy.tell(replace(trial, state=TrialState.COMPLETED, derived=architecture))
    candidate = strategy.ask(2, ())
    assert isinstance(candidate, Candidate) and candidate.weights_from == 1
    assert candidate.to_json()["weights_from"] == 1
    assert Candidate.from_json(candidate.to_json()) == candidate
    plain = replace(candidate, weights_from=None)
    assert "weights_from" not in plain.to_json()
    assert resolved.space.keys(plain) == resolved.space.keys(candidate)
    keys = resolved.space.keys(candidate)
    running = Trial(2, CANDIDATE, candidate, TrialState.RUNNING, *keys)
    assert strategy.ask(3, (running,)) is None
    strategy.tell(replace(running, state=TrialState.FAILED))
    assert strategy.ask(3, ()) is None


def test_random_search_is_not_credited_with_inherited_weights() -> None:
    """Its only network was trained before, once with weights of a supernet and once without."""
    space = letter_space(1, "a")
    (plain,) = candidates(space, "a")
    for weights_from, state in ((7, TrialState.COMPLETED), (None, TrialState.CACHED)):
        tried = replace(plain, weights_from=weights_from)
        run = started(space, Listed([tried]), spec_of(1, baseline="random"))
        while (trial := run.next_trial()) is not None:
            complete(run, trial)
        (drawn,) = [trial for trial in run.trials if trial.kind is BASELINE]
        assert drawn.state is state and drawn.candidate == plain


def test_results_with_inherited_weights_are_not_taken_over() -> None:
    resolved = resolve(request("darts") | {"warm_start": ["srch_one"]})
    candidate = resolved.space.sample(Random(0))
    scored = Trial(4, CANDIDATE, candidate, TrialState.COMPLETED, metrics={"val_accuracy": 0.5})
    heir = replace(scored, number=5, proposal=replace(candidate, weights_from=2))

    def earlier(*trials: Trial) -> Any:
        spec, fingerprint = resolved.spec, resolved.dataset.fingerprint
        return lambda search_id, limit: Earlier(search_id, spec, fingerprint, trials)

    (taken,) = taken_over(resolved, earlier(heir, scored))
    assert taken.source == 4
    with pytest.raises(SpecError, match=r"began with the weights of .* supernet trial 2"):
        taken_over(resolved, earlier(heir))


@pytest.mark.parametrize(
    ("name", "training", "pointer", "message"),
    [
        ("pc_darts", {}, "/strategy/inherit_weights", "1 of 4 channels fit no network.*: 1"),
        ("darts", {"batch_norm": False}, "/training/batch_norm", "true, got false"),
        (
            "gdas",
            {"initialization": {"choice": ["default", "kaiming"]}},
            "/training/initialization",
            'have initialization "default", got "kaiming"',
        ),
        ("darts", {"pretraining": "masked"}, "/training/pretraining", '"none", got "masked"'),
    ],
)
def test_what_cannot_inherit_weights_is_refused_with_a_way_out(
    name: str, training: dict[str, Any], pointer: str, message: str
) -> None:
    body = request(name, inherit_weights=True)
    body["training"] |= training
    with pytest.raises(SpecError, match=message) as caught:
        resolve(body)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]
    body["strategy"]["inherit_weights"] = False
    assert resolve(body).spec.strategy.name == name
    assert inheriting("pc_darts").spec.strategy.name == "pc_darts"
