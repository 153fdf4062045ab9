"""Final trainings put together for real: the members, the scores, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error
from torch.nn.functional import cross_entropy

from models import checkpoint
from models.datasets.reference import load_dataset
from models.ensemble import chosen_in
from models.training.criterion import scoring
from search.engine.journal import MemoryJournal
from search.engine.replay import replay
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stage import Given
from search.engine.stages.finals import FINAL
from search.evaluators.combining import LEFT_OUT, Final, combine
from search.evaluators.train import TrainEvaluator
from search.request.resolve import Resolved, resolve
from search.results.ensemble import told
from search.results.report import best
from search.testing.small_datasets import waves
from search.trial import Trial
from tests.search.support.stored import stored

Numbers = Any
"""An array."""

SMALL: Mapping[str, Any] = {
    "space": {"family": "mlp", "depth": 1, "members": 1, "width": {"choice": [8, 16, 32]}},
    "training": {"epochs": 2},
    "strategy": {"name": "random"},
    "opening": "none",
    "baselines": [],
    "budget": {"trials": 3},
    "final": {"top": 2, "seeds": 2, "epochs": 4},
    "ensemble": {"size": 3},
}


def searched(folder: Path, **body: Any) -> tuple[Resolved, list[Trial]]:
    """The trials of a search of this body, whose checkpoints are in the folder."""
    torch.set_num_threads(1)
    resolved, journal = resolve({**SMALL, **body}), MemoryJournal()
    strategy = resolved.strategy()
    run = SearchRun(resolved.spec, resolved.space, strategy, journal, resolved.cost)
    run_serial(run, TrainEvaluator.for_search(resolved.spec, str(folder)))
    assert run.failed_reason is None
    given = Given(resolved.spec, resolved.space, resolved.strategy())
    assert replay(given, journal.history()).is_same
    return resolved, run.trials


def said(folder: Path, number: int, x: torch.Tensor) -> Numbers:
    with torch.inference_mode():
        return checkpoint.load(f"{folder}/{number}.safetensors").network()(x).double()


def test_the_members_are_those_whose_mean_scikit_learn_finds_best(tmp_path: Path) -> None:
    """Step by step, by scikit-learn's accuracy and loss of the mean of probabilities."""
    resolved, trials = searched(tmp_path, dataset="breast_cancer")
    data = load_dataset("breast_cancer")
    together, finals = trials[-1], [trial.number for trial in trials if trial.kind is FINAL]
    assert together.derived is not None and together.failure is None
    shares = {
        split: {n: said(tmp_path, n, part.x).softmax(dim=1).numpy() for n in finals}
        for split, part in (("val", data.validation), ("test", data.test))
    }

    def scores(split: str, picks: list[int], true: Numbers) -> tuple[float, float]:
        mean = np.mean([shares[split][number] for number in picks], axis=0)
        return accuracy_score(true, mean.argmax(axis=1)), -log_loss(true, mean)

    value = partial(scores, "val", true=data.validation.y.numpy())
    picks: list[int] = []
    reached = []
    for _ in range(3):
        picks = max(([*picks, n] for n in finals), key=lambda one: value(picks=one))
        reached.append((value(picks=picks), picks))
    wanted = max(reached, key=lambda pair: pair[0])[1]
    chosen = chosen_in(together.derived)
    assert {one.trial: one.picks for one in chosen} == {n: wanted.count(n) for n in wanted}
    assert value(picks=wanted) >= max(value(picks=[number]) for number in finals)
    assert len(chosen) > 1, "else nothing was put together"

    accuracy, loss = value(picks=wanted)
    assert together.metrics["val_accuracy"] == pytest.approx(accuracy)
    assert together.metrics["val_loss"] == pytest.approx(-loss, rel=1e-5)
    accuracy, loss = scores("test", wanted, data.test.y.numpy())
    assert together.metrics["test_accuracy"] == pytest.approx(accuracy)
    assert together.metrics["test_loss"] == pytest.approx(-loss, rel=1e-5)
    mean = torch.from_numpy(np.mean([shares["val"][number] for number in wanted], axis=0)).log()
    near = [together.metrics["temperature"] * factor for factor in (0.95, 1.0, 1.05)]
    cooler, best_one, warmer = (cross_entropy(mean / t, data.validation.y) for t in near)
    assert best_one < min(cooler, warmer), "one temperature of the mean, by validation"
    of = {trial.number: trial for trial in trials}
    sizes = [of[one.trial].metrics["parameters"] for one in chosen]
    assert together.metrics["parameters"] == sum(sizes)

    report = told(resolved.spec, trials)
    assert report is not None and report["single"] == chosen[0].trial
    assert [member["source"] for member in report["members"]] == [
        of[one.trial].source for one in chosen
    ]
    items = best(resolved.spec, trials)
    assert report["is_handed_out"] == (len(chosen) > 1) == (items[0]["trial"] == together.number)


