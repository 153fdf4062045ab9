"""A recipe says nothing in vain: every field changes the run, in the way that it is said to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from models.architecture import Architecture
from models.datasets import Dataset, Split, datasets
from models.family import families
from models.recipe import Recipe, TrainingSettings
from models.training.trainer import train

BASE: dict[str, Any] = {"epochs": 3, "batch_size": 16, "learning_rate": 0.02}

PRETRAINED: dict[str, Any] = {"pretraining": "masked"}

CHANGES: dict[str, tuple[dict[str, Any], Any]] = {
    # field: (what else the recipe says, the other value of the field)
    "epochs": ({}, 2),
    "batch_size": ({}, 8),
    "optimizer": ({}, "adam"),
    "learning_rate": ({}, 0.01),
    "momentum": ({}, 0.5),
    "schedule": ({}, "constant"),
    "warmup_epochs": ({"schedule": "warmup_cosine"}, 2),
    "l1": ({}, 0.01),
    "l2": ({}, 0.01),
    "weight_decay": ({}, 0.1),
    "dropout": ({}, 0.5),
    "batch_norm": ({}, False),
    "label_smoothing": ({}, 0.2),
    "augmentation": ({}, "shift"),
    "early_stopping": ({"learning_rate": 1e-9, "momentum": 0.0, "batch_norm": False}, 1),
    "initialization": ({}, "kaiming"),
    "clip_norm": ({}, 0.01),
    "precision": ({}, "bfloat16"),
    "l1_step": ({"l1": 0.01}, "proximal"),
    "pretraining": ({"pretraining_epochs": 2}, "masked"),
    "pretraining_epochs": ({**PRETRAINED, "pretraining_epochs": 1}, 2),
    "pretraining_batch_size": ({**PRETRAINED, "pretraining_epochs": 1}, 32),
    "pretraining_learning_rate": ({**PRETRAINED, "pretraining_epochs": 1}, 0.01),
}

ARCHITECTURE = Architecture(
    "cnn_cell",
    {
        "topology": "nasbench201",
        "nodes": 2,
        "cells": 1,
        "channels": 4,
        "edge_0_1": "nor_conv_3x3",
    },
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """A part of them: what counts here is that something changes."""
    whole = datasets["digits"].load()
    train, validation = (
        Split(split.x[:128], split.y[:128]) for split in (whole.train, whole.validation)
    )
    return replace(whole, train=train, validation=validation)


def outcome(recipe: Recipe, dataset: Dataset) -> tuple[list[dict[str, float]], list[Tensor]]:
    torch.manual_seed(0)
    network: nn.Module = families["cnn_cell"].build(ARCHITECTURE, dataset.task, recipe)
    curve = list(train(network, dataset, recipe, seed=0))
    return curve, [parameter.detach() for parameter in network.parameters()]


def test_every_field_is_covered() -> None:
    assert set(CHANGES) == set(Recipe.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_changes_the_run(field: str, digits: Dataset) -> None:
    more, value = CHANGES[field]
    recipe = Recipe(**BASE | more)
    changed = Recipe(**BASE | more | {field: value})
    assert recipe.key != changed.key
    curve, weights = outcome(recipe, digits)
    other_curve, other_weights = outcome(changed, digits)
    if field == "early_stopping":  # nothing improves at this rate: it stops at once
        assert (len(curve), len(other_curve)) == (3, 2)
    elif field == "batch_norm":
        assert len(other_weights) < len(weights)
    else:
        assert curve[-1]["val_loss"] != other_curve[-1]["val_loss"]
        assert any(not torch.equal(a, b) for a, b in zip(weights, other_weights, strict=True))


@pytest.mark.parametrize("amount", ["l1", "l2", "weight_decay"])
def test_penalties_and_decay_make_the_weights_smaller(amount: str, digits: Dataset) -> None:
    def size(recipe: Recipe) -> float:
        return sum(w.square().sum().item() for w in outcome(recipe, digits)[1] if w.dim() > 1)

    assert size(Recipe(**BASE | {amount: 0.5})) < 0.9 * size(Recipe(**BASE))


def test_clipping_bounds_the_step(digits: Dataset) -> None:
    """One epoch of one step of sgd: the weights move by lr * clip_norm and no more."""
    recipe = Recipe(
        epochs=1,
        batch_size=2000,
        optimizer="sgd",
        schedule="constant",
        learning_rate=0.5,
        clip_norm=0.01,
    )
    torch.manual_seed(0)
    start = families["cnn_cell"].build(ARCHITECTURE, digits.task, recipe).parameters()
    _, end = outcome(recipe, digits)
    moved = sum((a.detach() - b).square().sum() for a, b in zip(start, end, strict=True)) ** 0.5
    assert float(moved) == pytest.approx(0.5 * 0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("batch_size", 0),
        ("optimizer", "lion"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("momentum", 1.0),
        ("schedule", "exponential"),
        ("dropout", 1.0),
        ("l1", -1e-9),
        ("batch_norm", "yes"),
        ("precision", "float16"),
        ("patience", 3),
    ],
)
def test_a_value_out_of_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Recipe.model_validate({field: value})
    with pytest.raises(ValidationError, match=field):
        TrainingSettings.model_validate({field: value})


def test_the_request_form_has_the_fields_and_defaults_of_the_recipe() -> None:
    assert TrainingSettings().model_dump() == Recipe().model_dump()
    assert Recipe.model_validate(Recipe().model_dump(mode="json")) == Recipe()
