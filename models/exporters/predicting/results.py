"""What the outputs of a network say, for people: names of columns, and a row a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

Rows = Iterable[tuple[Any, ...]]


def results_of(
    outputs: Tensor, model: Any, preprocessing: Mapping[str, Any]
) -> tuple[list[str], Rows]:
    """Of a sample, or of a step of a forecast, each. `model` is the module of the network.

    Shapes:
        outputs: (N, classes), or (N, outputs)
    """
    if "classes" in preprocessing:
        return classes_of(outputs, model, preprocessing)
    if "labels" in preprocessing:
        return labels_of(outputs, model, preprocessing)
    if "target" in preprocessing:
        return values_of(outputs, model, preprocessing["target"])
    return [f"output_{place}" for place in range(outputs.shape[1])], map(tuple, outputs.tolist())


def classes_of(
    outputs: Tensor, model: Any, preprocessing: Mapping[str, Any]
) -> tuple[list[str], Rows]:
    classes, decision = preprocessing["classes"], preprocessing["decision"]
    names = ["label", *(f"probability_{name}" for name in classes)]
    labels = [classes[place] for place in model.decided(outputs, decision["offsets"]).tolist()]
    shares = model.probabilities(outputs, decision).T.tolist()
    return names, zip(labels, *shares, strict=True)


def labels_of(
    outputs: Tensor, model: Any, preprocessing: Mapping[str, Any]
) -> tuple[list[str], Rows]:
    """Any number of labels a sample."""
    known, sign = preprocessing["labels"], preprocessing["labels_separator"]
    names, decision = (
        ["label", *(f"probability_{name}" for name in known)],
        preprocessing["decision"],
    )
    said = model.labels_said(outputs, decision["offsets"]).tolist()
    labels = [
        sign.join(name for name, is_said in zip(known, row, strict=True) if is_said) for row in said
    ]
    shares = model.label_probabilities(outputs, decision).T.tolist()
    return names, zip(labels, *shares, strict=True)


def values_of(outputs: Tensor, model: Any, target: Mapping[str, Any]) -> tuple[list[str], Rows]:
    names = target["names"]
    own = model.own_values(outputs, target).reshape(len(outputs), -1, len(names))
    if "horizon" not in target:
        return names, map(tuple, own.flatten(0, 1).tolist())
    steps = ((step, *row) for rows in own.tolist() for step, row in enumerate(rows, 1))
    return ["step", *names], steps
