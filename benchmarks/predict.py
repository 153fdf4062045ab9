"""Predictions of 10,000 rows of a CSV by a bundle's `predict.py`, beside the bare network.

    python benchmarks/predict.py [--rows 10000] [--runs 7] [--width 128]

The table has twelve columns: eight of numbers, two of categories, one of dates and one of yes and
no, 3 % of the cells empty; with `--texts` one of texts too. The network is an `mlp` of two layers
of `--width`: what is read and written costs the same whatever the network, so that the ratio says
as much of its size. One of 128 takes 2 or 3 µs a row on one core, one of 512 about 16.

`command` is `python predict.py new.csv > predictions.csv`, a whole process; `bare_command` a
process that loads the same network and gives it the same rows as a tensor made before. `call` is
`predict` on the path of the file in a process that has the model, to the CSV of the results;
`network` the network alone, on that tensor in one piece. Medians of the runs in seconds, one
thread; `ratio` is command over bare_command, `ratio_of_calls` call over network. Beside the clock's
stand the seconds of the processor, of which other processes take none.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from types import ModuleType
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from models import checkpoint
from models.architecture import Architecture
from models.datasets import Dataset
from models.datasets.formats import Options, Upload, formats
from models.domains import Scalar
from models.exporters.bundle import BundleReport, write_bundle
from models.family import families
from models.processes.folders import temporary_folder
from models.recipe import Recipe
from models.training.initialization import build
from models.training.trainer import evaluate

BARE = """
import sys, torch, model
from safetensors.torch import load_file
torch.set_num_threads(1)
network = model.build().eval()
network.load_state_dict(load_file("model.safetensors"))
with torch.inference_mode():
    network(load_file("inputs.safetensors")["x"]).softmax(dim=1).tolist()
"""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def table(rows: int, texts: bool, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        f"n{i}": rng.normal(10.0**i, 1, rows).round(4).astype(str) for i in range(8)
    }
    columns["city"] = rng.choice([f"city {i}" for i in range(40)], rows)
    columns["plan"] = rng.choice(["basic", "plus", "pro"], rows)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, rows), unit="D")
    columns["since"] = days.strftime("%d.%m.%Y")
    columns["member"] = rng.choice(["yes", "no"], rows)
    if texts:
        words = [f"word{i}" for i in range(500)]
        columns["note"] = [" ".join(rng.choice(words, 6)) for _ in range(rows)]
    frame = pd.DataFrame(columns).mask(rng.random((rows, len(columns))) < 0.03, "")
    frame["left"] = rng.choice(["yes", "no"], rows)
    return frame


def bundle(dataset: Dataset, folder: Path, width: int) -> Path:
    family, recipe = families["mlp"], Recipe(epochs=1)
    settings = family.Settings.model_validate({"depth": 2, "width": width})
    rng, values = Random(0), dict[str, Scalar]()  # noqa: S311 - not for secrets
    for decision in family.decisions(settings, dataset.task):
        if decision.is_active(values):
            values[decision.name] = decision.domain.sample(rng)
    architecture = Architecture("mlp", values)
    network = build(architecture, dataset.task, recipe, 0).eval()
    path = str(folder / "weights.safetensors")
    checkpoint.save(path, network, architecture, dataset.task, recipe, {"seed": 0})
    metrics = evaluate(network, dataset.test, dataset.task, "test")
    report = BundleReport(None, dataset.name, 0, 0, 0, metrics, {}, {})
    write_bundle(folder / "bundle", checkpoint.load(path), dataset, report)
    return folder / "bundle"


def script(folder: Path) -> ModuleType:
    sys.path.insert(0, str(folder))
    return importlib.import_module("predict")


def median_seconds(
    runs: int, questions: Mapping[str, Callable[[], Any]], clock: Callable[[], float]
) -> dict[str, float]:
    """By turns, so that all have the same of what else runs."""
    found: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(runs + 1):
        for name, question in questions.items():
            began = clock()
            question()
            found[name].append(clock() - began)
    return {name: round(statistics.median(taken[1:]), 4) for name, taken in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--texts", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with temporary_folder("bench") as folder:
        file = folder / "train.csv"
        table(3000, options.texts, seed=1).to_csv(file, index=False)
        upload = Upload(file, "t", "tabular_classification", Options(target="left"))
        dataset = formats["tabular"].read(upload)
        place = bundle(cast(Dataset, dataset), folder, options.width)
        new = folder / "new.csv"
        table(options.rows, options.texts).drop(columns="left").to_csv(new, index=False)

        predict = script(place)
        model = predict.load(place)

        def call() -> str:
            out = io.StringIO()
            predict.write_table(*model.table(model.read([str(new)])), out)
            return out.getvalue()

        raw = torch.cat(list(model._batches(model.read([str(new)]), "error")))
        x = sys.modules[f"model_of_{place}"].preprocess(raw, model.preprocessing)
        from safetensors.torch import save_file

        save_file({"x": x}, place / "inputs.safetensors")

        def process(*command: str) -> Callable[[], Any]:
            def run() -> None:
                subprocess.run(
                    [sys.executable, *command], check=True, cwd=place, env=ONE_THREAD,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip

            return run

        def network() -> None:
            with torch.inference_mode():
                model.network(x)

        questions = {
            "command": process("predict.py", str(new)),
            "bare_command": process("-c", BARE),
            "call": call,
            "network": network,
        }
        warm = {name: questions[name] for name in ("call", "network")}
        seconds = median_seconds(options.runs, questions, perf_counter)
        processor = median_seconds(options.runs, warm, process_time)
        print(
            json.dumps(
                {
                    "rows": options.rows,
                    "features": x.shape[1],
                    "parameters": sum(p.numel() for p in model.network.parameters()),
                    "seconds": seconds,
                    "ratio": round(seconds["command"] / seconds["bare_command"], 2),
                    "ratio_of_calls": round(seconds["call"] / seconds["network"], 2),
                    "processor_seconds": processor,
                    "processor_ratio_of_calls": round(processor["call"] / processor["network"], 2),
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
