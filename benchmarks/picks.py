"""A search that leaves everything open, beside the best of what a person would pick first.

    python benchmarks/picks.py [--data DIR] [--minutes 3] [--trials N] [--splits 5]
                               [--only wine cora ...] [--out results.jsonl]

Of each data set (`picks_data.py`) and split the file is uploaded to a server and searched with
`{"dataset": x}` and the budget that `nasmith fit` sends, or with `--trials` so many trials and as
long as they take, which means the same on a busy machine. Beside it a person's picks: the simple
models (`models.simple`) and scikit-learn's usual ones with their defaults, each fitted on train and
validation together, which a search may use as it likes. Both are scored on the same test rows, of
the search the mean over the runs of its winner, which validation has chosen.

A line of JSON a search; with `--out` it is kept, and what the file has is not run again. The last
one is a summary: by data set the pick with the best mean *of the test scores* (which favours the
picks), `difference` in favour of the search, a mean over the splits, its standard error, and
`result`, a win or loss where it is beyond two of them. `mean_rank` is that of the search among all
that there is for a data set. A search that fails is a loss, whatever its other splits.
`cpu_seconds` of a search are those of the server and of all that it started; those of a pick, as
its seconds, are of fitting. `spends` is the search over the picks.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from picks_data import SOURCES, Source
from threadpoolctl import threadpool_limits

from models.datasets import Dataset, Split
from models.datasets.formats import Options, Upload, format_of, formats
from models.processes.folders import temporary_folder
from models.simple import simple_models
from models.training.baseline import Predictor, scored
from models.training.estimators import flat, logits, values
from nasmith import Client, SearchFailedError
from service.commands.fit import MOST_TRIALS
from service.server.local_server import LocalServer, running_server

Line = dict[str, Any]


def usual(task: str) -> Mapping[str, Callable[[], Any]]:
    """Estimators of scikit-learn, with their defaults, of samples as rows."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC, SVR

    rows = {
        "random_forest": lambda: RandomForestClassifier(random_state=0),
        "svc": SVC,
        "nearest_neighbours": KNeighborsClassifier,
    }
    return {
        "tabular_classification": rows,
        "image_classification": rows,
        "sequence_classification": {**rows, "logistic_regression": LogisticRegression},
        "tabular_regression": {
            "random_forest": lambda: RandomForestRegressor(random_state=0),
            "svr": SVR,
        },
    }.get(task, {})


def fitted(estimator: Any, dataset: Dataset) -> Predictor:
    y, outputs = dataset.train.y.numpy(), dataset.task.outputs
    estimator.fit(flat(dataset.train), y if dataset.train.y.dim() == 1 else y.ravel())
    if hasattr(estimator, "predict_proba"):
        return lambda part: logits(estimator, flat(part), outputs)
    if dataset.task.name == "tabular_regression":
        return lambda part: values(estimator.predict(flat(part)), outputs)

    def said(part: Split) -> torch.Tensor:
        """As good as sure, of the one class that it names."""
        return 10.0 * torch.eye(outputs)[estimator.predict(flat(part))]

    return said


def picks(dataset: Dataset, metric: str) -> dict[str, Line]:
    """The test score of each, and what fitting it took."""
    seen = replace(dataset, train=dataset.train.joined(dataset.validation), numbers={})
    task = dataset.task.name
    fits: dict[str, Callable[[], Predictor]] = {
        name: partial(model.fit, seen, math.inf)
        for name, model in simple_models.items()
        if task in model.tasks
    }
    for name, made in usual(task).items():
        fits[name] = partial(fitted, made(), seen)
    found = {}
    for name, fit in fits.items():
        wall, processor = time.perf_counter(), time.process_time()
        predict = fit()
        found[name] = {
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - processor,
            "score": scored(dataset, dataset.test, predict, "test")[metric],
        }
    return found


