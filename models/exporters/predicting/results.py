"""What the outputs of a network say, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def results_of(
    outputs: Tensor, model: Any, preprocessing: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """A mapping a sample, or a step of a forecast. `model` is the module of the network.

    Shapes:
        outputs: (N, classes), or (N, outputs)
    """
    if "classes" in preprocessing:
        return classes_of(outputs, model, preprocessing)
    if "labels" in preprocessing:
        return labels_of(outputs, model, preprocessing)
    if "target" in preprocessing:
        return values_of(outputs, model, preprocessing["target"])
    rows = outputs.tolist()
    return ({f"output_{place}": value for place, value in enumerate(row)} for row in rows)


def classes_of(
    outputs: Tensor, model: Any, preprocessing: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    classes, decision = preprocessing["classes"], preprocessing["decision"]
    names = ["label", *(f"probability_{name}" for name in classes)]
    labels = [classes[place] for place in model.decided(outputs, decision["offsets"]).tolist()]
    for label, row in zip(labels, model.probabilities(outputs, decision).tolist(), strict=True):
        yield dict(zip(names, (label, *row), strict=True))


def labels_of(
    outputs: Tensor, model: Any, preprocessing: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Any number of labels a sample."""
    known, sign = preprocessing["labels"], preprocessing["labels_separator"]
    names = [f"probability_{name}" for name in known]
    said = model.labels_said(outputs, preprocessing["decision"]["offsets"]).tolist()
    for row, has in zip(outputs.double().sigmoid().tolist(), said, strict=True):
        found = [name for name, is_said in zip(known, has, strict=True) if is_said]
        yield {"label": sign.join(found), **dict(zip(names, row, strict=True))}


def values_of(outputs: Tensor, model: Any, target: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = target["names"]
    own = model.own_values(outputs, target).reshape(len(outputs), -1, len(names))
    for steps in own.tolist():
        for step, row in enumerate(steps, 1):
            values = dict(zip(names, row, strict=True))
            yield {"step": step, **values} if "horizon" in target else values
