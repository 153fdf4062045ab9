from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss

from models.registry import UnknownNameError
from models.task import TASK_NAMES
from models.training.metrics import default_metric, metric_names, scores


def test_image_classification_names_its_metrics_and_its_default() -> None:
    assert metric_names("image_classification") == ("accuracy", "loss", "f1")
    assert default_metric("image_classification") == ("accuracy", "maximize")


@pytest.mark.parametrize("name", scores)
def test_every_score_is_of_a_task_and_names_what_it_computes(name: str) -> None:
    assert name in TASK_NAMES
    score = scores[name](3, torch.device("cpu"))
    score.update(torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1]))
    assert set(score.compute()) == set(metric_names(name)) >= {"loss"}
    assert default_metric(name)[0] in metric_names(name)
    assert set(scores[name].goals.values()) <= {"maximize", "minimize"}


def test_an_unknown_task_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'painting', known are image_cl"):
        metric_names("painting")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(2, 7), st.integers())
def test_metrics_are_those_of_scikit_learn_however_the_data_is_cut(
    sizes: list[int], classes: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed % 2**31)
    score = scores["image_classification"](classes, torch.device("cpu"))
    logits = [torch.randn(size, classes, generator=generator) for size in sizes]
    targets = [torch.randint(classes, (size,), generator=generator) for size in sizes]
    for outputs, y in zip(logits, targets, strict=True):
        score.update(outputs, y)
    outputs, y = torch.cat(logits), torch.cat(targets)
    probabilities = outputs.double().softmax(dim=1)
    assert score.compute() == {
        "accuracy": pytest.approx(accuracy_score(y, outputs.argmax(1)), abs=1e-12),
        "f1": pytest.approx(f1_score(y, outputs.argmax(1), average="macro"), abs=1e-12),
        "loss": pytest.approx(
            log_loss(y, probabilities, labels=list(range(classes))), rel=1e-5, abs=1e-6
        ),
    }


def test_a_non_finite_output_is_not_hidden() -> None:
    score = scores["image_classification"](2, torch.device("cpu"))
    score.update(torch.tensor([[float("nan"), 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    assert score.compute()["loss"] != score.compute()["loss"]
