from __future__ import annotations

import gc
import math
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.datasets import Dataset, Split, datasets
from models.datasets.images import from_arrays
from models.recipe import Recipe
from models.task import Task
from models.training.metrics import metric_names
from models.training.state import load_state, save_state
from models.training.trainer import NonFiniteError, Training, evaluate, train


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets["digits"].load()


@pytest.fixture(scope="module")
def colours() -> Dataset:
    """64 train, 16 validation and 16 test images of 3x8x8 in 4 classes, told by their mean."""
    rng = np.random.default_rng(0)
    y = np.arange(96) % 4
    x = rng.normal(size=(96, 8, 8, 3)) + y[:, None, None, None]
    return from_arrays("colours", x.astype(np.float32), y, validation=1 / 6, test=1 / 6)


def cnn(channels: int = 1, classes: int = 10, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, classes),
    )


def smooth(channels: int = 3, classes: int = 4) -> nn.Sequential:
    """No batch statistics, no dropout, no kinks: for comparing with a plain loop."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 36, classes)
    )


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def plain_loop(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    steps: int,
    penalty: Callable[[nn.Module], Tensor] | None = None,
    clip: float = 0.0,
    smoothing: float = 0.0,
) -> list[float]:
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        loss = F.cross_entropy(network(x), y, label_smoothing=smoothing)
        losses.append(loss.item())
        total = loss if penalty is None else loss + penalty(network)
        optimizer.zero_grad()
        total.backward()
        if clip:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
    return losses


def kernels(network: nn.Module) -> list[Tensor]:
    return [network[0].weight, network[3].weight]


PLAIN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "momentum": ({}, {}),
    "penalties": (
        {"l1": 0.01, "l2": 0.1},
        {
            "penalty": lambda net: sum(
                0.01 * w.abs().sum() + 0.1 / 2 * w.square().sum() for w in kernels(net)
            )
        },
    ),
    "clipped penalties": (
        {"l2": 1.0, "clip_norm": 0.05},
        {"penalty": lambda net: sum(w.square().sum() for w in kernels(net)) / 2, "clip": 0.05},
    ),
    "label smoothing": ({"label_smoothing": 0.2}, {"smoothing": 0.2}),
}


@pytest.mark.parametrize("case", PLAIN)
def test_a_full_batch_run_is_the_plain_loop(colours: Dataset, case: str) -> None:
    settings, plain = PLAIN[case]
    recipe = Recipe(epochs=6, batch_size=64, learning_rate=0.1, **settings)
    network, reference = smooth(), smooth()
    epochs = list(train(network, colours, recipe, seed=0))
    losses = plain_loop(
        reference,
        colours.train.x,
        colours.train.y,
        optimizer=torch.optim.SGD(reference.parameters(), lr=1.0, momentum=0.9),
        rate=lambda t: 0.1 * (1 + math.cos(math.pi * t / 6)) / 2,
        steps=6,
        **plain,
    )
    assert [epoch["train_loss"] for epoch in epochs] == pytest.approx(losses, rel=1e-5)
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_weight_decay_is_that_of_torchs_adamw_on_the_weights(colours: Dataset) -> None:
    recipe = Recipe(
        epochs=5,
        batch_size=64,
        optimizer="adam",
        learning_rate=0.01,
        schedule="constant",
        weight_decay=0.5,
    )
    network, reference = smooth(), smooth()
    list(train(network, colours, recipe, seed=0))
    biases = [reference[0].bias, reference[3].bias]
    plain_loop(
        reference,
        colours.train.x,
        colours.train.y,
        optimizer=torch.optim.AdamW(
            [
                {"params": kernels(reference), "weight_decay": 0.5},
                {"params": biases, "weight_decay": 0.0},
            ]
        ),
        rate=lambda t: 0.01,
        steps=5,
    )
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_train_and_validation_together_are_one_split_without_held_out_metrics(
    colours: Dataset,
) -> None:
    recipe = Recipe(epochs=4, batch_size=128, learning_rate=0.1, early_stopping=1)
    network, reference = smooth(), smooth()
    epochs = list(train(network, colours, recipe, seed=0, data="train+val"))
    assert len(epochs) == 4
    assert not any(name.startswith("val_") for name in epochs[-1])
    plain_loop(
        reference,
        torch.cat([colours.train.x, colours.validation.x]),
        torch.cat([colours.train.y, colours.validation.y]),
        optimizer=torch.optim.SGD(reference.parameters(), lr=1.0, momentum=0.9),
        rate=lambda t: 0.1 * (1 + math.cos(math.pi * t / 4)) / 2,
        steps=4,
    )
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="keep_best needs validation data"):
        next(train(network, colours, recipe, seed=0, data="train+val", keep_best=True))


AUGMENTED = Recipe(epochs=3, learning_rate=0.02, augmentation="shift_flip", dropout=0.2)


def test_the_same_seed_gives_the_same_curve_and_weights_bit_for_bit(digits: Dataset) -> None:
    runs = []
    for seed, disturb in ((5, False), (5, True), (6, False)):
        network, curve = cnn(), []
        for metrics in train(network, digits, AUGMENTED, seed=seed):
            curve.append(metrics)
            if disturb:  # what the caller draws between two epochs does not matter
                torch.rand(3)
        runs.append((curve, state(network)))
    assert runs[0][0] == runs[1][0] and same(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_the_global_generator_is_left_as_it_was(digits: Dataset) -> None:
    network = cnn()
    before = torch.get_rng_state()
    list(train(network, digits, AUGMENTED, seed=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_epoch_reports_task_metrics_and_gradient_health(digits: Dataset) -> None:
    epochs = list(train(cnn(), digits, Recipe(epochs=2), seed=0))
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert set(epochs[0]) == {
        "epoch",
        "train_loss",
        "val_accuracy",
        "val_loss",
        "val_f1",
        "val_auc",
        "val_balanced_accuracy",
        "val_average_precision",
        "gradient_norm_first",
        "gradient_norm_last",
        "gradient_nonfinite_share",
    }
    for epoch in epochs:
        assert epoch["gradient_norm_first"] > 0 and epoch["gradient_norm_last"] > 0
        assert epoch["gradient_nonfinite_share"] == 0


def test_gradient_health_is_of_the_last_step(colours: Dataset) -> None:
    network, reference = smooth(), smooth()
    metrics = next(train(network, colours, Recipe(epochs=1, batch_size=64), seed=0))
    F.cross_entropy(reference(colours.train.x), colours.train.y).backward()
    for name, weight in zip(("first", "last"), kernels(reference), strict=True):
        assert weight.grad is not None
        expected = pytest.approx(weight.grad.norm().item(), rel=1e-4)
        assert metrics[f"gradient_norm_{name}"] == expected


def test_the_last_yield_describes_the_weights(digits: Dataset) -> None:
    network = cnn()
    *_, last = train(network, digits, Recipe(epochs=2), seed=0)
    found = evaluate(network, digits.validation, digits.task, "val")
    assert found == {name: last[name] for name in found}


def overfitting(dataset: Dataset) -> Dataset:
    """The same with half of the validation labels wrong: the loss there soon rises."""
    y = dataset.validation.y.clone()
    y[::2] = (y[::2] + 1) % dataset.task.outputs
    return Dataset(
        dataset.name,
        dataset.task,
        dataset.train,
        Split(dataset.validation.x, y),
        dataset.test,
        dataset.raw_test,
        dataset.preprocessing,
        dataset.fingerprint,
    )


def test_early_stopping_waits_its_patience_and_restores_the_best_weights(digits: Dataset) -> None:
    data = overfitting(digits)
    recipe = Recipe(epochs=40, learning_rate=0.05, schedule="constant", early_stopping=3)
    network, free = cnn(), cnn()
    epochs = list(train(network, data, recipe, seed=0))
    curve = list(train(free, data, recipe.model_copy(update={"early_stopping": 0}), seed=0))
    losses = [epoch["val_loss"] for epoch in curve]
    stop = next(
        number for number in range(4, 41) if min(losses[:number]) == min(losses[: number - 3])
    )
    best = losses.index(min(losses[:stop]))
    assert len(epochs) == stop == best + 1 + 3 < 40
    assert [epoch["val_loss"] for epoch in epochs[:-1]] == losses[: stop - 1]
    assert epochs[-1] == curve[best] | {"epoch": stop, "best_epoch": best + 1}
    found = evaluate(network, data.validation, data.task, "val")
    assert found == {name: epochs[-1][name] for name in found}


def test_keep_best_runs_to_the_end_and_holds_the_best_weights(digits: Dataset) -> None:
    data = overfitting(digits)
    recipe = Recipe(epochs=8, schedule="constant")
    network = cnn()
    curve = [epoch["val_loss"] for epoch in train(cnn(), data, recipe, seed=0)]
    epochs = list(train(network, data, recipe, seed=0, keep_best=True))
    best = curve.index(min(curve))
    assert len(epochs) == 8 and best < 7
    assert [epoch["best_epoch"] for epoch in epochs][-1] == best + 1
    assert epochs[-1]["epoch"] == 8 and epochs[-1]["val_loss"] == curve[best]
    found = evaluate(network, data.validation, data.task, "val")
    assert found["val_loss"] == curve[best]


def test_keep_best_of_a_run_that_only_improves_is_the_plain_run(digits: Dataset) -> None:
    kept, plain = cnn(), cnn()
    recipe = Recipe(epochs=2, learning_rate=0.01)
    list(train(kept, digits, recipe, seed=0, keep_best=True))
    list(train(plain, digits, recipe, seed=0))
    assert same(state(kept), state(plain))


def test_an_exploding_run_is_reported_by_name(colours: Dataset) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 64), nn.Linear(64, 64), nn.Linear(64, 4))
    recipe = Recipe(epochs=50, batch_size=64, learning_rate=10.0, schedule="constant")
    pattern = (
        r"exploded in epoch (\d+): (training|validation) loss is (inf|nan); "
        r"last finite gradient norm \S+ in epoch \d+"
    )
    with pytest.raises(NonFiniteError, match=pattern):
        list(train(network, colours, recipe, seed=0))


def test_a_run_that_is_not_finite_from_the_start_says_so(colours: Dataset) -> None:
    network = smooth()
    nn.init.constant_(network[0].weight, math.nan)
    with pytest.raises(NonFiniteError, match="epoch 1: training loss is nan; no finite gradient"):
        list(train(network, colours, Recipe(), seed=0))


def test_a_vanishing_run_is_reported_by_name(
    digits: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    sigmoids = [layer for _ in range(12) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), *sigmoids, nn.Linear(16, 10))
    list(train(network, digits, Recipe(epochs=1), seed=0))
    assert "after epoch 1 the run is vanishing: gradient norm" in caplog.text
    caplog.clear()
    list(train(cnn(), digits, Recipe(epochs=1), seed=0))
    assert caplog.text == ""


class Spy(nn.Module):
    """Keeps what it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.append(x.detach().clone())
        return x


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(9, [8] * 8), (16, [16] * 4), (63, [32, 32]), (64, [64]), (1000, [64]), (15, [13] * 4 + [12])],
)
def test_an_epoch_sees_every_sample_once_in_batches_of_nearly_equal_size(
    colours: Dataset, batch_size: int, sizes: list[int]
) -> None:
    spy = Spy()
    network = nn.Sequential(spy, smooth())
    recipe = Recipe(epochs=2, batch_size=batch_size, learning_rate=1e-3)
    list(train(network, colours, recipe, seed=0))
    for epoch in (spy.seen[: len(sizes)], spy.seen[len(sizes) :]):
        assert [len(batch) for batch in epoch] == sizes
        assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch in epoch)
        order = torch.cat(epoch).flatten(1).sum(dim=1).sort().values
        expected = colours.train.x.flatten(1).sum(dim=1).sort().values
        torch.testing.assert_close(order, expected)
    assert not torch.equal(torch.cat(spy.seen[: len(sizes)]), torch.cat(spy.seen[len(sizes) :]))


