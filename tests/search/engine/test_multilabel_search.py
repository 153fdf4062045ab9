"""A small search for labels of rows, texts and pictures: upload, serial engine, verified bundle,
and predictions from raw samples.
"""

from __future__ import annotations

import importlib.util
import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.task import MULTILABEL
from models.training.metrics import metric_names
from search.engine.journal import EpochReported, MemoryJournal
from search.engine.run import SearchRun
from search.engine.serial import run_serial
from search.engine.stages.finals import FINAL
from search.evaluators.train import TrainEvaluator
from search.request.resolve import resolve
from search.results.report import best
from tests.models.support.uploads import csv, read
from tests.search.support.bundles import bundle_of_best
from tests.search.support.stored import stored

RNG = np.random.default_rng(0)
COUNT = 160
HAS = RNG.random((COUNT, 2)) < (0.5, 0.3)
TAGS = [";".join(np.array(["red", "round"])[has]) for has in HAS]


def rows() -> tuple[bytes, dict[str, Any], Any]:
    values = np.where(HAS, 1.0, -1.0) + RNG.normal(0, 0.5, HAS.shape)
    columns = {name: [f"{v:.3f}" for v in values[:, i]] for i, name in enumerate("ab")}
    return csv({**columns, "tags": TAGS}), {"target": "tags"}, [{"a": "1.0", "b": "1.0"}]


def texts() -> tuple[bytes, dict[str, Any], Any]:
    words = [
        " ".join([*(w for w, has in zip(("apple", "ball"), found, strict=True) if has), f"no{i}"])
        for i, found in enumerate(HAS)
    ]
    columns = {"what": words, "tags": TAGS}
    return csv(columns), {"target": "tags", "text": "what"}, ["apple ball no"]


def pictures() -> tuple[bytes, dict[str, Any], Any]:
    """A bright upper half for red, a bright lower half for round."""
    buffer, both = io.BytesIO(), None
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, has in enumerate(HAS):
            pixels = np.repeat(np.where(has, 200, 20), 4)[:, None] + RNG.integers(0, 20, (8, 8))
            picture = io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(picture, "PNG")
            archive.writestr(f"{number}.png", picture.getvalue())
            both = pixels.astype(np.uint8) if has.all() else both
        lines = (f"{number}.png,{tags}" for number, tags in enumerate(TAGS))
        archive.writestr("labels.csv", "\n".join(["file,tags", *lines]))
    return buffer.getvalue(), {}, both


SEARCHES: dict[str, tuple[Any, dict[str, Any]]] = {
    "rows": (rows, {"family": "mlp", "depth": 1, "width": 16, "embedding": "none"}),
    "texts": (texts, {"family": "transformer", "layers": 1, "width": 16, "heads": 2}),
    "pictures": (pictures, {"family": "cnn_stages", "stages": 1, "width": 8}),
}
OF_ROWS = {
    "objectives": [{"metric": "val_f1"}],
    "training": {
        "epochs": 10,
        "batch_size": 16,
        "class_weight": "balanced",
        "input_transform": {"choice": ["standard", "quantile"]},
    },
}
"""What only they can be asked for, or have one search ask for."""

TRAINING: dict[str, dict[str, Any]] = {"texts": {"tokens": {"choice": ["subwords", "characters"]}}}


@pytest.mark.parametrize("kind", SEARCHES)
def test_a_search_ends_in_a_bundle_that_says_the_labels_of_raw_samples(
    kind: str, tmp_path: Path
) -> None:
    make, space = SEARCHES[kind]
    content, options, both = make()
    dataset = read(tmp_path, content, MULTILABEL, **options)
    facts = stored(dataset, tmp_path)
    resolved = resolve(
        {
            "dataset": "mine",
            "space": space,
            "training": {"epochs": 10, "batch_size": 16, **TRAINING.get(kind, {})},
            "strategy": {"name": "random"},
            "budget": {"trials": 2},
            "final": {"seeds": 1, "epochs": 20},
            **(OF_ROWS if kind == "rows" else {}),
        },
        lambda name: facts,
    )
    if kind != "rows":
        assert resolved.spec.objectives[0].metric == "val_average_precision"
    journal = MemoryJournal()
    run = SearchRun(resolved.spec, resolved.space, resolved.strategy(), journal, resolved.cost)
    run_serial(run, TrainEvaluator.for_search(resolved.spec, str(tmp_path), facts.reference))
    assert run.failed_reason is None
    reported = [event.metrics for event in journal.events if isinstance(event, EpochReported)]
    assert reported[0].keys() >= {f"val_{name}" for name in metric_names(MULTILABEL)}
    (item,) = best(resolved.spec, run.trials)
    final = next(trial for trial in run.trials if trial.kind is FINAL)
    offsets = [final.metrics.get(f"decision_offset_{place}", 0.0) for place in (0, 1)]
    assert any(offsets) == (kind == "rows")
    assert final.metrics["test_average_precision"] > 0.9 and final.metrics["test_f1"] > 0.8
    bundle = bundle_of_best(item, final, dataset, tmp_path)
    assert (bundle / "metrics.json").is_file(), "its scores were worked out anew"
    spec = importlib.util.spec_from_file_location("predict", bundle / "predict.py")
    assert spec is not None and spec.loader is not None
    predict = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(predict)
    model, heat = predict.load(bundle), final.metrics["temperature"]
    (result,) = model.predict(both)
    assert result["label"] == "red;round"
    assert result.keys() == {"label", "probability_red", "probability_round"}
    assert kind != "rows" or heat != 1, "where all are right with room to spare it says nothing"
    assert final.metrics.keys() >= {"test_ece", "test_ece_uncalibrated"}
    logits = model.outputs(both)[0].tolist()
    for name, offset, logit in zip(("red", "round"), offsets, logits, strict=True):
        share = result[f"probability_{name}"]
        assert share == pytest.approx(1 / (1 + math.exp(-logit / heat)))
        assert heat * math.log(share / (1 - share)) >= -offset, "thresholds are of the outputs"
