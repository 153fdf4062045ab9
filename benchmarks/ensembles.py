"""What an ensemble gains over the best network alone, by validation only.

    python benchmarks/ensembles.py --data DIR [--sets digits diabetes ...] [--seeds 3] [--trials 12]
                                   [--seconds 300] [--size 5] [--processes 1]

DIR holds `ETTh1.csv` and `MUTAG.zip`. Of each set and seed one search with all else left open but
the simple baselines: its finals are the models, three architectures on three seeds. What chooses
cannot also judge, so that validation is cut in two: the best model alone and the ensemble are
chosen on one half, by the objective and then by the loss, and scored on the other; the mean over
ten random cuts, each both ways round, or of a forecast over the earlier and the later half both
ways round. The test split is not looked at.

- `single`, `ensemble`: the objective, mean over the seeds
- `gain`: mean over the seeds of the difference, positive where the ensemble is better, with its
  standard error; as a share of `single` where the objective is an error
- `losses_gain`: the same of the loss, as a share
- `parameters`: of the ensemble, as a multiple of the single model's; `members`: networks in it
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import checkpoint
from models.averaging import average_for
from models.datasets import Dataset, datasets, series
from models.datasets.formats.graph_zip import read_arrays
from models.datasets.graphs import of_graphs
from models.datasets.input_transform import with_inputs
from models.datasets.reference import StoredDataset
from models.datasets.stored import save
from models.ensemble import picked
from models.selection import selected
from models.storage import sha256_of_file
from models.training.baseline import baseline
from models.training.criterion import scoring
from search.engine.journal import MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.finals import FINAL
from search.evaluators.combining import Final
from search.evaluators.train import TrainEvaluator
from search.objectives import Objective, fitness
from search.request.dataset_facts import DatasetFacts
from search.request.opening import opening
from search.request.resolve import resolve
from search.request.screening import Screening

SETS = ("digits", "breast_cancer", "diabetes", "ETTh1", "MUTAG")
CUTS = 10
HOURS = 2_000
"""Of ETTh1."""


def loaded(name: str, data: Path) -> Dataset:
    if name == "MUTAG":
        arrays, *_ = read_arrays(data / "MUTAG.zip")
        return of_graphs(name, arrays)
    if name == "ETTh1":
        rows = np.genfromtxt(data / "ETTh1.csv", delimiter=",", skip_header=1, max_rows=HOURS)
        names = [str(column) for column in range(1, rows.shape[1])]
        return series.forecasting(name, rows[:, 1:], names, names, window=48, horizon=12)
    return datasets[name].load()


def compared(
    name: str, data: Path, trials: int, seconds: float, size: int, seed: int
) -> dict[str, Any]:
    """One search, and what its finals are worth alone and together."""
    torch.set_num_threads(1)
    dataset = loaded(name, data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dataset")
        save(dataset, path)
        stored = StoredDataset(str(path), sha256_of_file(path))
        facts = DatasetFacts(
            dataset.task,
            dataset.sizes,
            dataset.fingerprint,
            stored,
            baseline(dataset, "val"),
            dataset.remarks,
        )
        body = {
            "dataset": name,
            "baselines": [],
            "budget": {"trials": trials, "seconds": seconds},
            "ensemble": {"size": size},
            "final": {"top": 3, "seeds": 3},
            "seed": seed,
        }
        resolved = resolve(body, lambda _: facts)
        screening = Screening.of(resolved)
        run = SearchRun(
            resolved.spec,
            resolved.space,
            resolved.strategy(),
            MemoryJournal(),
            resolved.cost,
            suggestions=opening(resolved, screening),
            screen=screening,
        )
        run_serial(run, TrainEvaluator.for_search(resolved.spec, folder, stored))
        finals = [
            Final(
                trial.number,
                left := checkpoint.load(f"{folder}/{trial.number}.safetensors"),
                with_inputs(dataset, left.recipe),
                f"{folder}/{trial.number}.outputs.safetensors",
            )
            for trial in run.trials
            if trial.kind is FINAL and trial.fitness is not None
        ]
        outputs = {final.number: final.outputs() for final in finals}
    by_cut = [
        judged(finals, outputs, resolved.spec.objectives, size, chooses, judges)
        for chooses, judges in cuts(len(dataset.validation), dataset.task.name, seed)
    ]
    means = {key: statistics.fmean(cut[key] for cut in by_cut) for key in by_cut[0]}
    (objective,) = resolved.spec.objectives
    return {"metric": objective.metric, "goal": objective.goal, **means}


def cuts(count: int, task: str, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Places of the samples that choose, and of those that judge."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(1 if task == "forecasting" else CUTS):
        order = torch.randperm(count, generator=generator)
        order = torch.arange(count) if task == "forecasting" else order
        first, second = order[: count // 2], order[count // 2 :]
        yield first, second
        yield second, first


def judged(
    finals: Sequence[Final],
    outputs: dict[int, Tensor],
    objectives: Sequence[Objective],
    size: int,
    chooses: Tensor,
    judges: Tensor,
) -> dict[str, float]:
    """The best alone, and the ensemble of those that are like it, chosen on one part and scored on
    the other.
    """
    known = {final.number: final for final in finals}

    def scores(picks: Sequence[int], part: Tensor) -> dict[str, float]:
        first = known[picks[0]]
        said = picked(
            {number: outputs[number][part] for number in picks},
            picks,
            average_for(first.dataset.task),
        )
        score = scoring(first.dataset, first.checkpoint.recipe)(torch.device("cpu"))
        score.update(said, first.dataset.validation.y[part])
        return {f"val_{name}": value for name, value in score.compute().items()}

    def value(picks: Sequence[int]) -> tuple[float, ...]:
        found = scores(picks, chooses)
        least = (-math.inf,) * len(objectives)
        return (*(fitness(found, objectives) or least), -found["val_loss"])

    best = max(known, key=lambda number: value([number]))
    alike = [number for number, final in known.items() if final.form == known[best].form]
    picks = selected([best, *(number for number in alike if number != best)], size, value)
    alone, together = scores([best], judges), scores(picks, judges)
    sizes = {number: final.checkpoint.cost()["parameters"] for number, final in known.items()}
    (objective,) = objectives
    return {
        "single": alone[objective.metric],
        "ensemble": together[objective.metric],
        "single_loss": alone["val_loss"],
        "ensemble_loss": together["val_loss"],
        "parameters": sum(sizes[number] for number in set(picks)) / sizes[best],
        "members": len(set(picks)),
    }


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    metric, goal = runs[0]["metric"], runs[0]["goal"]
    is_error = goal == "minimize"
    gains = [
        (run["single"] - run["ensemble"]) / run["single"]
        if is_error
        else run["ensemble"] - run["single"]
        for run in runs
    ]
    losses = [(run["single_loss"] - run["ensemble_loss"]) / run["single_loss"] for run in runs]
    means = {
        name: round(statistics.fmean(run[name] for run in runs), 4)
        for name in ("single", "ensemble", "parameters", "members")
    }
    return {"metric": metric, **means, "gain": told(gains), "losses_gain": told(losses)}


def told(values: Sequence[float]) -> dict[str, float]:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"mean": round(statistics.fmean(values), 4), "standard_error": round(error, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the two files")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=300.0, help="of a search, finals included")
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    options = {name: getattr(given, name) for name in ("data", "trials", "seconds", "size")}
    work = partial(compared, **options)
    with get_context("spawn").Pool(given.processes) as pool:
        asked = {
            name: [pool.apply_async(work, (name,), {"seed": seed}) for seed in range(given.seeds)]
            for name in given.sets
        }
        found = {name: summary([run.get() for run in runs]) for name, runs in asked.items()}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
