"""What a GPU is used for gives what a processor gives, and nobody waits for it in between.

`make test-gpu` runs these on a machine with a CUDA device.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from models.accelerator import set_deterministic
from models.architecture import Architecture
from models.cost import cost
from models.datasets import Dataset
from models.families.cnn_cell import CnnCellSettings
from models.family import InfeasibleError, families
from models.recipe import Recipe
from models.supernets import supernets
from models.training.defaults import default_recipe
from models.training.initialization import build
from models.training.trainer import Training
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.candidates import SUPERNET
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.space import SearchSpace
from search.strategy import strategies
from search.testing.families import draw
from search.testing.small_datasets import SMALL
from search.trial import SupernetProposal, Trial, TrialState
from search.weight_sharing.evaluation import train_supernet
from search.weight_sharing.one_shot import Batch

pytestmark = pytest.mark.gpu

CARD = torch.device("cuda", 0)
PAIRS = [(family, task) for task in SMALL for family in families if task in families[family].tasks]
CELLS = CnnCellSettings.model_validate(
    {"family": "cnn_cell", "topology": "nasbench201", "nodes": 3, "cells": 1, "channels": 4}
)
METHODS = ["darts", "pc_darts", "gdas", "enas", "random_sharing"]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    set_deterministic(False)
    torch.cuda.empty_cache()


def drawn(family: str, dataset: Dataset) -> Architecture:
    """The cheapest of a few random networks of the family's default space, without dropout, whose
    random numbers are others on a card.
    """
    entry, rng, found = families[family], Random(3), {}
    for _ in range(100):
        architecture = draw(family, list(entry.decisions(entry.Settings(), dataset.task)), rng)
        if architecture.decisions.get("dropout"):
            continue
        try:
            known = cost(architecture, dataset.task, default_recipe(dataset.task.name))
        except InfeasibleError:
            continue
        found[known["flops"]] = architecture
        if len(found) == 8:
            break
    return found[min(found)]


def course(
    family: str, dataset: Dataset, device: str | torch.device, **choices: Any
) -> list[dict[str, float]]:
    """The metrics of each epoch."""
    recipe = default_recipe(dataset.task.name).model_copy(
        update={"epochs": 2, "dropout": 0.0, **choices}
    )
    network = build(drawn(family, dataset), dataset.task, recipe, 5)
    return list(Training(network, dataset, recipe, seed=5, device=device).epochs())


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_a_deterministic_training_gives_the_same_bits(family: str, task: str) -> None:
    dataset = SMALL[task]()
    set_deterministic(True)
    first, second = (course(family, dataset, CARD) for _ in range(2))
    assert first == second
    on_cpu = course(family, dataset, "cpu")
    assert first[0]["train_loss"] == pytest.approx(on_cpu[0]["train_loss"], rel=0.05, abs=0.02)


@pytest.mark.parametrize(("family", "task"), PAIRS)
def test_every_network_trains_in_half_precision(family: str, task: str) -> None:
    dataset = SMALL[task]()
    halved = course(family, dataset, CARD, precision="bfloat16")
    whole = course(family, dataset, CARD)
    assert halved[-1]["val_loss"] == pytest.approx(whole[-1]["val_loss"], rel=0.3, abs=0.3)


def waits_of(training: Training) -> int:
    """How often the host waits for the card in the second epoch."""
    epochs = training.epochs()
    next(epochs)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            next(epochs)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in said)


@pytest.mark.parametrize(
    ("task", "augmentation"),
    [
        ("tabular_classification", "none"),
        ("forecasting", "none"),
        ("image_classification", "none"),
        ("image_classification", "shift_flip"),
    ],
)
def test_no_step_of_a_training_waits_for_the_card(task: str, augmentation: str) -> None:
    dataset, found = SMALL[task](), []
    family = next(name for name, of in PAIRS if of == task)
    for batch_size in (len(dataset.train), 8):
        recipe = Recipe.model_validate(
            {"epochs": 3, "batch_size": batch_size, "clip_norm": 1.0, "augmentation": augmentation}
        )
        network = build(drawn(family, dataset), dataset.task, recipe, 5)
        found.append(waits_of(Training(network, dataset, recipe, seed=5, device=CARD)))
    assert found[0] == found[1], found  # whether an epoch has one step or many


@pytest.mark.parametrize("method", ["darts", "pc_darts"])
def test_no_step_of_a_relaxed_supernet_waits_for_the_card(method: str) -> None:
    task = SMALL["image_classification"]().task
    strategy = strategies[method]
    settings = strategy.Settings()
    torch.manual_seed(0)
    network = supernets["cnn_cell"].build(CELLS, task, partial=settings.channel_divisor).to(CARD)
    search = strategy.Search(
        network,
        settings,
        torch.nn.functional.cross_entropy,
        torch.Generator().manual_seed(0),
        SearchSpace.of_architectures("cnn_cell", CELLS, task),
    )
    search.begin_epoch(settings.epochs)
    x = torch.randn(16, *task.input_shape, device=CARD)
    batch = Batch(x, torch.randint(task.outputs, (16,), device=CARD))
    search.step(batch, batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        search.step(batch, batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def supernet_course(method: str, device: torch.device, folder: Path) -> list[Any]:
    settings = {"epochs": 2, "batch_size": 128, "seed": 3, "guard": {"action": "off"}}
    if method in ("enas", "random_sharing"):
        settings["samples"] = 4
    trial = Trial(7, SUPERNET, SupernetProposal(method, settings), TrialState.RUNNING)
    space = CELLS.model_copy(update={"channels": 8}) if method == "pc_darts" else CELLS
    dataset = SMALL["image_classification"]()
    return list(train_supernet(trial, space, dataset, device, f"{folder}/{device.type}.state"))


@pytest.mark.parametrize("method", METHODS)
def test_supernets_learn_alike_on_a_card_and_a_processor(method: str, tmp_path: Path) -> None:
    on_cpu = supernet_course(method, torch.device("cpu"), tmp_path)
    on_card = supernet_course(method, CARD, tmp_path)
    for theirs, ours in zip(on_cpu, on_card, strict=True):
        for name in ("weight_loss", "architecture_loss"):
            assert ours.metrics[name] == pytest.approx(theirs.metrics[name], rel=0.1)
    assert on_card[0].derived is not None


@pytest.mark.parametrize("strategy", ["random", "regularized_evolution", "reinforce", "bananas"])
def test_a_search_asks_for_the_same_networks_on_a_card_and_a_processor(
    strategy: str, tmp_path: Path
) -> None:
    """Before results count, a proposal is by the seed; the results themselves are close."""
    asked, scores = [], []
    for gpus in (0, 1):
        resolved = resolve(
            {
                "dataset": "wine",
                "space": {"family": "mlp"},
                "training": {"epochs": 2},
                "strategy": {"name": strategy},
                "budget": {"trials": 4},
                "final": {"top": 1, "seeds": 1, "epochs": 2},
                "resources": {"gpus_per_trial": gpus, "parallel_trials": 1},
            }
        )
        run = SearchRun(
            resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
        )
        run_serial(run, TrainEvaluator.for_search(resolved.spec, f"{tmp_path}/{gpus}"))
        candidates = [trial for trial in run.trials if trial.is_told]
        asked.append([(trial.proposal, trial.seed) for trial in candidates])
        scores.append([trial.metrics["val_loss"] for trial in candidates])
    assert asked[0] == asked[1]
    assert scores[0] == pytest.approx(scores[1], rel=0.1, abs=0.05)
