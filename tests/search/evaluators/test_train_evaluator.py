"""The evaluator trains for real, tells failures apart, and goes on."""

from __future__ import annotations

import gc
import json
import math
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.local import LocalFileSystem
from scipy.optimize import minimize_scalar
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional

from models import checkpoint
from models.architecture import Architecture
from models.datasets.images import from_arrays
from models.datasets.preprocess import apply
from models.datasets.reference import StoredDataset, load_dataset
from models.datasets.splits import Folding
from models.datasets.stored import save
from models.domains import Scalar
from models.family import InfeasibleError, families
from models.quiet import alone
from models.recipe import Recipe
from models.registry import UnknownNameError
from models.storage import sha256_of_file
from models.training.initialization import build
from models.training.trainer import NonFiniteError, train
from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.evaluation import EvaluationError, Metrics, PoisonedError
from search.evaluators.train import TrainEvaluator, failure_of
from search.objectives import Constraint
from search.spec import SearchSpec
from search.trial import Candidate, FailureKind, Trial, TrialState
from search.trial_kind import TrialKind

QUICK = Recipe(epochs=2, batch_size=32)


def architecture(seed: int = 0, **settings: Any) -> Architecture:
    """A random network of the family, small unless the settings say otherwise."""
    family = families["cnn_cell"]
    small = {"channels": 4, "cells": 1, "nodes": 2}
    form = family.Settings.model_validate(small | settings)
    rng = Random(seed)
    values: dict[str, Scalar] = {}
    for decision in family.decisions(form, load_dataset("digits").task):
        if decision.is_active(values):
            values[decision.name] = decision.domain.sample(rng)
    return Architecture("cnn_cell", values)


def trial(
    number: int = 0,
    kind: TrialKind = CANDIDATE,
    recipe: Recipe = QUICK,
    of: Architecture | None = None,
) -> Trial:
    candidate = Candidate(of or architecture(), recipe)
    return Trial(number, kind, candidate, TrialState.RUNNING, seed=number + 1, source=0)


def run(evaluator: TrainEvaluator, of: Trial) -> list[Metrics]:
    return [measured.metrics for measured in evaluator.evaluate(of)]


MEASURED = ("latency_ms", "train_seconds", "peak_memory_bytes")


def scores(reports: list[Metrics]) -> list[dict[str, float]]:
    return [{n: v for n, v in report.items() if n not in MEASURED} for report in reports]


@pytest.fixture
def evaluator(tmp_path: Path) -> TrainEvaluator:
    return TrainEvaluator("digits", str(tmp_path / "checkpoints"))


def test_a_candidate_reports_validation_and_costs_after_each_epoch(
    evaluator: TrainEvaluator, tmp_path: Path
) -> None:
    reports = run(evaluator, trial())
    assert [report["epoch"] for report in reports] == [1, 2]
    expected = "val_accuracy val_loss val_f1 parameters flops latency_ms train_seconds".split()
    for report in reports:
        assert {*expected, "train_loss", "peak_memory_bytes"} <= set(report)
        assert all(type(name) is str and math.isfinite(v) for name, v in report.items())
        assert not [name for name in report if name.startswith("test_")]
    assert 0 < reports[0]["train_seconds"] < reports[1]["train_seconds"]
    network = families["cnn_cell"].build(architecture(), load_dataset("digits").task, QUICK)
    assert reports[0]["parameters"] == sum(p.numel() for p in network.parameters())
    assert 0 < reports[1]["latency_ms"] < 1000
    assert reports[1]["peak_memory_bytes"] > 50e6  # torch alone takes more
    assert reports[1]["val_accuracy"] > 0.2  # chance is 0.1
    assert not (tmp_path / "checkpoints").exists()


