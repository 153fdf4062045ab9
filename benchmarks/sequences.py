"""Found recurrent networks and transformers on a text and on series, beside what must be beaten.

    python benchmarks/sequences.py --data DIR [--parts text series] [--trials 20] [--seconds 300]
                                   [--seeds 3]

DIR holds `tinyshakespeare.txt` and `ETTh1.csv`. Each family is searched by validation loss, on the
first `--search-samples` of the train split; the winner is then trained anew on all of it for
`--seconds` of processor time, in whole epochs, on one thread, so that a busy machine slows nobody.

- text: bits per character on the blocks that follow the train block, 0.8, 0.1 and 0.1 of the text.
  Beside each winner stands the preset `lstm`, as wide as gives it the same number of parameters,
  its learning rate searched in as many trials, trained for as many seconds.
- series: mean absolute error of standardised values, window 96, horizon 24, all seven series, the
  first 14,400 hours divided 0.6, 0.2 and 0.2 in time. Beside the winners: the last value, and
  linear maps by least squares, of the whole window and of each series alone (with the same
  weights for all, on differences to the last value: NLinear, Zeng et al. 2023).

Test scores are those of the epoch with the lowest validation loss, medians over the seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.architecture import Architecture
from models.cost import cost
from models.datasets import Dataset, Split, series, text
from models.datasets.reference import StoredDataset
from models.datasets.stored import save
from models.family import families
from models.presets import preset
from models.storage import sha256_of_file
from models.training.trainer import evaluate, train
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.evaluators.train import TrainEvaluator
from search.request.dataset_facts import DatasetFacts
from search.request.resolve import resolve
from search.trial import Candidate

FAMILIES = ("rnn", "transformer")
LEARNING_RATE = {"low": 0.0005, "high": 0.02, "log": True}
PUBLISHED = {
    "tinyshakespeare, val_bits_per_character": {
        "nanoGPT, 0.8 million parameters, minutes of a laptop": round(1.88 / math.log(2), 2),
        "nanoGPT, 10.7 million parameters, minutes of an A100": round(1.4697 / math.log(2), 2),
    },
    "ETTh1, test_mae": {"Informer, AAAI 2021, table 2": 0.549, "LSTMa, there": 0.624},
}


@dataclass(frozen=True, slots=True)
class Effort:
    trials: int
    search_epochs: int
    search_samples: int
    max_parameters: int
    seconds: float
    seeds: int


def searched(whole: Dataset, space: dict[str, Any], effort: Effort) -> Candidate:
    """The winner of one search, by validation loss."""
    dataset = shortened(whole, effort)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dataset.safetensors")
        save(dataset, path)
        stored = StoredDataset(str(path), sha256_of_file(path))
        facts = DatasetFacts(dataset.task, dataset.sizes, dataset.fingerprint, stored)
        resolved = resolve(
            {
                "dataset": dataset.name,
                "space": space,
                "training": {"epochs": effort.search_epochs, "learning_rate": LEARNING_RATE},
                "strategy": {"name": "regularized_evolution"},
                "objectives": [{"metric": "val_loss", "goal": "minimize"}],
                "constraints": [{"metric": "parameters", "max": effort.max_parameters}],
                "budget": {"trials": effort.trials},
                "final": {"seeds": 1, "epochs": 1},  # the winner is trained by seconds, below
            },
            lambda name: facts,
        )
        run = SearchRun(
            resolved.spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost
        )
        run_serial(run, TrainEvaluator.for_search(resolved.spec, folder, stored))
        (winner,) = run.best
        return winner.candidate


def shortened(dataset: Dataset, effort: Effort) -> Dataset:
    train = dataset.train
    count = min(effort.search_samples, len(train))
    return replace(dataset, train=Split(train.x[:count], train.y[:count]))


def trained(candidate: Candidate, dataset: Dataset, effort: Effort) -> dict[str, Any]:
    """Medians over the seeds; the epochs are those that fit into `effort.seconds`."""
    part = shortened(dataset, effort)
    epoch = (
        timed(candidate, part, 0, epochs=1)["train_seconds"] * len(dataset.train) / len(part.train)
    )
    epochs = max(1, round(effort.seconds / epoch))
    runs = [timed(candidate, dataset, seed, epochs) for seed in range(effort.seeds)]
    scores = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    if dataset.task.name == "language_modeling":
        for split in ("val", "test"):
            scores[f"{split}_bits_per_character"] = scores[f"{split}_loss"] / math.log(2)
    parameters = cost(candidate.architecture, dataset.task, candidate.recipe)["parameters"]
    chosen = ("bits_per_character", "mae", "train_seconds", "epoch")
    rounded = {name: round(v, 4) for name, v in scores.items() if name.endswith(chosen)}
    return {
        "parameters": int(parameters),
        **rounded,
        "architecture": candidate.architecture.to_json()["decisions"],
        "learning_rate": candidate.recipe.learning_rate,
    }


def timed(candidate: Candidate, dataset: Dataset, seed: int, epochs: int) -> dict[str, float]:
    recipe = candidate.recipe.model_copy(update={"epochs": epochs})
    torch.manual_seed(seed)
    network = families[candidate.architecture.family].build(
        candidate.architecture, dataset.task, recipe
    )
    started = process_time()
    *_, last = train(network, dataset, recipe, seed=seed, keep_best=True, error_unit="deviations")
    seconds = process_time() - started
    tested = evaluate(network, dataset.test, dataset.task, "test")
    return {**last, **tested, "train_seconds": seconds}


def lstm_of(parameters: float, dataset: Dataset, like: Candidate) -> Architecture:
    """The preset `lstm` with the width that comes nearest to `parameters`."""
    known = preset("lstm").architecture

    def distance(hidden: int) -> float:
        wide = Architecture("rnn", {**known.decisions, "hidden": hidden})
        return abs(cost(wide, dataset.task, like.recipe)["parameters"] - parameters)

    hidden = min(range(2, 1024), key=distance)
    return Architecture("rnn", {**known.decisions, "hidden": hidden})


def shakespeare(path: Path, characters: int | None, effort: Effort) -> dict[str, Any]:
    content = path.read_text("utf-8")[:characters]
    dataset = text.language_modeling(
        "tinyshakespeare", content, window=64, validation=0.1, test=0.1
    )
    results: dict[str, Any] = {"samples": dataset.sizes}
    for family in FAMILIES:
        widths = {"choice": [32, 64, 128, 256]}
        size = {"hidden": widths} if family == "rnn" else {"width": widths, "layers": 4}
        winner = searched(dataset, {"family": family, **size}, effort)
        results[f"found {family}"] = trained(winner, dataset, effort)
        parameters = results[f"found {family}"]["parameters"]
        lstm = lstm_of(parameters, dataset, winner)
        space = {"family": "rnn", **lstm.decisions}
        limit = replace(effort, max_parameters=10 * parameters)
        beside = searched(dataset, space, limit)
        results[f"lstm as large as the {family}"] = trained(beside, dataset, effort)
    return results


def electricity(path: Path, hours: int, effort: Effort) -> dict[str, Any]:
    window, horizon = 96, 24
    names = path.open(encoding="utf-8").readline().strip().split(",")[1:]
    columns = range(1, len(names) + 1)
    values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=columns, max_rows=hours)
    dataset = series.forecasting("ETTh1", values, names, names, window=window, horizon=horizon)
    results: dict[str, Any] = {
        "samples": dataset.sizes,
        "last value": {"test_mae": mae(last_values(dataset.test.x, horizon), dataset)},
        "linear map": {"test_mae": mae(linear_map(dataset), dataset)},
        "linear map of each series": {"test_mae": mae(linear_map_of_each(dataset), dataset)},
    }
    for family in ("linear", *FAMILIES):
        winner = searched(dataset, {"family": family}, effort)
        results[f"found {family}"] = trained(winner, dataset, effort)
    return results


def mae(forecast: Tensor, dataset: Dataset) -> float:
    return round((forecast - dataset.test.y).abs().mean().item(), 4)


def last_values(x: Tensor, horizon: int) -> Tensor:
    return x[:, -1].repeat(1, horizon)


def linear_map(dataset: Dataset) -> Tensor:
    """Of all values of the window and 1, for the test split."""

    def inputs(x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1), torch.ones(len(x), 1)], dim=1).double()

    weights = torch.linalg.lstsq(inputs(dataset.train.x), dataset.train.y.double()).solution
    return (inputs(dataset.test.x) @ weights).float()


def linear_map_of_each(dataset: Dataset) -> Tensor:
    """One map from window to horizon for every series, on differences to its last value."""
    count = dataset.task.input_shape[1]

    def differences(x: Tensor) -> Tensor:
        return (x - x[:, -1:]).transpose(1, 2).flatten(0, 1)[:, :-1].double()

    train_x, train_y = dataset.train.x, dataset.train.y.unflatten(1, (-1, count))
    targets = (train_y - train_x[:, -1:]).transpose(1, 2).flatten(0, 1).double()
    weights = torch.linalg.lstsq(differences(train_x), targets).solution
    moves = (differences(dataset.test.x) @ weights).float()
    forecast = moves.unflatten(0, (-1, count)).transpose(1, 2) + dataset.test.x[:, -1:]
    return forecast.flatten(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--parts", nargs="+", choices=["text", "series"], default=["text", "series"]
    )
    parser.add_argument("--trials", type=int, default=20, help="of each search")
    parser.add_argument("--search-epochs", type=int, default=2, help="of each of its trials")
    parser.add_argument("--search-samples", type=int, default=5_000, help="of the train split")
    parser.add_argument("--seconds", type=float, default=300, help="of each last training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-parameters", type=int, default=500_000)
    parser.add_argument("--characters", type=int, help="of the text, from its start. [all]")
    parser.add_argument("--hours", type=int, default=14_400, help="of the series")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    effort = Effort(
        chosen.trials,
        chosen.search_epochs,
        chosen.search_samples,
        chosen.max_parameters,
        chosen.seconds,
        chosen.seeds,
    )
    results: dict[str, Any] = {}
    if "text" in chosen.parts:
        file = chosen.data / "tinyshakespeare.txt"
        results["tinyshakespeare"] = shakespeare(file, chosen.characters, effort)
    if "series" in chosen.parts:
        results["ETTh1"] = electricity(chosen.data / "ETTh1.csv", chosen.hours, effort)
    print(json.dumps({"results": results, "published": PUBLISHED}, indent=2))


if __name__ == "__main__":
    main()
