"""Models in other forms: how far from `model.py`'s network they are, and how long one sample takes.

    python benchmarks/exports.py [--runs 200]

Of each family the smallest of eight random networks, untrained, and of pictures of 64x64 pixels
`resnet-50`; with their preprocessing, on the raw test split of a small data set. `difference` is
the largest of an output, as a share of the largest output or of 1. `latency` is that of one raw
sample, median and 95th percentile in ms, on one thread, the three forms in turn; `seconds` what
making the form takes, the first one with the imports. A family without a form says why.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from models.exporters import CannotExportError
from models.exporters.bundle import export_of
from models.exporters.onnx import Onnx
from models.exporters.pt2 import Pt2
from models.exporters.whole import Whole
from models.family import families
from models.presets import preset
from models.processes.folders import temporary_folder
from models.recipe import Recipe
from models.task import Task
from models.training.initialization import build
from search.testing.exporters import untrained
from search.testing.small_datasets import SMALL

PICTURE = (3, 64, 64)
Call = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    for family in families:
        dataset = SMALL[next(task for task in SMALL if task in families[family].tasks)]()
        checkpoint, report = untrained(family, dataset)
        made = export_of(checkpoint, dataset, report, {})
        raw = dataset.raw_test.x
        samples = raw.contiguous() if isinstance(raw, Tensor) else None
        tell(family, made.network, made.dataset.preprocessing, samples, runs)
    task = Task("image_classification", PICTURE, 10)
    network = build(preset("resnet-50").architecture, task, Recipe(), 0).eval()
    pictures = torch.randint(0, 256, (8, *PICTURE), dtype=torch.uint8)
    steps = [{"op": "scale", "factor": 1 / 255}]
    raw_input = {"shape": list(PICTURE), "dtype": "uint8"}
    tell("resnet-50", network, {"input": raw_input, "steps": steps}, pictures, runs)


def tell(
    name: str,
    network: nn.Module,
    preprocessing: Mapping[str, Any],
    raw: Tensor | None,
    runs: int,
) -> None:
    with temporary_folder("exports") as folder, torch.inference_mode(False), torch.no_grad():
        try:
            row = measured(folder, network, preprocessing, raw, runs)
        except CannotExportError as error:
            row = {"why_not": str(error)}
    print(json.dumps({"network": name, **row}), flush=True)


def measured(
    folder: Path,
    network: nn.Module,
    preprocessing: Mapping[str, Any],
    raw: Tensor | None,
    runs: int,
) -> dict[str, Any]:
    seconds = {}
    for form, exporter in (("onnx", Onnx), ("pt2", Pt2)):
        started = perf_counter()
        exporter.convert(folder, network, preprocessing)
        seconds[form] = round(perf_counter() - started, 1)
    assert raw is not None  # noqa: S101 - a graph has no form
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    whole = Whole(network, preprocessing).eval()
    program = torch.export.load(folder / "model.pt2").module()
    wanted = whole(raw).numpy()
    scale = max(1.0, float(np.abs(wanted).max()))
    found = {"onnx": session.run(None, {"input": raw.numpy()})[0], "pt2": program(raw).numpy()}
    one = raw[:1].contiguous()
    fed = {"input": one.numpy()}
    return {
        "difference": {
            form: float(f"{np.abs(values - wanted).max() / scale:.2g}")
            for form, values in found.items()
        },
        "latency": latencies(
            {
                "torch": lambda: whole(one),
                "pt2": lambda: program(one),
                "onnx": lambda: session.run(None, fed),
            },
            runs,
        ),
        "seconds": seconds,
    }


def latencies(calls: Mapping[str, Call], runs: int) -> dict[str, list[float]]:
    """Median and 95th percentile in ms, taken in turn, after ten calls that do not count."""
    taken: dict[str, list[float]] = {form: [] for form in calls}
    for number in range(runs + 10):
        for form, call in calls.items():
            started = perf_counter()
            call()
            if number >= 10:
                taken[form].append(1000 * (perf_counter() - started))
    return {
        form: [round(float(np.percentile(times, share)), 3) for share in (50, 95)]
        for form, times in taken.items()
    }


if __name__ == "__main__":
    main()