class Meter(threading.Thread):
    """Processor seconds of a server and all that it starts, from here on. What a process spends in
    its last half second is not seen.
    """

    def __init__(self, server: LocalServer) -> None:
        super().__init__(daemon=True)
        self._server, self._is_over = server, threading.Event()
        self._before = self._now()
        self._last = dict(self._before)

    def run(self) -> None:
        while not self._is_over.wait(0.5):
            self._last.update(self._now())

    def read(self) -> float:
        """The end of it."""
        self._is_over.set()
        self.join()
        self._last.update(self._now())
        return sum(spent - self._before.get(who, 0.0) for who, spent in self._last.items())

    def _now(self) -> dict[tuple[int, float], float]:
        found = {}
        for process in self._server.processes():
            try:
                found[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
            except psutil.Error:
                continue
        return found


def searched(server: LocalServer, client: Client, dataset: str, budget: Line, split: int) -> Line:
    request = {
        "dataset": dataset,
        "budget": budget,
        "resources": {"parallel_trials": len(os.sched_getaffinity(0))},
        "seed": split,
    }
    meter, started = Meter(server), time.perf_counter()
    meter.start()
    search = client.searches.create(request)
    try:
        search.wait()
    finally:
        spent = meter.read()
    seconds = time.perf_counter() - started
    objective, winner, report = search.spec["objectives"][0], search.best()[0], search.report()
    metric = objective["metric"].replace("val_", "test_", 1)
    final = winner["final_metrics"]
    return {
        "metric": metric,
        "goal": objective["goal"],
        "score": final[metric]["mean"],
        "deviation": final[metric]["std"],
        "validation": [
            winner["search_metrics"].get(objective["metric"]),
            final.get(objective["metric"], {}).get("mean"),
        ],
        "seconds": seconds,
        "cpu_seconds": spent,
        "trials": search.document["progress"]["trials_done"],
        "winner": winner["architecture"],
        "families": report.get("families"),
        "verdict": report["verdict"],
        "state_reason": search.document["state_reason"],
    }


def one(
    server: LocalServer,
    client: Client,
    name: str,
    source: Source,
    chosen: argparse.Namespace,
    split: int,
) -> Line:
    with temporary_folder("bench") as folder:
        path, options = source.write(chosen.data, folder, split)
        stored = f"{name}-{split}"
        told = client.datasets.add(path, name=stored, task=source.task, **options)
        given = Upload(path, stored, source.task, Options.model_validate(options))
        dataset = formats[format_of(given)].read(given)
    if not isinstance(dataset, Dataset) or dataset.fingerprint != told["fingerprint"]:
        raise RuntimeError(f"{stored} is not here what it is on the server")
    line = {
        "dataset": name,
        "task": source.task,
        "split": split,
        "budget": budget_of(chosen),
        "sizes": dataset.sizes,
    }
    try:
        found = searched(server, client, stored, budget_of(chosen), split)
    except SearchFailedError as error:
        return {**line, "failure": str(error)}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of those that do not converge by their defaults
        beside = picks(dataset, found["metric"])
    return {**line, "search": found, "picks": beside}


def summary(lines: list[Line]) -> Line:
    by_name: dict[str, list[Line]] = {}
    failures = {line["dataset"]: line["failure"] for line in lines if "failure" in line}
    for line in lines:
        if line["dataset"] not in failures:
            by_name.setdefault(line["dataset"], []).append(line)
    if not by_name:
        return {"failures": failures}
    found = {name: compared(some) for name, some in by_name.items()}
    results = [entry["result"] for entry in found.values()]
    total = {
        of: {key: sum(entry["spent"][of][key] for entry in found.values()) for key in SPENT}
        for of in ("search", "pick")
    }
    return {
        "summary": found,
        "failures": failures,
        "wins": results.count("win"),
        "ties": results.count("tie"),
        "losses": results.count("loss") + len(failures),
        "mean_rank": statistics.fmean(entry["rank"] for entry in found.values()),
        "spent": total,
        "spends": {key: total["search"][key] / max(total["pick"][key], 1e-9) for key in SPENT},
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


SPENT = ("seconds", "cpu_seconds")


def compared(lines: list[Line]) -> Line:
    """One data set over its splits."""
    sign = 1 if lines[0]["search"]["goal"] == "maximize" else -1
    means = {
        name: sign * statistics.fmean(line["picks"][name]["score"] for line in lines)
        for name in lines[0]["picks"]
    }
    best = max(means, key=lambda name: means[name])
    ours = [line["search"]["score"] for line in lines]
    theirs = [line["picks"][best]["score"] for line in lines]
    gains = [sign * (a - b) for a, b in zip(ours, theirs, strict=True)]
    gain = statistics.fmean(gains)
    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else math.inf
    beyond = abs(gain) > 2 * error
    return {
        "metric": lines[0]["search"]["metric"],
        "search_score": statistics.fmean(ours),
        "pick": best,
        "pick_score": statistics.fmean(theirs),
        "difference": gain,
        "standard_error": error if math.isfinite(error) else None,
        "result": ("win" if gain > 0 else "loss") if beyond else "tie",
        "rank": 1 + sum(mean > sign * statistics.fmean(ours) for mean in means.values()),
        "splits": len(lines),
        "spent": {
            "search": {key: sum(line["search"][key] for line in lines) for key in SPENT},
            "pick": {key: sum(line["picks"][best][key] for line in lines) for key in SPENT},
        },
    }


def budget_of(chosen: argparse.Namespace) -> Line:
    if chosen.trials is not None:
        return {"trials": chosen.trials}
    return {"trials": MOST_TRIALS, "seconds": 60 * chosen.minutes}


def kept(out: Path | None) -> list[Line]:
    if out is None or not out.exists():
        return []
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def runs(chosen: argparse.Namespace, names: list[str], known: list[Line]) -> Iterator[Line]:
    """Split by split, so that whoever ends it early has some of each."""
    budget = budget_of(chosen)
    done = {(line["dataset"], line["split"]) for line in known if line["budget"] == budget}
    wanted = [
        (name, split)
        for split in range(chosen.splits)
        for name in names
        if (name, split) not in done
    ]
    if not wanted:
        return
    with (
        temporary_folder("bench") as home,
        running_server(home) as server,
        Client(server.url, timeout=120, patience=60) as client,
    ):
        for name, split in wanted:
            yield one(server, client, name, SOURCES[name], chosen, split)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(), help="folder of files")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--trials", type=int, help="in place of minutes")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    names = []
    for name in chosen.only:
        file = SOURCES[name].file
        if file is None or (chosen.data / file).exists():
            names.append(name)
        else:
            print(f"{name} is left out: there is no {chosen.data / file}", file=sys.stderr)
    known = kept(chosen.out)
    for line in runs(chosen, names, known):
        known.append(line)
        print(json.dumps(line), flush=True)
        if chosen.out is not None:
            with chosen.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    budget = budget_of(chosen)
    of_these = [line for line in known if line["dataset"] in names and line["budget"] == budget]
    print(json.dumps(summary(of_these), indent=1))


if __name__ == "__main__":
    main()
