"""Images as arrays of pixels: (N, H, W) or (N, H, W, C), uint8 or float."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Fold, Split, findings
from models.datasets.fingerprint import fingerprint
from models.datasets.preprocess import apply
from models.datasets.raw_files import FilesOf
from models.datasets.splits import Division, Folding, Indices, equal_samples, joined, stratified
from models.datasets.targets import LabelSet, Targets, matrix_of, targets_of
from models.remarks import Remark
from models.task import Task

Array = NDArray[Any]

MAX_PIXEL = 1e12
"""Beyond it the squares of many add up to more than a float32."""


def from_arrays(
    name: str,
    x: Array,
    y: Array,
    x_test: Array | None = None,
    y_test: Array | None = None,
    unlabelled: Array | None = None,
    *,
    labels: LabelSet | None = None,
    x_val: Array | None = None,
    y_val: Array | None = None,
    folding: Folding | None = None,
    files: FilesOf | None = None,
    groups: Indices | None = None,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """An image classification dataset, or with `labels` a multilabel one.

    What comes divided stays so: of validation and test, those that are not given are drawn from
    `x`, equal pictures into one split. Labels may be numbers or strings; classes are those of `y`
    in ascending order. The network takes (C, H, W), each channel with mean 0 and deviation 1 on
    the train split, to which `unlabelled` adds samples without a label. `files` are those of the
    pictures of `x_test`, or of `x` where that is not given. Samples of `x` of one of the `groups`
    stay in one split.

    Shapes:
        x, x_val, x_test, unlabelled: (N, H, W), or (N, H, W, C) with 1 to 4 channels
        y, y_val, y_test: (N,), or (N, labels) of 0 and 1
        groups: (N,) number of its group, from 0

    Raises:
        ValueError: shapes, types or values that make no such dataset, with the array at fault.
    """
    _check("x", x)
    _check_targets("y", y, len(x), labels)
    targets = targets_of(y, labels, "image_classification")
    arrays = {"x": x, "y": targets.y}
    given: dict[str, tuple[Array, Array]] = {}
    for part, part_x, part_y in (("val", x_val, y_val), ("test", x_test, y_test)):
        if (part_x is None) != (part_y is None):
            raise ValueError(f"x_{part} and y_{part} come together")
        if part_x is not None and part_y is not None:
            _check(f"x_{part}", part_x, x)
            _check_targets(f"y_{part}", part_y, len(part_x), labels)
            given[part] = part_x, _as_in_train(f"y_{part}", part_y, labels, targets)
            arrays |= {f"x_{part}": given[part][0], f"y_{part}": given[part][1]}
    shares = {"val": validation, "test": test}
    equal = equal_samples(x)
    groups = joined(equal, groups)
    drawn = [part for part in shares if part not in given]
    train, *sets = (
        stratified(targets.y, [shares[part] for part in drawn], seed, groups)
        if drawn
        else [np.arange(len(x))]
    )
    if drawn:  # the names are part of every fingerprint
        arrays["train"] = train
        arrays |= {_NAMES[part]: chosen for part, chosen in zip(drawn, sets, strict=True)}
    cuts: list[tuple[Indices, Indices]] = []
    if folding is not None:
        if unlabelled is not None:
            raise ValueError("validation cuts labelled samples anew, x_unlabelled has others")
        if "val" in given:
            raise ValueError("validation comes with the data, and folds would cut it anew")
        cuts = Division(folding=folding).cuts([train, sets[0]], seed, targets.y, groups)
        arrays |= {f"fold.{number}": chosen for number, (_, chosen) in enumerate(cuts)}
    parts = given | {
        part: (x[chosen], targets.y[chosen]) for part, chosen in zip(drawn, sets, strict=True)
    }
    raw_x, raw_y = parts["test"]
    tested = range(len(raw_x)) if "test" in given else sets[-1].tolist()
    whole = x[train]
    if unlabelled is not None:
        _check("x_unlabelled", unlabelled, x)
        whole = np.concatenate([whole, unlabelled])
        arrays["x_unlabelled"] = unlabelled
    preprocessing = {**_fit(whole), **targets.known}
    if files is None:
        preprocessing["input"]["range"] = [float(whole.min()), float(whole.max())]
    dataset = Dataset(
        name=name,
        task=Task(targets.task, _channels_first(x.shape[1:]), targets.outputs),
        train=_split(x[train], targets.y[train], preprocessing),
        validation=_split(parts["val"][0], parts["val"][1], preprocessing),
        test=_split(raw_x, raw_y, preprocessing),
        raw_test=Split(torch.tensor(raw_x), torch.tensor(raw_y)),
        preprocessing=preprocessing,
        raw_files=files and files(tested),
        fingerprint=fingerprint(arrays),
        unlabelled=None if unlabelled is None else _images(unlabelled, preprocessing),
        folds=tuple(_fold(x, targets, *cut) for cut in cuts),
    )
    return replace(dataset, remarks=tuple(_told(dataset, x, targets.y, equal, given, drawn, train)))


def _fold(x: Array, targets: Targets, train: Indices, validation: Indices) -> Fold:
    preprocessing = {**_fit(x[train]), **targets.known}
    parts = [_split(x[rows], targets.y[rows], preprocessing) for rows in (train, validation)]
    return Fold(parts[0], parts[1], preprocessing)


def _told(
    dataset: Dataset,
    x: Array,
    y: Array,
    groups: NDArray[np.int64] | None,
    given: Mapping[str, tuple[Array, NDArray[np.int64]]],
    drawn: Sequence[str],
    train: NDArray[np.int64],
) -> Iterator[Remark]:
    if given:
        whole = [x, *(part for part, _ in given.values())]
        parts = np.repeat([0, 1, 2][: len(whole)], list(map(len, whole)))
        groups = equal_samples(itertools.chain(*whole))
        yield from findings.of_equal_samples(groups, len(parts), "pictures", parts)
        y = np.concatenate([y, *(part for _, part in given.values())])
        names = [_NAMES[part] for part in drawn]
        sizes = [len(train), len(dataset.validation), len(dataset.test)]
        yield from findings.of_drawn_parts(names, sizes)
    else:
        yield from findings.of_equal_samples(groups, len(x), "pictures")
    yield from findings.of_contradictions(groups, y, "pictures")
    yield from findings.of_folds(dataset)
    yield from findings.of_samples(dataset)


_NAMES = {"val": "validation", "test": "test"}


def _check(x_name: str, x: Array, like: Array | None = None) -> None:
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] > 4) or 0 in x.shape:
        raise ValueError(f"{x_name} is (N, H, W) or (N, H, W, 1 to 4), got {x.shape}")
    if x.dtype not in (np.uint8, np.float32):
        raise ValueError(f"{x_name} is uint8 or float32, got {x.dtype}")
    if not np.isfinite(x).all():
        sample = int(np.argwhere(~np.isfinite(x))[0][0])
        raise ValueError(f"{x_name} has a value that is not finite, first in sample {sample}")
    if x.dtype != np.uint8 and np.abs(x).max() > MAX_PIXEL:
        raise ValueError(f"{x_name} has a pixel of {np.abs(x).max():g}, at most {MAX_PIXEL:g}")
    if like is not None and (x.shape[1:] != like.shape[1:] or x.dtype != like.dtype):
        raise ValueError(
            f"{x_name} has samples of {x.dtype} {x.shape[1:]}, x of {like.dtype} {like.shape[1:]}"
        )


def _check_targets(y_name: str, y: Array, samples: int, labels: LabelSet | None) -> None:
    if labels is not None:
        if len(y) != samples:
            raise ValueError(f"{y_name} has a row a sample, {samples}, got {len(y)}")
        return
    if y.shape != (samples,):
        raise ValueError(f"{y_name} is ({samples},), one label a sample, got {y.shape}")
    if y.dtype.kind not in "iuU":
        raise ValueError(f"{y_name} holds integers or strings, got {y.dtype}")


def _as_in_train(name: str, y: Array, labels: LabelSet | None, targets: Targets) -> Array:
    if labels is not None:
        return matrix_of(name, y, labels)
    classes = np.array(targets.known["classes"])
    if unknown := sorted(set(y.tolist()) - set(classes.tolist())):
        raise ValueError(f"{name} has classes that y has not: {unknown[:5]}")
    return np.searchsorted(classes, y).astype(np.int64)


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape) if len(shape) == 2 else (shape[2], *shape[:2])


def _fit(x: Array) -> dict[str, Any]:
    """Scale uint8 to 0..1, put channels first, standardise each channel; fitted on `x` alone."""
    steps: list[dict[str, Any]] = []
    if x.dtype == np.uint8:
        steps.append({"op": "scale", "factor": 1 / 255})
    if x.ndim == 3:
        steps.append({"op": "reshape", "shape": [1, *x.shape[1:]]})
    else:
        steps.append({"op": "permute", "order": [2, 0, 1]})
    preprocessing = {
        "input": {"shape": list(x.shape[1:]), "dtype": str(x.dtype)},
        "steps": steps,
    }
    scaled = apply(torch.from_numpy(x), preprocessing)
    variance, mean = torch.var_mean(scaled, dim=(0, 2, 3), correction=0)
    deviation = torch.where(variance > 0, variance.sqrt(), 1.0)
    steps.append({"op": "standardize", "mean": mean.tolist(), "std": deviation.tolist()})
    return preprocessing


def _split(x: Array, y: Array, preprocessing: dict[str, Any]) -> Split:
    return Split(_images(x, preprocessing), torch.tensor(y))


def _images(x: Array, preprocessing: dict[str, Any]) -> torch.Tensor:
    images = apply(torch.tensor(x), preprocessing)
    return images.contiguous(memory_format=torch.channels_last)
