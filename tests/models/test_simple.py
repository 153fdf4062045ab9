"""Simple models against scikit-learn itself and closed forms."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, average_precision_score, r2_score

from models.datasets import Dataset, Split, datasets
from models.datasets.graphs import of_graphs, of_nodes
from models.presets import preset
from models.simple import MOST_VALUES, SimpleResult, _some, simple_models, simple_results
from models.simple.weisfeiler_lehman import subtrees
from models.task import TASK_NAMES, Task
from models.training.known_networks import trained
from search.testing.small_datasets import rhythms, story
from search.testing.small_graphs import citations, molecules
from tests.models.support.uploads import read


def by_name(dataset: Dataset) -> dict[str, SimpleResult]:
    return {result.name: result for result in simple_results(dataset)}


@pytest.mark.parametrize("name", simple_models)
def test_each_is_for_known_tasks_and_says_what_it_is(name: str) -> None:
    assert simple_models[name].tasks <= set(TASK_NAMES)
    assert type(simple_models[name]).__doc__ or simple_models[name].__doc__


def test_every_task_has_some() -> None:
    assert {task for model in simple_models.values() for task in model.tasks} == set(TASK_NAMES)


def test_classes_of_a_table() -> None:
    dataset = datasets["wine"].load()
    found = by_name(dataset)
    assert set(found) == {"logistic_regression", "histogram_gradient_boosting"}
    x, y = dataset.train.x.numpy(), dataset.train.y.numpy()
    predicted = LogisticRegression(max_iter=1000).fit(x, y).predict(dataset.test.x.numpy())
    expected = accuracy_score(dataset.test.y.numpy(), predicted)
    result = found["logistic_regression"]
    assert result.test["test_accuracy"] == pytest.approx(expected) and result.seconds > 0
    assert result.failure is None and not {"test_accuracy"} & result.validation.keys()
    boosted = found["histogram_gradient_boosting"]
    assert boosted.validation["val_accuracy"] > 0.9  # of three wines, 40 % of which are of one


def test_values_of_a_table_have_their_own_unit() -> None:
    dataset = datasets["diabetes"].load()
    found = by_name(dataset)
    assert set(found) == {"ridge_regression", "histogram_gradient_boosting"}
    x, y = dataset.train.x.numpy(), dataset.train.y.numpy()
    predicted = Ridge().fit(x, y).predict(dataset.test.x.numpy()).ravel()
    wanted = dataset.test.y.numpy().ravel()
    test = found["ridge_regression"].test
    assert test["test_r2"] == pytest.approx(r2_score(wanted, predicted), abs=1e-5)
    standardised = torch.cat([part.y for part in (dataset.train, dataset.validation, dataset.test)])
    deviation = (346 - 25) / float(standardised.max() - standardised.min())  # the file's range
    error = float(np.abs(predicted - wanted).mean()) * deviation
    assert test["test_mae"] == pytest.approx(error, rel=1e-4)


def test_a_series_that_repeats_itself(tmp_path: Path) -> None:
    """A season of four steps: the last value is off by the differences, the others by nothing."""
    rows = [f"2026-01-01T{i // 60:02}:{i % 60:02}:00,{(0, 1, 4, 9)[i % 4]}" for i in range(200)]
    content = "\n".join(["time,value", *rows]).encode()
    dataset = read(
        tmp_path, content, "forecasting", time="time", target="value", window=8, horizon=1
    )
    found = by_name(dataset)
    assert set(found) == {"last_value", "seasonal_naive", "ridge_regression"}
    assert found["seasonal_naive"].test["test_mae"] == pytest.approx(0, abs=1e-5)
    steps = len(dataset.test)
    last = found["last_value"].test["test_mae"]
    assert last == pytest.approx((1 + 3 + 5 + 9) / 4, abs=9 / steps)
    assert found["ridge_regression"].test["test_mae"] < 0.3


def test_texts_that_differ_in_one_word(tmp_path: Path) -> None:
    rows = [f"the film was {('bad', 'good')[i % 2]} {i},{i % 2}" for i in range(60)]
    content = "\n".join(["text,label", *rows]).encode()
    dataset = read(tmp_path, content, "text_classification", target="label", text="text")
    (result,) = simple_results(dataset)
    assert result.name == "tfidf_logistic_regression"
    assert result.test["test_accuracy"] == 1.0


def test_a_model_that_cannot_be_fitted_says_why() -> None:
    """One class in the train split is none to tell apart."""
    dataset = datasets["wine"].load()
    alone = dataset.train.y == 1
    train = Split(dataset.train.x[alone], dataset.train.y[alone])
    result = by_name(replace(dataset, train=train))["logistic_regression"]
    assert result.failure is not None and "class" in result.failure
    assert not result.validation and not result.test


def test_of_a_large_train_split_a_part_is_fitted_and_told() -> None:
    """Drawn from all of it: the samples of wine 200 times over, with 1,300 values each."""
    wine = datasets["wine"].load()
    x, y = (part.repeat(200, *[1] * (part.ndim - 1)) for part in (wine.train.x, wine.train.y))
    narrow = replace(wine, train=Split(x[:, :, None].expand(-1, -1, 100).flatten(1), y))
    some = _some(narrow.train)
    assert len(some) == MOST_VALUES // 1300 < len(y) and set(some.y.tolist()) == {0, 1, 2}
    assert torch.equal(_some(wine.train).x, wine.train.x)
    found = by_name(wine)["logistic_regression"]
    assert found.samples == len(wine.train)


def test_a_class_that_the_train_split_lacks_is_improbable_and_no_error() -> None:
    dataset = datasets["wine"].load()
    known = dataset.train.y != 1
    train = Split(dataset.train.x[known], dataset.train.y[known])
    result = by_name(replace(dataset, train=train))["logistic_regression"]
    share = float((dataset.test.y != 1).float().mean())
    assert result.failure is None
    assert result.test["test_accuracy"] == pytest.approx(share, abs=0.1)
    assert torch.isfinite(torch.tensor(result.test["test_loss"]))


def test_pictures_that_are_smaller_than_lenet_knows() -> None:
    """Of 8 x 8 pixels: one class is bright above, the other below."""
    digits, rng = datasets["digits"].load(), np.random.default_rng(0)
    y = torch.arange(150) % 2
    x = torch.from_numpy(rng.normal(0, 0.3, (150, 1, 8, 8)).astype(np.float32))
    x[y == 0, :, :4] += 1
    x[y == 1, :, 4:] += 1
    parts = [Split(x[i::3], y[i::3]) for i in range(3)]
    task = replace(digits.task, outputs=2)
    dataset = replace(digits, task=task, train=parts[0], validation=parts[1], test=parts[2])
    found = by_name(dataset)
    assert set(found) == {"lenet", "logistic_regression"}
    assert {result.test["test_accuracy"] for result in found.values()} == {1.0}


def test_rings_are_told_from_chains_by_their_subtrees_alone() -> None:
    """Atoms of two kinds are dealt out at random; each ring of a size has one link more."""
    dataset = of_graphs("molecules", molecules(200))
    found = by_name(dataset)
    assert set(found) == {"features_alone", "weisfeiler_lehman"}
    assert found["weisfeiler_lehman"].test["test_auc"] == 1.0  # a chain has ends
    assert found["features_alone"].test["test_auc"] < 0.8


def test_graphs_that_the_subtrees_of_all_depths_do_not_tell_apart_are_equal() -> None:
    """Two triangles and a hexagon: every node has two neighbours, whose neighbours have two."""
    ring = np.array([(i, (i + 1) % 6) for i in range(6)])
    triangles = np.array([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])
    chain = np.array([(i, i + 1) for i in range(5)])
    pairs = np.concatenate([ring, triangles + 6, chain + 12])
    x = np.ones((18, 1), np.float32)
    arrays = {
        "x": x,
        "edge_index": np.concatenate([pairs, pairs[:, ::-1]]).T,
        "graph_of": np.repeat([0, 1, 2], 6),
        "y": np.array([0, 1, 0]),
    }
    sets = [np.array([i]) for i in range(3)]
    dataset = of_graphs("three", arrays, sets=sets)
    (hexagon,), (two,), (open_ring,) = (
        subtrees(part) for part in (dataset.train, dataset.validation, dataset.test)
    )
    assert Counter(hexagon) == Counter(two) != Counter(open_ring)
    assert Counter(open_ring)[hexagon[0]] == 6, "before the first round all nodes are one"


def test_nodes_by_their_words_and_by_their_links() -> None:
    dataset = of_nodes("citations", citations())
    found = by_name(dataset)
    assert set(found) == {"features_alone", "gcn"}
    words = citations()["x"]
    x = words / words.sum(axis=1, keepdims=True).clip(min=1)
    dense = [x[part.x.picked] for part in (dataset.train, dataset.test)]
    estimator = LogisticRegression(max_iter=1000).fit(dense[0], dataset.train.y.numpy())
    expected = estimator.score(dense[1], dataset.test.y.numpy())
    assert found["features_alone"].test["test_accuracy"] == pytest.approx(expected)
    assert found["gcn"].test["test_accuracy"] > 0.6  # of three classes


def test_sequences_of_two_rhythms() -> None:
    found = by_name(rhythms())
    assert set(found) == {"nearest_neighbour", "rocket"}
    assert found["rocket"].test["test_accuracy"] == 1.0


def test_what_follows_is_mixed_as_witten_and_bell_do() -> None:
    """Of the text 0 1 0 1 0 2: 0 is followed by 1, 1 and 2, so that after a 0 a 1 has 2 / (3 + 2),
    and 2 / 5 of what it has without a context: 2 / (5 + 2), and 2 / 7 of a third.
    """
    text = torch.tensor([[0, 1, 0, 1, 0]])
    split = Split(text, torch.tensor([[1, 0, 1, 0, 2]]))
    without = np.array([2, 2, 1]) / 8 + 3 / 8 / 3  # five tokens, three kinds of them
    after = np.array([0, 2, 1]) / 5 + 2 / 5 * without
    story_like = replace(story(), task=Task("language_modeling", (5,), 3, vocabulary=3))
    predict = simple_models["n_grams"].fit(replace(story_like, train=split), math.inf)
    shares = predict(Split(torch.zeros(1, 5).long(), torch.zeros(1, 5).long())).exp()[0].double()
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(5, dtype=torch.float64))
    np.testing.assert_allclose(shares[0], after, rtol=1e-5)
    np.testing.assert_allclose(shares[1], after, rtol=1e-5)  # 0 0 was never seen


def test_labels_one_by_one() -> None:
    wine = datasets["wine"].load()
    labels = {name: part_labels(getattr(wine, name)) for name in ("train", "validation", "test")}
    task = replace(wine.task, name="multilabel_classification", outputs=4)
    found = by_name(replace(wine, task=task, **labels))["one_against_rest"]
    x, y = wine.train.x.numpy(), labels["train"].y.numpy()
    test_x, test_y = wine.test.x.numpy(), labels["test"].y.numpy()
    scores = [
        average_precision_score(
            test_y[:, label],
            LogisticRegression(max_iter=1000).fit(x, y[:, label]).decision_function(test_x),
        )
        for label in range(3)
    ]
    expected = (sum(scores) + 1) / 4  # every sample has the fourth
    assert found.test["test_average_precision"] == pytest.approx(expected)


def part_labels(part: Split) -> Split:
    """The wine, whether it is not the first, and one label that all have."""
    y = part.y[:, None]
    return Split(part.x, torch.cat([y == 0, y == 1, y > 0, y >= 0], dim=1))


def test_without_time_nothing_is_fitted() -> None:
    found = simple_results(datasets["wine"].load(), seconds=0)
    assert len(found) == 2 and not any(result.test for result in found)
    assert {result.failure for result in found} == {"no time of the budget was left for it"}


def test_a_training_ends_in_the_epoch_in_which_its_time_does() -> None:
    """The first one: the network then says what one epoch has taught it."""
    dataset = of_nodes("citations", citations())
    known = preset("gcn")
    once = known.recipe_for(dataset.task, epochs=1)
    expected = trained(known.architecture, dataset, once, math.inf)(dataset.test)
    found = simple_models["gcn"].fit(dataset, 0.0)(dataset.test)
    torch.testing.assert_close(found, expected)