def test_values_of_members_that_learned_from_validation_are_chosen_by_what_they_said_before(
    tmp_path: Path,
) -> None:
    """A forecast trains anew on train and validation: the outputs of its first training choose."""
    facts = stored(waves(), tmp_path)
    body = {
        **SMALL,
        "dataset": "waves",
        "space": {"family": "linear"},
        "budget": {"trials": 2},
        "final": {"top": 2, "seeds": 2, "epochs": 4, "patience": 2},
        "objectives": [{"metric": "val_mae"}],
    }
    resolved = resolve(body, lambda _: facts)
    assert resolved.spec.final.data == "train+val"
    run = SearchRun(
        resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
    )
    evaluator = TrainEvaluator.for_search(resolved.spec, str(tmp_path), facts.reference)
    run_serial(run, evaluator)
    trials = run.trials
    together, of = trials[-1], {trial.number: trial for trial in trials}
    assert together.failure is None and together.derived is not None
    chosen, data = chosen_in(together.derived), load_dataset(facts.reference)
    first = chosen[0]
    alone = of[first.trial].metrics["val_mae"]
    assert "retrained_epochs" in of[first.trial].metrics
    assert alone == min(t.metrics["val_mae"] for t in trials if t.kind is FINAL)
    assert together.metrics["val_mae"] <= alone
    assert together.metrics["retrained_epochs"] > 0, "the card says what validation is then"
    picks = [one.trial for one in chosen for _ in range(one.picks)]
    mean = np.mean([said(tmp_path, n, data.test.x).numpy() for n in picks], axis=0)
    deviation = data.preprocessing["target"]["std"][0]
    error = mean_absolute_error(data.test.y.numpy(), mean) * deviation
    assert together.metrics["test_mae"] == pytest.approx(error, rel=1e-5)


def test_networks_that_see_their_samples_otherwise_are_left_out(tmp_path: Path) -> None:
    """Numbers by their rank beside numbers that are standardised: one bundle prepares them once."""
    quantile = {"input_transform": {"choice": ["standard", "quantile"]}}
    resolved, trials = searched(
        tmp_path,
        dataset="wine",
        training={"epochs": 1, **quantile},
        strategy={"name": "grid"},
        space={"family": "mlp", "depth": 1, "width": 8},
        budget={"trials": 4},
        final={"top": 4, "seeds": 1, "epochs": 2},
    )
    evaluator = TrainEvaluator("wine", str(tmp_path))
    finals = [
        Final(trial.number, left, evaluator._with_inputs(left.recipe), "")
        for trial in trials
        if trial.kind is FINAL
        for left in [checkpoint.load(f"{tmp_path}/{trial.number}.safetensors")]
    ]
    transforms = {final.number: final.checkpoint.recipe.input_transform for final in finals}
    assert set(transforms.values()) == {"standard", "quantile"}
    ensemble, metrics = combine(finals, 3, resolved.spec.objectives, scoring)
    kept = {transforms[member.chosen.trial] for member in ensemble.members}
    assert len(kept) == 1
    left_out = sum(transform not in kept for transform in transforms.values())
    assert metrics[LEFT_OUT] == left_out > 0
    assert trials[-1].metrics[LEFT_OUT] == left_out


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
def test_the_best_alone_is_the_first_whatever_the_objective(tmp_path: Path, metric: str) -> None:
    goal = "minimize" if metric == "val_loss" else "maximize"
    _, trials = searched(tmp_path, dataset="wine", objectives=[{"metric": metric, "goal": goal}])
    finals = [trial for trial in trials if trial.kind is FINAL]
    sign = -1.0 if goal == "minimize" else 1.0
    best_alone = max(finals, key=lambda t: (sign * t.metrics[metric], -t.metrics["val_loss"]))
    assert trials[-1].derived is not None
    assert chosen_in(trials[-1].derived)[0].trial == best_alone.number
