"""Whether folds rank networks of small data better than one validation split does.

    python benchmarks/folds.py [--sets wine digits ...] [--seeds 10] [--candidates 16] [--folds 5]

Of each set a small part is drawn as what a person has; the rest, a large test set, says how good a
network is: the mean of `--truths` trainings on the small part without its validation. Random MLPs
with random learning rates are scored by one split, by as many seeds on that split as there are
folds (which costs the same), and by folds, and ranked by each; printed is Kendall's tau with the
truth, paired over draws of the small part, with 95 % intervals of the differences by bootstrap over
those. Sets are not independent draws of one population: the figures by set say more.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap, kendalltau
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
    make_classification,
)

from models.datasets import Dataset
from models.datasets.splits import Division, Folding, stratified
from models.datasets.tabular import classification
from models.family import families
from models.recipe import TrainingSettings
from models.training.defaults import with_task_defaults
from models.training.evaluation import evaluate
from models.training.folds import FoldedTraining, mean_over
from models.training.initialization import build
from models.training.trainer import Training
from search.space import SearchSpace
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate

Arrays = tuple[NDArray[Any], NDArray[Any]]

SETS: Mapping[str, tuple[Callable[[], Arrays], int]] = {
    "wine": (partial(load_wine, return_X_y=True), 60),
    "breast_cancer": (partial(load_breast_cancer, return_X_y=True), 80),
    "iris": (partial(load_iris, return_X_y=True), 45),
    "digits": (partial(load_digits, return_X_y=True), 150),
    "made": (
        partial(
            make_classification, 3000, 20, n_informative=6, n_classes=3, flip_y=0.1, random_state=0
        ),
        120,
    ),
}
"""What gives samples and classes, and how many of them a person has."""

METRICS = {"loss": -1, "accuracy": 1}
"""With the sign that makes more the better."""


def small(name: str, seed: int, folds: int) -> Dataset:
    """What the person has as train and validation, one to four, and the rest as the test split."""
    load, size = SETS[name]
    x, y = load()
    _, mine = stratified(y.astype(np.int64), [size / len(y)], seed)
    parts = np.full(len(y), 2)
    parts[mine] = 0
    columns = {f"x{index}": values for index, values in enumerate(x.T.astype(np.float64))}
    division = Division(parts.astype(np.int64), folding=Folding(folds))
    return classification(name, columns, y, division=division, seed=seed)


def candidates(dataset: Dataset, count: int, seed: int, epochs: int) -> list[Candidate]:
    task = dataset.task
    given = TrainingSettings.model_validate(
        {"epochs": epochs, "learning_rate": {"low": 0.0003, "high": 0.1, "log": True}}
    )
    training = with_task_defaults(given, task.name)
    family = families["mlp"]
    settings = family.Settings(family="mlp")
    space = SearchSpace.of_family("mlp", family, settings, training, task)
    return [space.sample(rng_for(seed, SearchPurpose.EXAMPLE, n)) for n in range(count)]


def by_split(dataset: Dataset, candidate: Candidate, seed: int) -> dict[str, float]:
    network = build(candidate.architecture, dataset.task, candidate.recipe, seed)
    (*_, last) = Training(network, dataset, candidate.recipe, seed=seed).epochs()
    return last


def by_folds(dataset: Dataset, candidate: Candidate, seed: int) -> dict[str, float]:
    make = partial(build, candidate.architecture, dataset.task, candidate.recipe)
    (*_, last) = FoldedTraining(make, dataset, candidate.recipe, seed=seed).epochs()
    return last


def truth(dataset: Dataset, candidate: Candidate, seeds: int) -> dict[str, float]:
    found = []
    for seed in range(1000, 1000 + seeds):
        network = build(candidate.architecture, dataset.task, candidate.recipe, seed)
        for _ in Training(network, dataset, candidate.recipe, seed=seed).epochs():
            pass
        found.append(evaluate(network, dataset.test, dataset.task, "test"))
    return mean_over(found)


def taus(
    name: str, seed: int, count: int, folds: int, truths: int, epochs: int
) -> dict[str, dict[str, float]]:
    """Kendall's tau of each way to score, by metric."""
    dataset = small(name, seed, folds)
    ways: dict[str, list[dict[str, float]]] = {"one_split": [], "split_seeds": [], "folds": []}
    real = []
    for candidate in candidates(dataset, count, seed, epochs):
        runs = [by_split(dataset, candidate, number) for number in range(folds)]
        ways["one_split"].append(runs[0])
        ways["split_seeds"].append(mean_over(runs))
        ways["folds"].append(by_folds(dataset, candidate, seed))
        real.append(truth(dataset, candidate, truths))
    return {
        metric: {
            way: float(
                np.nan_to_num(
                    kendalltau(
                        [sign * score[f"val_{metric}"] for score in scored],
                        [sign * score[f"test_{metric}"] for score in real],
                    ).statistic
                )
            )
            for way, scored in ways.items()
        }
        for metric, sign in METRICS.items()
    }


def summary(found: list[dict[str, float]]) -> dict[str, Any]:
    columns = {way: np.array([row[way] for row in found]) for way in found[0]}
    answer: dict[str, Any] = {way: round(float(v.mean()), 3) for way, v in columns.items()}
    for other in ("one_split", "split_seeds"):
        gain = columns["folds"] - columns[other]
        low, high = (
            bootstrap((gain,), np.mean, rng=np.random.default_rng(0)).confidence_interval
            if len(gain) > 2
            else (float("nan"), float("nan"))
        )
        answer[f"gain_over_{other}"] = {
            "mean": round(float(gain.mean()), 3),
            "interval": [round(float(low), 3), round(float(high), 3)],
            "better": round(float((gain > 0).mean()), 3),
        }
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--truths", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        name: [
            taus(name, seed, given.candidates, given.folds, given.truths, given.epochs)
            for seed in range(given.seeds)
        ]
        for name in given.sets
    }
    every = [row for rows in found.values() for row in rows]
    answer = {"settings": vars(given), "kendall_tau": {}}
    for metric in METRICS:
        by_set = {name: summary([r[metric] for r in rows]) for name, rows in found.items()}
        answer["kendall_tau"][metric] = {"all": summary([r[metric] for r in every]), **by_set}
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