def test_one_sample_more_than_a_batch_does_not_break_batch_norm(colours: Dataset) -> None:
    """Batch normalisation after flattening cannot take a batch of one."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    list(train(network, colours, Recipe(epochs=1, batch_size=63), seed=0))


def test_samples_that_are_not_images_train_too(digits: Dataset) -> None:
    def flat(split: Split) -> Split:
        return Split(split.x.flatten(1), split.y)

    splits = [flat(split) for split in (digits.train, digits.validation, digits.test)]
    task = Task("image_classification", (64,), 10)
    data = Dataset("flat", task, *splits, digits.raw_test, digits.preprocessing, "")
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    *_, last = train(network, data, Recipe(), seed=0)
    assert last["val_accuracy"] > 0.9
    with pytest.raises(ValueError, match=r"'shift' needs images, a sample here has shape \(64,\)"):
        next(train(network, data, Recipe(augmentation="shift"), seed=0))


def test_the_default_recipe_trains_a_small_network_well(digits: Dataset) -> None:
    """8 epochs, 2 s; scikit-learn's SVC has 0.983 here."""
    network = cnn()
    list(train(network, digits, Recipe(), seed=0))
    assert evaluate(network, digits.test, digits.task, "test")["test_accuracy"] > 0.96


def test_bfloat16_trains_float32_weights_to_a_close_score(digits: Dataset) -> None:
    half, full = cnn(), cnn()
    recipe = Recipe(epochs=4, precision="bfloat16")
    *_, first = train(half, digits, recipe, seed=0)
    *_, second = train(full, digits, recipe.model_copy(update={"precision": "float32"}), seed=0)
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    assert not same(state(half), state(full))
    assert first["val_accuracy"] == pytest.approx(second["val_accuracy"], abs=0.03)


