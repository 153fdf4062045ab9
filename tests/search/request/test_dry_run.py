import json
from dataclasses import replace

import pytest

from models.architecture import Architecture
from models.datasets import datasets
from models.family import families
from search.request.dataset_facts import DatasetFacts, named_facts
from search.request.dry_run import describe, estimate
from search.request.resolve import SpecError, resolve
from search.request.space_request import resolve_space
from tests.search.support.bodies import FULL, MINIMAL


def test_the_dry_run_says_what_a_search_will_cost() -> None:
    resolved = resolve(FULL)
    answer = json.loads(json.dumps(estimate(resolved), allow_nan=False))
    assert answer["size"] is None  # the learning rate is continuous
    assert (answer["trials"], answer["final_trials"], answer["seconds_limit"]) == (30, 3, 600)
    assert answer["epochs"] == 30 * 6 + 3 * 30
    assert len(answer["examples"]) == 3
    for example in answer["examples"]:
        assert example["parameters"] > 0 and example["flops"] > 0 and example["violation"] is None
        architecture = Architecture.from_json(example["architecture"])
        assert families["cnn_cell"].canonical(architecture)
    flops = sum(example["flops"] for example in answer["examples"]) / 3
    train = resolved.dataset.sizes["train"]
    assert answer["training_flops"] == pytest.approx(flops * 3 * train * (30 * 6 + 3 * 30))
    assert estimate(resolved) == estimate(resolve(FULL))


def test_the_dry_run_shows_which_examples_break_a_limit() -> None:
    limits = [{"metric": "parameters", "max": 1}]
    examples = estimate(resolve({**MINIMAL, "constraints": limits, "force": True}))["examples"]
    assert all("above the constraint's max 1" in example["violation"] for example in examples)


def test_a_small_space_has_an_exact_size_and_bounds_the_cost() -> None:
    space = {
        "family": "cnn_cell",
        "topology": "nasbench201",
        "nodes": 2,
        "operations": ["none", "nor_conv_3x3"],
        "channels": {"choice": [8, 16]},
        "head_pool": 1,
    }
    answer = estimate(resolve({**MINIMAL, "space": space}))
    assert answer["size"] == 4 and answer["trials"] == 4
    assert len(answer["examples"]) <= 4


def test_the_nasbench201_space_has_its_published_size() -> None:
    """Left open is where the mean is taken to as well: of 8x8 pixels two reductions leave 2x2."""
    published = {"family": "cnn_cell", "topology": "nasbench201", "head_pool": 1}
    left_open = {"family": "cnn_cell", "topology": "nasbench201"}
    for space, size in ((published, 15_625), (left_open, 2 * 15_625)):
        request = {"space": space, "dataset": "digits"}
        assert describe(resolve_space(request))["size"] == size


def test_the_dry_run_counts_what_is_seen_before_the_first_epoch() -> None:
    """Ten trials and three final trainings, each of 4 epochs over two views of every sample."""
    training = {"epochs": 5, "pretraining": "contrastive", "pretraining_epochs": 4}
    body = {**MINIMAL, "budget": {"trials": 10}, "training": training}
    resolved = resolve(body)
    found = estimate(resolved)
    flops = sum(example["flops"] for example in found["examples"]) / 3
    train = resolved.dataset.sizes["train"]
    samples = train * (10 * 5 + 3 * 15) + 13 * 4 * 2 * train
    assert found["training_flops"] == pytest.approx(flops * 3 * samples)


def test_a_trial_of_a_dataset_with_folds_is_several_trainings() -> None:
    """Ten trials of five networks, of 100 samples each, then three final trainings of 90."""
    task = datasets["digits"].load().task
    sizes, folds = {"train": 90, "validation": 35, "test": 40}, [100] * 5
    facts = DatasetFacts(task, sizes, "f" * 64, "digits", fold_sizes=folds)
    body = {**MINIMAL, "budget": {"trials": 10}, "training": {"epochs": 5}}
    found = estimate(resolve(body, lambda name: facts))
    assert found["networks_per_trial"] == 5 and found["epochs"] == 10 * 5 + 3 * 15
    flops = sum(example["flops"] for example in found["examples"]) / 3
    samples = 10 * 5 * 5 * 100 + 3 * 15 * 90
    assert found["training_flops"] == pytest.approx(flops * 3 * samples)
    assert estimate(resolve(body))["networks_per_trial"] == 1


def test_weights_are_not_shared_between_folds() -> None:
    facts = replace(named_facts("digits"), fold_sizes=(100,) * 5)
    space = {"family": "cnn_cell"}
    for name in ("darts", "enas", "random_sharing"):
        body = {"dataset": "digits", "space": space, "strategy": {"name": name}}
        with pytest.raises(SpecError) as refused:
            resolve(body, lambda name: facts)
        (found,) = refused.value.problems
        assert found.pointer == "/strategy/name" and "validates by 5 folds" in found.message
