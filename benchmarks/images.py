"""A found convolutional network beside LeNet-5 on 10,000 training images of Fashion-MNIST.

    python benchmarks/images.py --data DIR [--family cnn_stages] [--seconds 600] [--seeds 3]

DIR holds `fashion_mnist.npz`. The search has `--seconds` of wall time and two workers of a Ray
runtime of its own, one thread each; validation is on 2,500 more images of the training set. Its
`--top` best networks are then trained anew, as long as `--epochs` says, on `--seeds` seeds, and
the best of them by mean validation accuracy is the one found. The preset `lenet-5` has the same
recipe, epochs, seeds and choice of the epoch (the lowest validation loss). The recipe is the
default for images; it is not searched, so that it suits neither side.

Published, all 60,000 images and two days of search: AutoKeras 91.84, ENAS 95.5, DARTS 95.74 (NNI's
comparison).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

PARALLEL = 2
IMAGES, VALIDATION = 10_000, 2_500
SPACES: dict[str, dict[str, Any]] = {
    "cnn_stages": {  # by default the head sees the mean of all pixels, and nothing is pooled before
        "family": "cnn_stages",
        "stages": {"low": 2, "high": 3},
        "pool": {"choice": ["none", "max_2"]},
        "head_pool": {"choice": [1, 2, 4]},
    },
    "cnn_cell": {"family": "cnn_cell", "channels": {"choice": [8, 16]}},
}
PUBLISHED = {"AutoKeras": 0.9184, "ENAS": 0.955, "DARTS": 0.9574}


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """In a process that Ray has not been imported in before its environment was right."""
    import numpy as np

    from models.datasets.images import from_arrays
    from models.datasets.reference import StoredDataset
    from models.datasets.stored import save
    from models.presets import preset
    from models.storage import sha256_of_file
    from search.engine import ray_workers
    from search.engine.journal import MemoryJournal
    from search.engine.ray_tune import run_ray_tune
    from search.engine.run import SearchRun
    from search.evaluators.train import TrainEvaluator
    from search.request.dataset_facts import DatasetFacts
    from search.request.resolve import resolve
    from search.results.report import best, eligible

    count = IMAGES + VALIDATION
    with np.load(chosen.data / "fashion_mnist.npz", allow_pickle=False) as arrays:
        dataset = from_arrays(
            "fashion_mnist",
            arrays["x_train"][:count],
            arrays["y_train"][:count],
            arrays["x_test"],
            arrays["y_test"],
            validation=VALIDATION / count,
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data")
        save(dataset, file)
        stored = StoredDataset(str(file), sha256_of_file(file))
        facts = DatasetFacts(dataset.task, dataset.sizes, dataset.fingerprint, stored)
        body = {
            "dataset": dataset.name,
            "space": SPACES[chosen.family],
            "training": {"epochs": chosen.search_epochs},
            "strategy": {"name": chosen.strategy},
            "constraints": [{"metric": "flops", "max": chosen.max_flops}],
            "budget": {"trials": 10_000, "seconds": chosen.seconds},
            "resources": {"parallel_trials": PARALLEL},
            "final": {"top": chosen.top, "seeds": chosen.seeds, "epochs": chosen.epochs},
        }
        resolved = resolve(body, lambda name: facts)
        spec = resolved.spec
        run = SearchRun(spec, resolved.space, resolved.strategy(), MemoryJournal(), resolved.cost)
        started = perf_counter()
        ray_workers.connect(os.environ["NASMITH_RAY_ADDRESS"])
        run_ray_tune(run, partial(TrainEvaluator.for_search, spec, folder, stored), spec.resources)
        seconds = perf_counter() - started
        item, *others = best(spec, run.trials)
        recipe = run.best[0].candidate.recipe.model_copy(update={"epochs": chosen.epochs})
    lenet = [
        trained(preset("lenet-5").architecture, dataset, recipe, seed)
        for seed in range(chosen.seeds)
    ]
    return {
        "samples": dataset.sizes,
        "trials": len(eligible(spec, run.trials)),
        "seconds_with_finals": round(seconds, 1),
        "found": told(item),
        "others": [told(other) for other in others],
        "lenet-5": {
            name: spread([scores[name] for scores in lenet])
            for name in ("val_accuracy", "test_accuracy")
        },
        "recipe": recipe.model_dump(mode="json"),
        "published": PUBLISHED,
    }


def trained(architecture: Any, dataset: Any, recipe: Any, seed: int) -> dict[str, float]:
    import torch

    from models.training.initialization import build
    from models.training.trainer import evaluate, train

    torch.set_num_threads(1)
    network = build(architecture, dataset.task, recipe, seed)
    *_, last = train(network, dataset, recipe, seed=seed, keep_best=True)
    return last | evaluate(network, dataset.test, dataset.task, "test")


def told(item: dict[str, Any]) -> dict[str, Any]:
    searched, final = item["search_metrics"], item["final_metrics"]
    return {
        "search_val_accuracy": searched["val_accuracy"],
        "val_accuracy": final["val_accuracy"],
        "test_accuracy": final["test_accuracy"],
        **{name: int(searched[name]) for name in ("parameters", "flops")},
        "architecture": item["architecture"]["decisions"],
    }


def spread(values: list[float]) -> dict[str, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "std": deviation, "seeds": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of fashion_mnist.npz")
    parser.add_argument("--family", choices=list(SPACES), default="cnn_stages")
    parser.add_argument("--strategy", default="regularized_evolution")
    parser.add_argument("--seconds", type=float, default=600, help="of the search")
    parser.add_argument("--search-epochs", type=int, default=4)
    parser.add_argument("--max-flops", type=float, default=4e6, help="of an image, forward")
    parser.add_argument("--top", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12, help="of the last trainings")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(measure(chosen), indent=2), flush=True)
        os._exit(0)  # at once: an orderly end of Ray takes seconds

    from service.running.ray_runtime import RayRuntime
    from service.settings import ServiceSettings

    with tempfile.TemporaryDirectory() as home:
        runtime = RayRuntime(ServiceSettings(home=Path(home)), cpus=PARALLEL)
        runtime.start()
        try:
            environment = {**os.environ, **runtime.environment()}
            command = [sys.executable, *sys.argv, "--child"]
            subprocess.run(command, env=environment, check=True)
        finally:
            runtime.stop()


if __name__ == "__main__":
    main()