def test_training_waits_for_a_measurement_elsewhere_and_does_not_count_it(
    evaluator: TrainEvaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # a machine without other trials
    epochs = evaluator.evaluate(trial())
    before = next(epochs).metrics
    measures, is_done = threading.Event(), threading.Event()

    def measure() -> None:
        with alone():
            measures.set()
            is_done.wait()

    thread = threading.Thread(target=measure)
    thread.start()
    measures.wait()
    began = time.perf_counter()
    threading.Timer(0.5, is_done.set).start()
    after = next(epochs).metrics
    seconds = time.perf_counter() - began
    thread.join()
    assert 0 < after["train_seconds"] - before["train_seconds"] < seconds - 0.3


def test_the_same_seed_gives_the_same_scores_on_a_warm_worker(evaluator: TrainEvaluator) -> None:
    first = scores(run(evaluator, trial()))
    other = scores(run(evaluator, trial(1)))
    torch.rand(3)  # whatever else drew random numbers in between
    assert scores(run(evaluator, trial())) == first != other


def test_a_trial_goes_on_in_another_worker_where_it_was_left(tmp_path: Path) -> None:
    of = trial(recipe=Recipe(epochs=3, batch_size=256, dropout=0.2))
    whole = scores(run(TrainEvaluator("digits", str(tmp_path / "whole")), of))

    url = str(tmp_path / "left")
    epochs = TrainEvaluator("digits", url, save_after=(1, 2, 3)).evaluate(of)
    before = [next(epochs).metrics for _ in range(2)]
    epochs.close()  # type: ignore[attr-defined] # it is a generator
    after = run(TrainEvaluator("digits", url, save_after=(1, 2, 3)), of)
    assert after[0] == before[1] and len(after) == 2
    assert scores([*before, after[1]]) == whole
    assert after[1]["latency_ms"] == before[0]["latency_ms"]
    assert after[1]["train_seconds"] > before[1]["train_seconds"]

    other = trial(recipe=Recipe(epochs=3, batch_size=512))
    assert (
        len(run(TrainEvaluator("digits", url, save_after=(1,)), other)) == 3
    )  # not that one's state
    (tmp_path / "left" / "0.state.safetensors").write_bytes(b"torn")
    assert scores(run(TrainEvaluator("digits", url, save_after=(1,)), of)) == whole


class Counting(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A store that counts what it is asked: on S3 each is a request."""

    protocol = "counting"
    asked: ClassVar[list[str]] = []

    def info(self, path: str, **options: Any) -> Any:
        self.asked.append(path)
        return super().info(path, **options)

    def _open(self, path: str, *arguments: Any, **options: Any) -> Any:
        self.asked.append(path)
        return super()._open(path, *arguments, **options)


@pytest.mark.parametrize(("save_after", "asks"), [((), False), ((2,), False), ((1,), True)])
def test_a_store_is_asked_for_a_state_where_the_search_leaves_one(
    tmp_path: Path, save_after: tuple[int, ...], asks: bool
) -> None:
    fsspec.register_implementation("counting", Counting, clobber=True)
    Counting.asked.clear()
    evaluator = TrainEvaluator("digits", f"counting://{tmp_path}", save_after=save_after)
    next(iter(evaluator.evaluate(trial())))
    assert bool(Counting.asked) == asks


def test_a_final_trial_scores_the_test_split_once_and_leaves_its_weights(
    evaluator: TrainEvaluator, tmp_path: Path
) -> None:
    of = trial(7, FINAL, Recipe(epochs=3, batch_size=128))
    reports = run(evaluator, of)
    assert [report["epoch"] for report in reports] == [1, 2, 3]
    assert ["test_accuracy" in report for report in reports] == [False, False, True]

    loaded = checkpoint.load(f"{tmp_path}/checkpoints/7.safetensors")
    assert (loaded.architecture, loaded.recipe) == (of.candidate.architecture, of.candidate.recipe)
    assert loaded.extra["metrics"] == reports[-1]
    assert (loaded.extra["seed"], loaded.extra["trial"]) == (8, 7)
    dataset = load_dataset("digits")
    network = loaded.network()
    with torch.inference_mode():
        outputs = network(apply(dataset.raw_test.x, dataset.preprocessing))
        held_out = network(dataset.validation.x)
    hits = (outputs.argmax(dim=1) == dataset.raw_test.y).double().mean().item()
    assert reports[-1]["test_accuracy"] == pytest.approx(hits, abs=1e-9)
    loss = functional.cross_entropy(outputs, dataset.raw_test.y).item()
    assert reports[-1]["test_loss"] == pytest.approx(loss, rel=1e-5)
    loss = functional.cross_entropy(held_out, dataset.validation.y).item()
    assert reports[-1]["val_loss"] == pytest.approx(loss, rel=1e-5)  # of the weights kept


def test_a_final_trial_on_train_and_validation_reports_no_validation(tmp_path: Path) -> None:
    evaluator = TrainEvaluator("digits", str(tmp_path), final_data="train+val")
    reports = run(evaluator, trial(3, FINAL))
    assert all(not name.startswith("val_") for report in reports for name in report)
    assert reports[-1]["test_accuracy"] > 0.2
    assert (tmp_path / "3.safetensors").exists()
    assert "val_accuracy" in run(evaluator, trial())[-1]  # the search itself still validates


def test_on_train_and_validation_a_final_trains_for_the_epochs_that_were_best_before(
    tmp_path: Path,
) -> None:
    """As a plain training on both splits that ends there, and a training that keeps validation."""
    fields = {"batch_size": 256, "learning_rate": 3.0, "schedule": "constant"}
    recipe = Recipe.model_validate({"epochs": 6, "early_stopping": 1, **fields})
    of, dataset = trial(3, FINAL, recipe), load_dataset("digits")
    reports = run(TrainEvaluator("digits", str(tmp_path), final_data="train+val"), of)

    def network() -> nn.Module:
        return build(of.candidate.architecture, dataset.task, recipe, of.seed)

    plain = network()
    *first, found = train(plain, dataset, recipe, seed=of.seed, keep_best=True)
    best = int(found["best_epoch"])
    assert best < len(first) + 1, "else the last one were as good"
    whole = network()
    epochs = train(whole, dataset, recipe, seed=of.seed, data="train+val")
    again = [next(epochs) for _ in range(best)]
    epochs.close()

    assert [report["epoch"] for report in reports] == list(range(1, len(first) + 2 + best))
    losses = [report["train_loss"] for report in reports]
    assert losses == [epoch["train_loss"] for epoch in [*first, found, *again]]
    last = reports[-1]
    assert (last["best_epoch"], last["retrained_epochs"]) == (best, best)
    assert last["val_loss"] == found["val_loss"]
    held = dataset.validation
    with torch.inference_mode():
        said = plain.eval()(held.x).double()
    scale = minimize_scalar(
        lambda scale: functional.cross_entropy(scale * said, held.y).item(), bounds=(0.05, 20)
    ).x
    assert last["temperature"] == pytest.approx(1 / scale, rel=1e-3), "of the first training"
    left = checkpoint.load(f"{tmp_path}/3.safetensors").weights
    assert all(torch.equal(tensor, left[name]) for name, tensor in whole.state_dict().items())


def test_a_final_on_train_and_validation_decides_as_its_first_training_did(tmp_path: Path) -> None:
    recipe = Recipe(epochs=3, batch_size=32, early_stopping=3, optimizer="adam")
    of = trial(3, FINAL, recipe, Architecture("mlp", {"depth": 0}))
    dataset = load_dataset("breast_cancer")
    kept = run(TrainEvaluator("breast_cancer", str(tmp_path), best_for="f1"), of)[-1]
    both = TrainEvaluator("breast_cancer", str(tmp_path), best_for="f1", final_data="train+val")
    last = run(both, of)[-1]
    margin = last["decision_margin"]
    assert margin == kept["decision_margin"] != 0
    assert last["temperature"] == kept["temperature"] != 1
    with torch.inference_mode():
        said = checkpoint.load(f"{tmp_path}/3.safetensors").network()(dataset.test.x)
    decided = (said[:, 1] - said[:, 0] > margin).long()
    expected = f1_score(dataset.test.y, decided, average="macro")
    assert last["test_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("kind", [CANDIDATE, FINAL])
def test_a_pretrained_trial_says_what_became_of_it(
    evaluator: TrainEvaluator, kind: TrialKind
) -> None:
    fields = {"pretraining": "masked", "pretraining_epochs": 2}
    recipe = QUICK.model_copy(update=fields)
    plain, found = (run(evaluator, trial(1, kind, r)) for r in (QUICK, recipe))
    assert [report["epoch"] for report in found] == [1, 2]
    assert len({report["pretraining_loss"] for report in found}) == 1
    assert scores(run(evaluator, trial(1, kind, recipe))) == scores(found)
    assert found[-1].keys() == plain[-1].keys() | {"pretraining_loss"}
    assert found[-1]["train_loss"] != plain[-1]["train_loss"]


def test_a_pruned_final_trial_leaves_nothing(evaluator: TrainEvaluator, tmp_path: Path) -> None:
    epochs = evaluator.evaluate(trial(7, FINAL))
    next(epochs)
    epochs.close()  # type: ignore[attr-defined] # it is a generator
    assert not (tmp_path / "checkpoints").exists()


def test_a_diverging_recipe_is_named_and_the_next_trial_runs(evaluator: TrainEvaluator) -> None:
    wild = Recipe(
        epochs=20, optimizer="sgd", learning_rate=10, batch_norm=False, schedule="constant"
    )
    with pytest.raises(EvaluationError, match="epoch") as caught:
        run(evaluator, trial(0, recipe=wild))
    assert caught.value.failure.kind is FailureKind.NON_FINITE
    assert run(evaluator, trial(1))[-1]["val_accuracy"] > 0.2


def test_a_network_that_cannot_be_built_is_infeasible(evaluator: TrainEvaluator) -> None:
    values = dict(architecture().decisions) | {"cells": 0}
    with pytest.raises(EvaluationError, match="cells must be a positive integer") as caught:
        run(evaluator, trial(of=Architecture("cnn_cell", values)))
    assert caught.value.failure.kind is FailureKind.INFEASIBLE


def test_a_step_too_big_for_the_memory_is_refused_before_training(tmp_path: Path) -> None:
    evaluator = TrainEvaluator("digits", str(tmp_path), memory_limit_bytes=50_000_000)
    big = trial(of=architecture(channels=128), recipe=Recipe(batch_size=1024))
    with pytest.raises(EvaluationError, match=r"refused before training.* 48 MiB") as caught:
        run(evaluator, big)
    assert caught.value.failure.kind is FailureKind.OUT_OF_MEMORY
    assert run(evaluator, trial(1))[-1]["val_accuracy"] > 0.2


@pytest.mark.parametrize(
    ("limit", "broken"),
    [
        ({"metric": "latency_ms", "max": 1e-6}, "is above the constraint's max 1e-06"),
        ({"metric": "latency_ms", "min": 1e6}, "is below the constraint's min 1e"),
        ({"metric": "peak_memory_bytes", "max": 1e6}, "is above the constraint's max 1e"),
    ],
)
def test_a_limit_is_kept_before_training_where_it_can_be(
    tmp_path: Path, limit: dict[str, Any], broken: str
) -> None:
    limits = [Constraint.model_validate(limit)]
    evaluator = TrainEvaluator("digits", str(tmp_path), limits=limits)
    with pytest.raises(EvaluationError, match="refused before training: ") as caught:
        next(evaluator.evaluate(trial()))
    failure, metrics = caught.value.failure, caught.value.metrics
    assert failure.kind is FailureKind.INFEASIBLE and broken in failure.message
    assert set(metrics) == {"parameters", "flops", "latency_ms", "peak_memory_bytes"}
    assert metrics["peak_memory_bytes"] > 50e6 and 0 < metrics["latency_ms"] < 1000


def test_limits_are_for_candidates_and_for_what_is_known_before(tmp_path: Path) -> None:
    narrow = [Constraint(metric="latency_ms", max=1e-6)]
    evaluator = TrainEvaluator("digits", str(tmp_path), limits=narrow, free=[architecture()])
    assert next(evaluator.evaluate(trial())).metrics["epoch"] == 1
    other = architecture(1)
    with pytest.raises(EvaluationError):
        next(evaluator.evaluate(trial(of=other)))
    assert next(evaluator.evaluate(trial(1, FINAL, of=other))).metrics["epoch"] == 1
    later = [
        Constraint(metric="latency_ms", max=1e6),
        Constraint(metric="peak_memory_bytes", min=1e15),  # only the least is known
        Constraint(metric="val_accuracy", min=1.0),
        Constraint(metric="train_seconds", max=1e-6),
    ]
    patient = TrainEvaluator("digits", str(tmp_path), limits=later)
    assert next(patient.evaluate(trial())).metrics["epoch"] == 1


def test_a_limit_on_the_memory_is_held_against_the_step_of_the_training(tmp_path: Path) -> None:
    """The process alone is below the limit; what a step keeps of 1,256 images is not: the maps of
    512 channels after the stem have 165 MB, and those of each operation as much.
    """
    limits = [Constraint(metric="peak_memory_bytes", max=1e9)]
    evaluator = TrainEvaluator("digits", str(tmp_path), limits=limits)
    wide = trial(of=architecture(channels=512), recipe=Recipe(epochs=1, batch_size=2048))
    with pytest.raises(EvaluationError, match="refused before training") as caught:
        next(evaluator.evaluate(wide))
    assert caught.value.metrics["peak_memory_bytes"] > 1e9


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=r"gpus_per_trial is 0\.5, .* has no CUDA device"):
        TrainEvaluator("digits", str(tmp_path), gpus=0.5)


class Exhausted:
    """Runs out of memory, or breaks its card, in the first of its passes that are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, errors: list[Exception | None]) -> None:
        self.sizes: list[int] = []
        forward = nn.Conv2d.forward

        def limited(layer: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
            if layer.training and layer.in_channels == 1 and not x.is_meta:  # a network's first
                self.sizes.append(len(x))
                if errors and (error := errors.pop(0)) is not None:
                    raise error
            return forward(layer, x)

        monkeypatch.setattr(nn.Conv2d, "forward", limited)


def test_a_trial_without_room_for_its_steps_takes_them_in_two_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortage = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    passes = Exhausted(monkeypatch, [None, None, shortage])
    recipe = Recipe(epochs=1, batch_size=512)
    *_, last = run(TrainEvaluator("digits", str(tmp_path)), trial(recipe=recipe))
    whole, parts = passes.sizes[:3], passes.sizes[3:]
    assert max(whole) > 300 and max(parts) == math.ceil(max(whole) / 2)
    assert sum(parts) == len(load_dataset("digits").train)  # each sample once, from the start
    assert last["micro_batches"] == 2 and last["val_accuracy"] > 0.1


def test_a_trial_without_room_for_half_of_a_step_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortage = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    passes = Exhausted(monkeypatch, [shortage, shortage])
    evaluator = TrainEvaluator("digits", str(tmp_path))
    with pytest.raises(EvaluationError, match="Tried to allocate") as caught:
        run(evaluator, trial())
    assert caught.value.failure.kind is FailureKind.OUT_OF_MEMORY and len(passes.sizes) == 2
    assert not isinstance(caught.value, PoisonedError)
    assert run(evaluator, trial(1))[-1]["val_accuracy"] > 0.1


def test_a_step_that_surely_has_no_room_is_taken_in_two_parts_at_once(tmp_path: Path) -> None:
    """A limit between what half of a step needs, as the refusal says, and what all of it does."""
    recipe = Recipe(epochs=1, batch_size=2048)
    big = trial(of=architecture(channels=16), recipe=recipe)
    with pytest.raises(EvaluationError, match="half a step with 540 samples needs") as caught:
        run(TrainEvaluator("digits", str(tmp_path), memory_limit_bytes=10_000), big)
    needed = float(re.findall(r"at least ([0-9,]+) MiB", str(caught.value))[0].replace(",", ""))
    between = int(1.3 * needed * 2**20)
    evaluator = TrainEvaluator("digits", str(tmp_path), memory_limit_bytes=between)
    assert run(evaluator, big)[-1]["micro_batches"] == 2


def test_an_error_that_breaks_the_card_is_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "CUDA error: device-side assert triggered"
    passes = Exhausted(monkeypatch, [None, torch.AcceleratorError(said)])
    released: list[object] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: released.append(None))
    with pytest.raises(PoisonedError, match=said) as caught:
        run(TrainEvaluator("digits", str(tmp_path)), trial())
    assert caught.value.failure.kind is FailureKind.ERROR
    assert len(passes.sizes) == 2 and not released  # the card would refuse that as well


@pytest.mark.gpu
def test_a_trial_runs_on_the_gpu(tmp_path: Path) -> None:
    reports = run(TrainEvaluator("digits", str(tmp_path), gpus=1), trial(1, FINAL))
    assert reports[-1]["test_accuracy"] > 0.2
    assert checkpoint.load(f"{tmp_path}/1.safetensors").weights


def test_an_unknown_dataset_is_said_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'nothing', known are .*digits"):
        TrainEvaluator("nothing", str(tmp_path))


def test_a_failed_trial_keeps_no_tensors(evaluator: TrainEvaluator) -> None:
    def convolutions() -> int:
        gc.collect()
        return sum(type(thing) is nn.Conv2d for thing in gc.get_objects())

    before = convolutions()
    wild = Recipe(epochs=9, optimizer="sgd", learning_rate=10, batch_norm=False)
    with pytest.raises(EvaluationError) as caught:
        run(evaluator, trial(0, recipe=wild))
    assert caught.value.__context__ is None  # no frame of the trial is reachable
    assert convolutions() == before


def test_threads_follow_the_cpus_of_a_trial(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        for cpus, threads in ((0.25, 1), (1, 1), (2.4, 2)):
            evaluator = TrainEvaluator("digits", str(tmp_path), cpus=cpus)
            run(evaluator, trial(recipe=Recipe(epochs=1, batch_size=1024)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_the_spec_says_how_to_evaluate(tmp_path: Path) -> None:
    spec = SearchSpec.model_validate(
        {
            "dataset": "digits",
            "space": {"family": "cnn_cell"},
            "strategy": {"name": "random"},
            "objectives": [{"metric": "val_accuracy"}],
            "final": {"data": "train+val"},
        }
    )
    reports = run(TrainEvaluator.for_search(spec, str(tmp_path)), trial(5, FINAL))
    assert "val_loss" not in reports[-1] and (tmp_path / "5.safetensors").exists()


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (InfeasibleError("cells", "cells 9 is too deep"), "infeasible", "cells 9 is too deep"),
        (NonFiniteError("epoch 3"), "non_finite", "NonFiniteError: epoch 3"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (torch.OutOfMemoryError("CUDA"), "out_of_memory", "OutOfMemoryError: CUDA"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "out_of_memory", "Runt"),
        (RuntimeError("shape\n  mismatch"), "error", "RuntimeError: shape mismatch"),
        (ValueError("x" * 9999), "error", "ValueError: xxx"),
    ],
)
def test_failures_have_a_kind_and_one_line(error: Exception, kind: str, message: str) -> None:
    failure = failure_of(error)
    assert failure.kind.value == kind
    assert failure.message.startswith(message)
    assert "\n" not in failure.message and len(failure.message) <= 500


OUT_OF_MEMORY = """
import json, resource, sys
from search.evaluation import EvaluationError
from search.evaluators.train import TrainEvaluator
from search.engine.stages.candidates import CANDIDATE
from search.trial import Candidate, Trial, TrialState

def run(number, candidate):
    trial = Trial(number, CANDIDATE, Candidate.from_json(candidate), TrialState.RUNNING)
    try:
        *_, last = evaluator.evaluate(trial)
        return last.metrics["val_accuracy"]
    except EvaluationError as error:
        return [error.failure.kind.value, error.failure.message]

evaluator = TrainEvaluator("digits", sys.argv[1], memory_limit_bytes=2**60)
small, big = json.loads(sys.stdin.read())
answers = [run(0, small)]
used = next(int(line.split()[1]) for line in open("/proc/self/status") if "VmSize" in line) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))
answers += [run(1, big), run(2, small)]
print(json.dumps(answers))
"""


@pytest.mark.slow
def test_a_worker_outlives_a_trial_that_runs_out_of_memory(tmp_path: Path) -> None:
    small = Candidate(architecture(), QUICK)
    big = Candidate(architecture(channels=256), Recipe(batch_size=1024))
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(tmp_path)],
        input=json.dumps([small.to_json(), big.to_json()]),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    first, failed, after = json.loads(done.stdout.splitlines()[-1])
    assert failed[0] == "out_of_memory", failed  # of torch, or of oneDNN
    assert "trial 1 failed" in done.stderr  # logged with its traceback
    assert after > 0.2 and after == pytest.approx(first)


def test_a_candidate_is_trained_once_a_fold_and_goes_on_from_all(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 255, (48, 8, 8), dtype=np.uint8)
    y = np.arange(48) % 10
    data = from_arrays("folded", x, y, x, y, folding=Folding(3))
    save(data, tmp_path / "data")
    stored = StoredDataset(str(tmp_path / "data"), sha256_of_file(tmp_path / "data"))
    whole = TrainEvaluator(stored, str(tmp_path / "checkpoints"), save_after=[1])
    reports = run(whole, trial())
    assert [report["epoch"] for report in reports] == [1, 2]
    for report in reports:
        assert report["val_accuracy_std"] >= 0 and "val_loss_std" in report
    again = TrainEvaluator(stored, str(tmp_path / "checkpoints"))
    assert scores(run(again, trial())) == scores(reports)  # the first is that of epoch 1, as left
    plain = replace(data, folds=(), fingerprint="plain")
    save(plain, tmp_path / "plain")
    single = StoredDataset(str(tmp_path / "plain"), sha256_of_file(tmp_path / "plain"))
    finals = [
        run(TrainEvaluator(of, str(tmp_path / name)), trial(7, FINAL))
        for name, of in (("one", stored), ("other", single))
    ]
    assert scores(finals[0]) == scores(finals[1])  # final models know nothing of folds