def test_the_weights_leave_contiguous_however_the_run_ends(digits: Dataset) -> None:
    for epochs in (1, 5):
        network = cnn()
        run = train(network, digits, Recipe(epochs=epochs), seed=0)
        next(run)
        run.close()
        assert all(p.is_contiguous() for p in network.parameters())


def test_evaluation_does_not_depend_on_the_batch_size_or_change_the_network(
    digits: Dataset,
) -> None:
    network = cnn()
    before = state(network)
    network.train()
    expected = evaluate(network, digits.test, digits.task, "test")
    assert set(expected) == {f"test_{name}" for name in metric_names(digits.task.name)}
    for size in (1, 7, 359, 10_000):
        found = evaluate(network, digits.test, digits.task, "test", batch_size=size)
        assert found == pytest.approx(expected, rel=1e-6)
    assert network.training and same(before, state(network))
    with torch.no_grad():
        outputs = network.eval()(digits.test.x)
    expected_loss = F.cross_entropy(outputs, digits.test.y).item()
    assert expected["test_loss"] == pytest.approx(expected_loss, rel=1e-5)
    hits = (outputs.argmax(1) == digits.test.y).double().mean().item()
    assert expected["test_accuracy"] == pytest.approx(hits)


def test_an_empty_split_has_no_score(digits: Dataset) -> None:
    empty = Split(digits.test.x[:0], digits.test.y[:0])
    with pytest.raises(ValueError, match="cannot score an empty split"):
        evaluate(cnn(), empty, digits.task, "test")


