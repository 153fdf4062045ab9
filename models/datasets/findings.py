"""What is noticed of samples and their targets when a dataset is made: told, not mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.datasets import Dataset
from models.datasets.inputs import Booleans, Input, Numbers
from models.datasets.spellings import similar
from models.datasets.splits import PARTS
from models.remarks import Remark, in_number

FEW_SAMPLES = 200
FOLDED = frozenset(
    {
        "tabular_classification",
        "tabular_regression",
        "image_classification",
        "sequence_classification",
        "text_classification",
    }
)
"""Tasks whose files take the option `validation`."""

RARE = 5
"""Samples of a class; fewer cannot be in every split with a meaning."""

IMBALANCE = 0.1
"""Share of the rarest class, times the number of classes; even classes have 1."""

TAILS = 0.1
"""Distance of the quartiles, in deviations, below which a few values count for too much; 1.35 where
values are normal.
"""

HEAVY_TAIL = 20.0
"""Kurtosis of values, from which on their tail is told: an exponential distribution has 9, of which
samples have up to twice as much.
"""

Array = NDArray[Any]


def of_samples(dataset: Dataset) -> Iterator[Remark]:
    """What the sizes of the splits and their classes say."""
    total = sum(dataset.sizes[name] for name in ("train", "validation", "test"))
    if total < FEW_SAMPLES:
        sizes = f"{len(dataset.validation)} for validation and {len(dataset.test)} for the test"
        message = f"{total} samples leave {sizes}: scores of so few are mostly chance"
        if dataset.task.name in FOLDED and not dataset.folds:
            message += '; the option validation, as {"folds": 5}, scores networks on more of them'
        yield Remark("few_samples", message, None, total)
    if (classes := dataset.preprocessing.get("classes")) is not None:
        yield from _of_classes(dataset, classes)
    if (labels := dataset.preprocessing.get("labels")) is not None:
        yield from _of_labels(dataset, labels)


def _of_classes(dataset: Dataset, classes: Sequence[Any]) -> Iterator[Remark]:
    counts = [np.bincount(y, minlength=len(classes)) for y in _targets(dataset)]
    whole = np.sum(counts, axis=0)
    rarest, most = int(whole.argmin()), int(whole.argmax())
    if whole.min() * len(classes) < IMBALANCE * whole.sum():
        message = (
            f"{whole[rarest] / whole.sum():.2%} of the samples are {classes[rarest]!r}, "
            f"{whole[most] / whole.sum():.2%} are {classes[most]!r}: accuracy says little here"
        )
        yield Remark("class_imbalance", message, str(classes[rarest]), int(whole[rarest]))
    yield from _of_rare(classes, counts)
    yield from similar(classes, whole.tolist())


def _of_labels(dataset: Dataset, labels: Sequence[str]) -> Iterator[Remark]:
    counts = [y.sum(axis=0) for y in _targets(dataset)]
    yield from _of_rare(labels, counts)
    yield from similar(labels, np.sum(counts, axis=0).tolist())
    samples = sum(map(len, _targets(dataset)))
    without = samples - np.sum(counts, axis=0)
    for index in np.flatnonzero(without < RARE)[:20]:
        message = f"all but {without[index]} of {samples} samples have {labels[index]!r}"
        yield Remark("common_label", message, labels[index], int(without[index]))


def _of_rare(names: Sequence[Any], counts: Sequence[Array]) -> Iterator[Remark]:
    """`counts`: of the samples of each class or label, by split."""
    whole = np.sum(counts, axis=0)
    lacking = np.any(np.equal(counts, 0), axis=0)
    for index in np.flatnonzero((whole < RARE) | lacking)[:20]:
        missing = [name for name, known in zip(_SPLITS, counts, strict=True) if not known[index]]
        nowhere = f", none of them in {' and '.join(missing)}" if missing else ""
        samples = in_number(int(whole[index]), "sample", "samples")
        message = f"{names[index]!r} has {samples}{nowhere}"
        code = "rare_class" if whole[index] < RARE else "class_missing_from_split"
        yield Remark(code, message, str(names[index]), int(whole[index]))


_SPLITS = ("train", "validation", "test")


def _targets(dataset: Dataset) -> list[Array]:
    return [getattr(dataset, name).y.numpy() for name in _SPLITS]


def of_values(targets: Mapping[str, Array]) -> Iterator[Remark]:
    """What the values to predict are like, before any of them is trained on.

    Shapes:
        targets: (N,) float64 each
    """
    for name, values in targets.items():
        deviation = values.std() or 1.0  # of values whose squares are none
        standardised = (values - values.mean()) / deviation
        if np.mean(standardised**4) >= HEAVY_TAIL:
            yield _of_tail(name, values)
        distinct, left = (len(np.unique(v)) for v in (values, standardised.astype(np.float32)))
        if left < 0.99 * distinct:
            message = (
                f"{name!r}: beside {_largest(values):g} as the largest, {distinct} different "
                f"values are {left} in float32; is the largest one no value, but missing?"
            )
            yield Remark("target_resolution", message, name, distinct - left)


def _of_tail(name: str, values: Array) -> Remark:
    """Values count as far where they are ten times as far from the median as half of them are.
    Where most are equal nothing is proposed: the absolute error is least at that value, whatever
    the inputs say.
    """
    median = np.median(values)
    distances = np.abs(values - median)
    if not np.median(distances) > 0:
        count = int((values == median).sum())
        message = f"{name!r}: {count} of {len(values)} values are {median:g}, others far from it"
        return Remark("mostly_one_value", message, name, count)
    far = distances > 10 * np.median(distances)
    share = np.square(distances[far]).sum() / np.square(distances).sum()
    message = (
        f"{name!r}: {far.sum()} of {len(values)} values are far from the rest, up to "
        f"{_largest(values):g} where the median is {median:g}, and {share:.0%} of the squared "
        "errors of a constant are theirs. A search that leaves them open decides training.loss "
        "and training.target_transform, by val_mae; are these values right?"
    )
    return Remark("heavy_tail", message, name, int(far.sum()))


def _largest(values: Array) -> float:
    """By its size."""
    return float(values[np.abs(values).argmax()])


def of_equal_samples(
    groups: NDArray[np.int64] | None,
    count: int,
    what: str,
    parts: NDArray[np.int64] | None = None,
) -> Iterator[Remark]:
    """`groups`: the number of each sample's group, None where all differ. `parts`: as
    `splits.Division` has them, where a division comes with the data.
    """
    if groups is None:
        return
    copies = count - len(np.unique(groups))
    message = f"{copies} of {count} {what} are equal to an earlier one"
    if parts is None:
        yield Remark("duplicates", f"{message}; equals are in one split", None, copies)
        return
    yield Remark("duplicates", message, None, copies)
    scored = parts > 0
    if seen := int(np.isin(groups[scored], groups[parts == 0]).sum()):
        message = (
            f"{seen} of {int(scored.sum())} {what} of the given validation and test are equal to "
            "one of train: scores are better than on new data"
        )
        yield Remark("equal_across_splits", message, None, seen)


def of_contradictions(groups: NDArray[np.int64] | None, y: Array, what: str) -> Iterator[Remark]:
    """Equal samples of different classes, labels or values. `groups`: as of `of_equal_samples`.

    Shapes:
        y: (N,) or (N, labels)
    """
    if groups is None:
        return
    classes = np.unique(y, axis=0, return_inverse=True)[1].reshape(-1)
    kinds = int(classes.max()) + 1
    pairs = np.unique(groups * kinds + classes)
    if count := int((np.bincount(pairs // kinds)[groups] > 1).sum()):
        message = (
            f"{count} of {len(groups)} {what} are equal to one with another target: no network "
            "tells them apart"
        )
        yield Remark("contradictions", message, None, count)


def of_folds(dataset: Dataset) -> Iterator[Remark]:
    """That a trial is several trainings."""
    if count := len(dataset.folds):
        pool = len(dataset.train) + len(dataset.validation)
        message = (
            f"a trial trains {count} networks, one a fold of the {pool} samples of train and "
            "validation, and its scores are their means; it counts once, and so do its epochs"
        )
        yield Remark("validation_folds", message, None, count)


def of_drawn_parts(drawn: Sequence[str], sizes: Sequence[int]) -> Iterator[Remark]:
    """Which parts of a divided dataset did not come with it. `sizes`: of each of `splits.PARTS`."""
    train = sizes[0] + sum(sizes[PARTS.index(name)] for name in drawn)
    for name in drawn:
        taken = sizes[PARTS.index(name)]
        message = f"the data have no {name}: {taken} of {train} samples of train are drawn for it"
        yield Remark(f"{name}_from_train", message, None, taken)


def of_tails(inputs: Mapping[str, Input]) -> Iterator[Remark]:
    """Numbers of which a few are so far from the rest that, standardised, the rest look alike."""
    for name, entry in inputs.items():
        if not isinstance(entry, Numbers) or isinstance(entry, Booleans):
            continue
        values = entry.values[np.isfinite(entry.values)]
        low, high = np.percentile(values, [25, 75]) if len(values) else (0.0, 0.0)
        share = (high - low) / deviation if (deviation := float(values.std())) else 1.0
        if 0 < share < TAILS:
            message = (
                f"half of {name!r} lies within {share:.2g} of its deviation, as some values are "
                'far from all others; the training setting "input_transform": "quantile" takes '
                "them by their rank"
            )
            yield Remark("heavy_tailed_column", message, name)
