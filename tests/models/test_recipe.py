"""A recipe says nothing in vain: every field changes the run, in the way that it is said to, or
counts for nothing and is no part of the recipe's identity.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, create_model
from torch import Tensor, nn

from models import recipe as module
from models.architecture import Architecture
from models.datasets import Dataset, Split, datasets
from models.datasets.text import classification
from models.family import families
from models.recipe import RECORDED, Recipe, TrainingSettings, conditions, refused_fields
from models.task import MULTILABEL, Task
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
    "loss": ({}, "huber"),
    "quantile_level": ({"loss": "quantile"}, 0.9),
    "target_transform": ({}, "log"),
    "input_transform": ({}, "quantile"),
    "class_weight": ({}, "balanced"),
    "tokens": ({}, "characters"),
}

IDLE: dict[str, tuple[dict[str, Any], Any]] = {
    # field: (what else the recipe says, another value of the field, which changes nothing)
    "momentum": ({"optimizer": "adam"}, 0.5),
    "warmup_epochs": ({"schedule": "one_cycle"}, 2),
    "l1_step": ({"l1": 0.0}, "proximal"),
    "pretraining_epochs": ({}, 2),
    "pretraining_batch_size": ({}, 32),
    "pretraining_learning_rate": ({}, 0.01),
    "quantile_level": ({}, 0.9),
}

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "recipes.json").read_text("utf-8"))
"""`record`: append only. `format_1`: keys as commit b5ecb1a gave them. Nothing here ever changes,
whatever fields and defaults a recipe has.
"""

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


NETWORKS = {
    "tabular_regression": Architecture("mlp", {"depth": 0}),
    "text_classification": Architecture(
        "transformer",
        {
            "layers": 1,
            "width": 8,
            "heads": 2,
            "feed_forward": 2,
            "activation": "gelu",
            "norm": "pre",
            "positions": "sinusoidal",
            "dropout": 0.0,
            "readout": "mean",
            "layer_1_mixer": "attention",
        },
    ),
}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """A part of them: what counts here is that something changes."""
    whole = datasets["digits"].load()
    train, validation = (
        Split(split.x[:128], split.y[:128]) for split in (whole.train, whole.validation)
    )
    return replace(whole, train=train, validation=validation)


@pytest.fixture(scope="module")
def data_for(digits: Dataset) -> Callable[[str], Dataset]:
    """A dataset of a task that the field is for."""
    texts = [f"{'good' if number % 2 else 'bad'} thing {number}" for number in range(40)]
    of_texts = classification("texts", texts, np.arange(40) % 2)
    known = (digits, datasets["diabetes"].load(), of_texts)

    def data(field: str) -> Dataset:
        return next(d for d in known if field not in refused_fields(d.task))

    return data


def outcome(recipe: Recipe, dataset: Dataset) -> tuple[list[dict[str, float]], list[Tensor]]:
    torch.manual_seed(0)
    architecture = NETWORKS.get(dataset.task.name, ARCHITECTURE)
    family = families[architecture.family]
    task = dataset.task.read_as(recipe.tokens)
    network: nn.Module = family.build(architecture, task, recipe)
    curve = list(train(network, dataset, recipe, seed=0))
    return curve, [parameter.detach() for parameter in network.parameters()]


def test_every_field_is_covered() -> None:
    assert set(CHANGES) == set(Recipe.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_changes_the_run(field: str, data_for: Callable[[str], Dataset]) -> None:
    more, value = CHANGES[field]
    recipe = Recipe(**BASE | more)
    changed = Recipe(**BASE | more | {field: value})
    assert recipe.key != changed.key
    curve, weights = outcome(recipe, data_for(field))
    other_curve, other_weights = outcome(changed, data_for(field))
    if field == "early_stopping":  # nothing improves at this rate: it stops at once
        assert (len(curve), len(other_curve)) == (3, 2)
    elif field == "batch_norm":
        assert len(other_weights) < len(weights)
    else:
        assert curve[-1]["val_loss"] != other_curve[-1]["val_loss"]
        assert any(not torch.equal(a, b) for a, b in zip(weights, other_weights, strict=True))


def test_every_condition_is_covered() -> None:
    assert set(IDLE) == set(conditions())


@pytest.mark.parametrize(
    ("more", "other"),
    [
        *((more, {field: value}) for field, (more, value) in IDLE.items()),
        ({"optimizer": "adam", "weight_decay": 0.1}, {"optimizer": "adamw"}),
    ],
)
def test_recipes_that_train_the_same_have_one_key(
    more: dict[str, Any], other: dict[str, Any], data_for: Callable[[str], Dataset]
) -> None:
    recipe, same = Recipe(**BASE | more), Recipe(**BASE | more | other)
    assert recipe != same and recipe.key == same.key
    (field, *_) = other
    curve, weights = outcome(recipe, data_for(field))
    other_curve, other_weights = outcome(same, data_for(field))
    assert curve == other_curve
    assert all(map(torch.equal, weights, other_weights))
    if field in module._RECORD[0]:
        assert recipe.older_key != same.older_key  # what older searches took for two


@given(st.data())
def test_the_canonical_recipe_is_one_of_those_with_its_key(data: st.DataObject) -> None:
    values = {
        "optimizer": data.draw(st.sampled_from(["sgd", "momentum", "nesterov", "adam"])),
        "momentum": data.draw(st.sampled_from([0.0, 0.5, 0.9])),
        "schedule": data.draw(st.sampled_from(["cosine", "warmup_cosine"])),
        "warmup_epochs": data.draw(st.integers(0, 3)),
        "l1": data.draw(st.sampled_from([0.0, 1e-4])),
        "l1_step": data.draw(st.sampled_from(["penalty", "proximal"])),
        "pretraining": data.draw(st.sampled_from(["none", "masked"])),
        "pretraining_epochs": data.draw(st.integers(1, 3)),
    }
    recipe = Recipe.model_validate(values)
    canonical = recipe.canonical()
    assert canonical.canonical() == canonical and canonical.key == recipe.key
    idle = {"momentum"} if recipe.optimizer in ("sgd", "adam") else set()
    idle |= {"warmup_epochs"} if recipe.schedule == "cosine" else set()
    idle |= set() if recipe.l1 else {"l1_step"}
    idle |= {"pretraining_epochs"} if recipe.pretraining == "none" else set()
    for name, value in recipe:
        assert getattr(canonical, name) == (RECORDED[name] if name in idle else value)


def test_the_record_is_only_appended_to() -> None:
    recorded = [dict(version) for version in module._RECORD]
    assert recorded[: len(GOLDEN["record"])] == GOLDEN["record"]
    names = [name for version in recorded for name in version]
    assert sorted(names) == sorted(Recipe.model_fields)
    assert Recipe.model_validate(dict(RECORDED)).model_dump() == dict(RECORDED)


@pytest.mark.parametrize("golden", GOLDEN["keys"])
def test_keys_are_those_of_the_golden_record(golden: dict[str, Any]) -> None:
    recipe = Recipe.from_json(golden["recipe"])
    assert (recipe.older_key, recipe.key) == (golden["format_1"], golden["key"])


def test_neither_a_new_field_nor_another_default_changes_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = create_model("Later", __base__=Recipe, mixup=(float, 0.2), epochs=(int, 30))
    monkeypatch.setattr(module, "RECORDED", {**RECORDED, "mixup": 0.0})
    for golden in GOLDEN["keys"]:
        stored = later.from_json(golden["recipe"])
        assert stored.mixup == 0.0  # type: ignore[attr-defined]  # as it was without that field
        assert (stored.older_key, stored.key) == (golden["format_1"], golden["key"])
    assert later().key != Recipe().key


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
    assert TrainingSettings().model_dump(exclude={"steps"}) == Recipe().model_dump()
    assert Recipe.model_validate(Recipe().model_dump(mode="json")) == Recipe()


def test_a_field_is_for_labels_where_it_is_for_their_form() -> None:
    rows, pictures = Task(MULTILABEL, (4,), 3), Task(MULTILABEL, (1, 8, 8), 3)
    assert {"loss", "target_transform"} < refused_fields(rows) < refused_fields(pictures)
    assert refused_fields(pictures) - refused_fields(rows) == {"input_transform"}
    assert "class_weight" not in refused_fields(pictures)