@pytest.mark.slow
def test_trainings_one_after_another_do_not_keep_memory(digits: Dataset) -> None:
    """A training of this network holds about 20 MB; a leak of one in each would show at once."""
    process, resident = psutil.Process(), []
    for seed in range(12):
        list(train(cnn(seed=seed), digits, Recipe(epochs=2, optimizer="adam"), seed=seed))
        gc.collect()
        resident.append(process.memory_info().rss / 2**20)
    growth = [later - earlier for earlier, later in pairwise(resident[3:])]
    assert sum(growth) < 16, resident


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_trains_as_well_and_alike_from_the_same_seed(digits: Dataset, precision: Any) -> None:
    recipe = Recipe(
        precision=precision, augmentation="shift", l1=1e-5, clip_norm=5.0, early_stopping=8
    )
    runs = []
    for _ in range(2):
        network = cnn()
        before = torch.cuda.get_rng_state()
        *_, last = train(network, digits, recipe, seed=0, device="cuda")
        assert torch.equal(torch.cuda.get_rng_state(), before)
        assert next(network.parameters()).is_cuda
        runs.append(last)
    assert runs[0] == pytest.approx(runs[1], rel=0.1, abs=0.05)
    on_gpu = evaluate(network, digits.test, digits.task, "test")
    on_cpu = evaluate(network.to("cpu"), digits.test, digits.task, "test")
    assert on_gpu["test_accuracy"] > 0.95
    assert on_gpu == pytest.approx(on_cpu, abs=0.01)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "optimizer", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
)
def test_every_optimizer_moves_the_same_way_on_a_gpu(colours: Dataset, optimizer: Any) -> None:
    recipe = Recipe(
        epochs=3, batch_size=64, optimizer=optimizer, learning_rate=1e-3, weight_decay=0.1, l2=0.1
    )
    networks = {device: smooth() for device in ("cpu", "cuda")}
    for device, network in networks.items():
        list(train(network, colours, recipe, seed=0, device=device))
    for ours, theirs in zip(
        networks["cpu"].parameters(), networks["cuda"].parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs.cpu(), rtol=0.01, atol=3e-3)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"clip_norm": 0.1, "label_smoothing": 0.1},
        {"class_weight": "balanced", "optimizer": "adam"},
        {"l2": 0.1, "weight_decay": 0.1},
    ],
)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_steps_in_parts_are_the_same_steps(
    colours: Dataset, choices: dict[str, Any], device: str
) -> None:
    recipe = Recipe.model_validate({"epochs": 2, "batch_size": 24, "learning_rate": 0.01} | choices)
    whole, parted = smooth(), smooth()
    expected = list(Training(whole, colours, recipe, seed=0, device=device).epochs())
    training = Training(parted, colours, recipe, seed=0, device=device, micro_batches=3)
    found = list(training.epochs())
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    for part, as_one in zip(parted.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(part, as_one, rtol=1e-4, atol=1e-5)


def test_a_part_of_a_step_is_never_a_single_sample(colours: Dataset) -> None:
    """One sample has no variance: batch normalisation of a vector refuses it."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 4), nn.BatchNorm1d(4, track_running_stats=False)
    )
    recipe = Recipe(epochs=1, batch_size=5)
    (last,) = Training(network, colours, recipe, seed=0, micro_batches=4).epochs()
    assert math.isfinite(last["train_loss"])


INTERRUPTED: dict[str, dict[str, Any]] = {
    "momentum": {"augmentation": "shift_flip", "label_smoothing": 0.1},
    "nesterov": {"weight_decay": 0.01, "schedule": "one_cycle"},
    "adagrad": {"l1": 0.001},
    "rmsprop": {"clip_norm": 0.5, "initialization": "orthogonal"},
    "adam": {"precision": "bfloat16", "schedule": "warmup_cosine"},
    "sgd": {"early_stopping": 2, "learning_rate": 2.0},
}


@pytest.mark.parametrize("optimizer", INTERRUPTED)
def test_a_run_goes_on_from_its_state_as_if_it_had_not_been_interrupted(
    colours: Dataset, tmp_path: Path, optimizer: str
) -> None:
    recipe = Recipe.model_validate(
        {"epochs": 5, "batch_size": 24, "optimizer": optimizer, "dropout": 0.2}
        | INTERRUPTED[optimizer]
    )
    network = cnn(3, 4)
    whole = list(train(network, colours, recipe, seed=3))
    for left_after in (1, len(whole) - 1):
        first = Training(cnn(3, 4), colours, recipe, seed=3)
        before = list(islice(first.epochs(), left_after))
        save_state(f"{tmp_path}/state", first.state(), {"trial": 7})
        start, extra = load_state(f"{tmp_path}/state")
        other = cnn(3, 4, seed=1)
        torch.rand(3)
        after = list(Training(other, colours, recipe, seed=3, start=start).epochs())
        assert before + after == whole and len(after) == len(whole) - left_after
        assert same(state(other), state(network)) and extra == {"trial": 7}


def test_a_run_that_was_over_goes_on_with_nothing(colours: Dataset) -> None:
    recipe = Recipe(epochs=9, early_stopping=1, optimizer="sgd", learning_rate=5.0)
    training = Training(cnn(3, 4), colours, recipe, seed=0)
    assert len(list(training.epochs())) < 9
    again = Training(cnn(3, 4), colours, recipe, seed=0, start=training.state())
    assert list(again.epochs()) == []
