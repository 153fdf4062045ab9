"""`nasmith demo`: the whole way, from an empty folder to a model that runs without Nasmith."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from models.processes.folders import sweep, temporary_folder
from nasmith import Client
from nasmith.commands.output import FailedError, note
from service.commands.model_folder import refuse_occupied
from service.server.local_server import running_server

LEAST_ACCURACY = 0.975
TOLERANCE = 1e-6

REQUEST: dict[str, Any] = {
    "name": "demo",
    "dataset": "digits",
    "space": {
        "family": "cnn_cell",
        "topology": "nasbench201",
        "channels": {"choice": [8, 12, 16]},
    },
    "training": {
        "epochs": 5,
        "batch_size": 32,
        "optimizer": "adam",
        "learning_rate": {"low": 0.004, "high": 0.02, "log": True},
        "schedule": "one_cycle",
        "label_smoothing": 0.1,
        "augmentation": "shift",
    },
    "strategy": {"name": "regularized_evolution", "population_size": 6, "sample_size": 3},
    "budget": {"trials": 16},
    "resources": {"parallel_trials": 2, "cpus_per_trial": 1},
    "final": {"top": 1, "seeds": 2, "epochs": 16},
    "seed": 0,
}


def run_demo(output: Path) -> dict[str, Any]:
    """Search, download to `output`, score in a fresh process; stops everything it started.

    Raises:
        FailedError: the search failed, the model is worse than it should be, the downloaded model
            does not score what was recorded, or a process outlived the server.
        nasmith.commands.output.UsageError: `output` holds something else than an older bundle.
    """
    output = output.absolute()
    refuse_occupied(output, "--output")
    started = time.perf_counter()
    sweep()
    with temporary_folder("demo") as home:
        note(f"Starting a server, its data in {home} until the demo ends ...")
        with running_server(home) as server:
            note(f"Ready at {server.url}.")
            with Client(server.url, api_key=server.api_key, timeout=120, patience=60) as client:
                search = client.searches.create(REQUEST)
                note(f"Searching {REQUEST['budget']['trials']} networks for handwritten digits:")
                search.wait(progress=True)
                (best,) = search.best()
                search.download(output, overwrite=True)
        if survivors := server.processes():
            raise FailedError(f"still running after the server stopped: {survivors}")
    note("Scoring the downloaded model in a process that cannot import Nasmith ...")
    result = {
        **_score(output),
        "search": best,
        "directory": str(output),
        "seconds": round(time.perf_counter() - started, 1),
    }
    _print(result)
    _judge(result)
    return result


def _score(bundle: Path) -> dict[str, Any]:
    from models.datasets import datasets
    from models.exporters.bundle import score_bundle

    recorded = json.loads((bundle / "metrics.json").read_text(encoding="utf-8"))
    scores = score_bundle(bundle, datasets["digits"].load())
    return {
        "test_accuracy": scores["test_accuracy"],
        "recorded_test_accuracy": recorded["metrics"]["test_accuracy"],
        "parameters": recorded["parameters"],
    }


def _print(result: dict[str, Any]) -> None:
    spread = result["search"]["final_metrics"]["test_accuracy"]
    note(f"""
  test accuracy   {result["test_accuracy"]:.6f}   computed by model.py alone
  recorded        {result["recorded_test_accuracy"]:.6f}   by the search; {spread["mean"]:.4f} \
± {spread["std"]:.4f} over {spread["seeds"]} seeds
  parameters      {result["parameters"]:,}
  total time      {result["seconds"]:.1f} s
  the model is in {result["directory"]}, see its README.md
""")


def _judge(result: dict[str, Any]) -> None:
    accuracy, recorded = result["test_accuracy"], result["recorded_test_accuracy"]
    if abs(accuracy - recorded) > TOLERANCE:
        raise FailedError(f"the model scores {accuracy}, recorded was {recorded}")
    if accuracy < LEAST_ACCURACY:
        raise FailedError(f"the model's accuracy {accuracy:.4f} is below {LEAST_ACCURACY}")
