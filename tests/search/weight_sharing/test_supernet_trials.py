"""A supernet as a trial: it is guarded, and goes on where it was left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.cost import cost
from models.datasets import Dataset, Split
from models.datasets.reference import load_dataset
from models.families.cnn_cell import CnnCellSettings
from models.family import InfeasibleError
from models.recipe import Recipe
from search.engine.stages.candidates import SUPERNET
from search.evaluation import EvaluationError, Measurement
from search.objectives import Constraint
from search.trial import SupernetProposal, Trial, TrialState
from search.weight_sharing import evaluation as supernet
from search.weight_sharing.evaluation import train_supernet

SPACE = CnnCellSettings.model_validate(
    {"family": "cnn_cell", "topology": "nasbench201", "nodes": 3, "cells": 1, "channels": 2}
)
QUICK = {"epochs": 4, "batch_size": 60, "architecture_learning_rate": 0.1, "seed": 3}
OFF = {"action": "off"}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """A part of them: it is the course of the training that counts here."""
    whole = load_dataset("digits")
    parts = {
        name: Split(split.x[:count], split.y[:count])
        for name, split, count in (
            ("train", whole.train, 240),
            ("validation", whole.validation, 60),
        )
    }
    return replace(whole, **parts)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trial(method: str = "darts", **settings: Any) -> Trial:
    proposal = SupernetProposal(method, {**QUICK, **settings})
    return Trial(7, SUPERNET, proposal, TrialState.RUNNING)


def reports(
    digits: Dataset, folder: Path, trial: Trial, *limits: Constraint
) -> Iterator[Measurement]:
    url = f"{folder}/{trial.number}.state.safetensors"
    return train_supernet(trial, SPACE, digits, torch.device("cpu"), url, limits)


def shown(report: Measurement) -> tuple[Mapping[str, float], str]:
    """What does not depend on the machine."""
    left_out = ("peak_memory_bytes",)
    kept = {name: value for name, value in report.metrics.items() if name not in left_out}
    assert report.derived is not None
    return kept, report.derived.key


def test_the_guard_stops_at_the_last_healthy_epoch(digits: Dataset, tmp_path: Path) -> None:
    free = list(reports(digits, tmp_path / "free", trial(guard=OFF)))
    entropies = [report.metrics["entropy"] for report in free[:-1]]
    assert entropies == sorted(entropies, reverse=True)
    limit = (entropies[1] + entropies[2]) / 2
    guard = {"min_entropy": limit, "max_skip_share": 1.0, "patience": 1, "warmup_share": 0.0}
    stopped = list(reports(digits, tmp_path / "stopped", trial(guard=guard)))
    *course, closing = stopped
    assert [report.metrics["epoch"] for report in stopped] == [1, 2, 3, 3]
    for report, unguarded in zip(course, free, strict=False):
        memory = ("peak_memory_bytes", report.metrics["peak_memory_bytes"])
        assert report.metrics.items() - {memory} >= {
            (name, value)
            for name, value in unguarded.metrics.items()
            if name not in ("peak_memory_bytes", "hessian_eigenvalue")
        }
        assert report.derived == unguarded.derived
    assert course[-1].metrics["collapse entropy"] == entropies[2]
    assert "collapse entropy" not in course[1].metrics
    assert closing.metrics["derived_epoch"] == 2
    assert closing.derived == course[1].derived
    gap = closing.metrics["supernet_accuracy"] - closing.metrics["derived_accuracy"]
    assert closing.metrics["discretisation_gap"] == gap
    assert (
        "hessian_eigenvalue" in course[2].metrics and "hessian_eigenvalue" not in course[1].metrics
    )
    assert not any("hessian_eigenvalue" in report.metrics for report in free)


def test_a_restart_is_the_training_with_the_stronger_decay(digits: Dataset, tmp_path: Path) -> None:
    always = {"min_entropy": 1.0, "patience": 2, "warmup_share": 0.0, "every": 100}
    guard = {**always, "action": "restart", "restarts": 1, "decay_factor": 10.0}
    restarted = list(reports(digits, tmp_path / "restarted", trial(guard=guard)))
    stronger = trial(guard=OFF, weight_decay=3e-3)
    expected = list(reports(digits, tmp_path / "stronger", stronger))
    assert [report.metrics["epoch"] for report in restarted] == [1, 2, 3, 4, 5, 6, 6]
    assert [report.metrics["restarts"] for report in restarted] == [0, 0, 1, 1, 1, 1, 1]
    assert "collapse entropy" in restarted[1].metrics
    for report, other in zip(restarted[2:-1], expected[:-1], strict=True):
        assert report.metrics["weight_loss"] == other.metrics["weight_loss"]
        assert report.metrics["architecture_loss"] == other.metrics["architecture_loss"]
        assert report.derived == other.derived
    assert restarted[-1].metrics["derived_epoch"] == 6  # no epoch was healthy: the last one counts
    assert restarted[-1].metrics["derived_accuracy"] == expected[-1].metrics["derived_accuracy"]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("darts", {"order": "second", "guard": {"every": 1, "min_ratio": 0.0}}),
        ("darts", {"guard": {"action": "restart", "min_entropy": 1.0, "restarts": 1}}),
        ("darts", {"guard": {"min_entropy": 0.9, "patience": 1, "warmup_share": 0.0}}),
        ("gdas", {"penalty": {"metric": "latency_ms", "target": 1e-3}}),
        ("pc_darts", {"partial": 2, "resting_share": 0.25}),
        ("darts", {"optimizer": "adam", "learning_rate": 0.01}),
    ],
)
def test_a_supernet_goes_on_as_if_it_had_never_stopped(
    method: str,
    settings: Mapping[str, Any],
    digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supernet, "SAVING_SHARE", math.inf)  # after every epoch
    monkeypatch.setattr(supernet, "latency_ms", lambda network, *_: float(len(str(network))))
    known = trial(method, **settings)
    expected = [shown(report) for report in reports(digits, tmp_path / "whole", known)]
    folder, found, told = tmp_path / "parted", [], 0
    while told < len(expected):
        parts = reports(digits, folder, known)
        if told:
            assert shown(next(parts)) == expected[told - 1]
        found.append(shown(next(parts)))  # one epoch, then the worker is gone
        parts.close()
        told += 1
    assert found == expected


def test_a_state_of_other_settings_is_left_alone(digits: Dataset, tmp_path: Path) -> None:
    next(reports(digits, tmp_path, trial()))
    report = next(reports(digits, tmp_path, trial(weight_decay=0.1)))
    other = next(reports(digits, tmp_path / "fresh", trial(weight_decay=0.1)))
    assert shown(report) == shown(other)


def test_less_memory_changes_no_number_and_half_precision_little(
    digits: Dataset, tmp_path: Path
) -> None:
    def first(**settings: Any) -> Mapping[str, float]:
        return shown(next(reports(digits, tmp_path / str(settings), trial(**settings))))[0]

    plain = first()
    assert first(gradient_checkpointing=True) == plain
    halved = first(precision="bfloat16")
    assert halved["weight_loss"] != plain["weight_loss"]
    assert halved["weight_loss"] == pytest.approx(plain["weight_loss"], rel=0.02)


def test_what_a_supernet_derives_keeps_the_limits_of_the_search(
    digits: Dataset, tmp_path: Path
) -> None:
    free = list(reports(digits, tmp_path / "free", trial()))
    costs = [cost(report.derived, digits.task, Recipe())["flops"] for report in free]
    assert max(costs) > 17_000
    few = Constraint(metric="flops", max=17_000)  # without convolutions: 16,840
    for report in reports(digits, tmp_path / "few", trial(), few):
        assert cost(report.derived, digits.task, Recipe())["flops"] <= 17_000
    none = Constraint(metric="flops", max=1000)
    with pytest.raises(InfeasibleError, match=r"flops .* is above the constraint's max 1000"):
        next(reports(digits, tmp_path / "none", trial(), none))


def test_the_best_path_within_the_limits_is_derived(digits: Dataset, tmp_path: Path) -> None:
    """A limit costs nothing that was scored: the best of what keeps it is taken."""
    settings = {"epochs": 1, "batch_size": 60, "samples": 60, "seed": 3}
    paths = replace(trial(), proposal=SupernetProposal("random_sharing", settings))
    (free, _), (few, _) = (
        reports(digits, tmp_path / name, paths, *limits)
        for name, limits in (("free", ()), ("few", (Constraint(metric="flops", max=17_000),)))
    )
    assert cost(free.derived, digits.task, Recipe())["flops"] > 17_000
    assert cost(few.derived, digits.task, Recipe())["flops"] <= 17_000


def test_a_penalty_on_what_is_not_decided_is_refused(digits: Dataset, tmp_path: Path) -> None:
    fixed = SPACE.model_copy(update={"operations": ("skip_connect", "avg_pool_3x3")})
    known = trial(penalty={"metric": "parameters", "target": 10.0})
    with pytest.raises(InfeasibleError, match="nothing that this supernet decides changes param"):
        next(train_supernet(known, fixed, digits, torch.device("cpu"), f"{tmp_path}/state"))


def test_a_supernet_that_cannot_fit_is_refused_with_the_numbers(
    digits: Dataset, tmp_path: Path
) -> None:
    small = train_supernet(
        trial(), SPACE, digits, torch.device("cpu"), f"{tmp_path}/state", (), 2**16
    )
    with pytest.raises(EvaluationError, match=r"60 samples needs at least \d+ MiB, allowed are 0"):
        next(small)
