"""Series in time: windows of a multivariate series to forecast from, and labelled sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, Fold, Split, findings
from models.datasets.fingerprint import fingerprint
from models.datasets.npz import npz_of
from models.datasets.preprocess import apply
from models.datasets.raw_files import RawFiles
from models.datasets.splits import PARTS, Division, Folding, equal_samples, ordered
from models.datasets.statistics import moments
from models.datasets.steps import leads
from models.remarks import Remark
from models.task import Task

LARGEST = 3e38
"""Of a number of a sequence, as of a table: what float32 holds."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Where the windows of each split begin, and what is left out.

    train_rows: the rows of the train split, of all series.
    sizes: rows of each split.
    crossing: windows with a gap, or a row that cannot be read.
    short: the series, by their place, that have no window in one of the splits.
    """

    starts: tuple[Rows, Rows, Rows]
    train_rows: Rows
    sizes: tuple[int, int, int]
    crossing: int = 0
    short: tuple[int, ...] = ()


def windows_of(
    lengths: Sequence[int],
    follows: NDArray[np.bool_],
    *,
    window: int,
    horizon: int,
    validation: float,
    test: float,
    ends: Sequence[int] | None = None,
) -> Windows:
    """Each series is split by time; its windows lie in it, and cross no gap.

    lengths: rows of each series; they stand one after the other.
    follows: whether a row is the step after the row before.
    ends: how many rows of each series are in a split; the others are to forecast.

    Raises:
        ValueError: the only series is too short for three splits.
    """
    reach, breaks = window + horizon, np.cumsum(~follows)
    found: list[list[Rows]] = []
    rows, short, crossing, offset = [], [], 0, 0
    for place, (length, end) in enumerate(zip(lengths, ends or lengths, strict=True)):
        starts, lost = [], 0
        try:
            blocks = ordered(end, (validation, test))
        except ValueError:
            if len(lengths) == 1:
                raise
            blocks = []
        for block in blocks:
            first = max(int(block[0]), window)  # of the rows to forecast
            begins = offset + np.arange(first - window, int(block[-1]) + 2 - reach)
            whole = begins[breaks[begins + reach - 1] == breaks[begins]]
            lost += len(begins) - len(whole)
            starts.append(whole)
        crossing += lost
        if len(lengths) > 1 and not (starts and all(map(len, starts))):
            short.append(place)
        else:
            found.append(starts)
            rows.append([block + offset for block in blocks])
        offset += length
    none: Rows = np.zeros(0, dtype=np.int64)
    train, val, held_out = (
        np.concatenate([none, *(starts[split] for starts in found)]) for split in range(3)
    )
    sizes = [sum(len(blocks[split]) for blocks in rows) for split in range(3)]
    return Windows(
        (train, val, held_out),
        np.concatenate([none, *(blocks[0] for blocks in rows)]),
        (sizes[0], sizes[1], sizes[2]),
        crossing,
        tuple(short),
    )


def forecasting(
    name: str,
    values: NDArray[np.float64],
    names: Sequence[str],
    targets: Sequence[str],
    *,
    window: int,
    horizon: int,
    validation: float = 0.2,
    test: float = 0.2,
    lengths: Sequence[int] | None = None,
    ends: Sequence[int] | None = None,
    follows: NDArray[np.bool_] | None = None,
    known: Sequence[str] = (),
    cycles: Sequence[str] = (),
    calendar: NDArray[np.float64] | None = None,
) -> Dataset:
    """Windows of a series and what comes after them, split by time: the last rows are the test.

    The values to forecast of a split lie in that split; a window may reach back into the one
    before, as it would in use. Every column is standardised by the train rows alone.

    lengths: rows of each series, where there are several, one after the other.
    ends: as of `windows_of`.
    follows: whether a row is the step after the row before; no window crosses a row that is not.
    known: columns whose values of the steps to forecast are known. A window has them, and the
        calendar, once more, `leads` steps ahead: so it holds those of the whole horizon.
    cycles: what the columns of `calendar` are, sine and cosine of each (`steps.calendar_of`).

    Shapes:
        values: (T, series), NaN in rows that are in no window; follows: (T,)
        calendar: (T, 2 * cycles)
        x: (N, window, channels), the series, the calendar, and for each lead those that are known
        y: (N, horizon * targets), the targets of one time step together
    Raises:
        ValueError: too few rows for a window and its horizon in each split.
    """
    lengths = [len(values)] if lengths is None else list(lengths)
    is_whole = follows is None or (len(lengths) == 1 and bool(follows[1:].all()))
    follows = np.ones(len(values), dtype=bool) if follows is None else follows
    found = windows_of(
        lengths,
        follows,
        window=window,
        horizon=horizon,
        validation=validation,
        test=test,
        ends=ends,
    )
    _check_windows(found, window, horizon, is_whole=is_whole)
    train_values = values[found.train_rows]
    mean, deviation = moments(train_values[np.isfinite(train_values).all(axis=1)])
    calendar = np.zeros((len(values), 0)) if calendar is None else calendar
    inputs = np.concatenate([values, calendar], axis=1)
    mean = np.concatenate([mean, np.zeros(calendar.shape[1])])
    deviation = np.concatenate([deviation, np.ones(calendar.shape[1])])
    in_advance = [list(names).index(column) for column in known]
    in_advance += range(len(names), inputs.shape[1])
    shifts = leads(window, horizon) if in_advance else []
    inputs = np.concatenate(
        [inputs, *(_ahead(inputs[:, in_advance], shift) for shift in shifts)], axis=1
    )
    mean, deviation = (
        np.concatenate([part, *(part[in_advance] for _ in shifts)]) for part in (mean, deviation)
    )
    channels = inputs.shape[1]
    scaled = torch.from_numpy(((inputs - mean) / deviation).astype(np.float32))
    raw = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float64))
    columns = [list(names).index(target) for target in targets]
    train, val, held_out = (
        Split(
            _cut(scaled, starts, window),
            _cut(scaled[:, columns], starts + window, horizon).reshape(len(starts), -1),
        )
        for starts in found.starts
    )
    steps = [{"op": "standardize", "axis": -1, "mean": mean.tolist(), "std": deviation.tolist()}]
    preprocessing: dict[str, Any] = {
        "input": {"shape": [window, channels], "dtype": "float64"},
        "series": list(names),
        "steps": steps,
        "target": {
            "names": list(targets),
            "horizon": horizon,
            "mean": mean[columns].tolist(),
            "std": deviation[columns].tolist(),
        },
    }
    content = {
        "values": values,
        "names": np.array(list(names)),
        "targets": np.array(columns),
        "windows": np.array([window, horizon]),
        "splits": np.array(found.sizes),
    }
    if not is_whole:
        content |= {"lengths": np.array(lengths), "follows": follows}
    if in_advance:
        content |= {"known": np.array(in_advance), "calendar": calendar}
        preprocessing["known"] = {
            "columns": list(known),
            "cycles": list(cycles),
            "leads": shifts,
        }
    return Dataset(
        name=name,
        task=Task(
            "forecasting",
            (window, channels),
            horizon * len(targets),
            targets=tuple(columns),
            known=(*in_advance, *range(len(names) + calendar.shape[1], channels)) or None,
        ),
        train=train,
        validation=val,
        test=held_out,
        raw_test=Split(_cut(raw, found.starts[2], window), held_out.y),
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
    )


def _ahead(values: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """The values so many rows later; NaN at the end, where no window lies.

    Shapes:
        (T, columns) -> (T, columns)
    """
    return np.concatenate([values[steps:], np.full((steps, values.shape[1]), np.nan)])


def _cut(rows: torch.Tensor, starts: Rows, length: int) -> torch.Tensor:
    """Windows of `length` rows: a view where they begin one after the other, else copies.

    Shapes:
        rows: (T, series) -> (N, length, series)
    """
    windows = rows.unfold(0, length, 1).transpose(1, 2)
    if int(starts[-1]) - int(starts[0]) + 1 == len(starts):
        return windows[int(starts[0]) : int(starts[-1]) + 1]
    return windows[torch.from_numpy(starts)]


def _check_windows(found: Windows, window: int, horizon: int, *, is_whole: bool) -> None:
    if all(map(len, found.starts)):
        return
    what = f"a window of {window} and a horizon of {horizon}"
    if not is_whole:
        raise ValueError(f"there are too few rows without a gap for {what} in each split")
    size = next(s for s, starts in zip(found.sizes, found.starts, strict=True) if not len(starts))
    raise ValueError(f"{size} rows of a split are too few for {what}")


def classification(
    name: str,
    x: NDArray[Any],
    y: NDArray[Any],
    unlabelled: NDArray[Any] | None = None,
    *,
    x_val: NDArray[Any] | None = None,
    y_val: NDArray[Any] | None = None,
    x_test: NDArray[Any] | None = None,
    y_test: NDArray[Any] | None = None,
    folding: Folding | None = None,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Sequences with one class each, every channel standardised by the train split, to which
    `unlabelled` adds samples without a class. What comes divided stays so: of validation and test,
    those that are not given are drawn from `x`, equal sequences into one split.

    Shapes:
        x, x_val, x_test: (N, T, channels); y, y_val, y_test: (N,); unlabelled: (M, T, channels)

    Raises:
        ValueError: shapes or values that make no such dataset, with the array at fault.
    """
    _check_labelled("", x, y)
    given = {"val": (x_val, y_val), "test": (x_test, y_test)}
    parts = [np.zeros(len(x), dtype=np.int64)]
    content: dict[str, NDArray[Any]] = {"x": x}
    for place, (part, (part_x, part_y)) in enumerate(given.items(), 1):
        if part_x is not None and part_y is not None:
            _check_labelled(f"_{part}", part_x, part_y, x, y)
            content[f"x_{part}"] = part_x
            x, y = np.concatenate([x, part_x]), np.concatenate([y, part_y])
            parts.append(np.full(len(part_x), place))
    division = Division(np.concatenate(parts) if len(parts) > 1 else None, folding=folding)
    more = x[:0]
    if unlabelled is not None:
        if folding is not None:
            raise ValueError("validation cuts labelled samples anew, x_unlabelled has others")
        _check("x_unlabelled", unlabelled, x)
        more = unlabelled
    classes, labels = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has one class, {classes[0]!s}; a classification needs two or more")
    labels, equal = labels.astype(np.int64), equal_samples(x)
    sets = division.sets(len(x), (validation, test), seed, labels, equal)
    cuts = division.cuts(sets, seed, labels, equal)
    preprocessing = _fit(np.concatenate([x[sets[0]], more]), classes.tolist())
    raw = [torch.from_numpy(part.astype(np.float64)) for part in (*(x[s] for s in sets), more)]
    *inputs, extra = (apply(samples, preprocessing) for samples in raw)
    train, val, held_out = (
        Split(samples, torch.from_numpy(labels[chosen]))
        for samples, chosen in zip(inputs, sets, strict=True)
    )
    content |= {"y": labels, **dict(zip(PARTS, sets, strict=True))}
    content |= {f"fold.{number}": chosen for number, (_, chosen) in enumerate(cuts)}
    if unlabelled is not None:
        content["x_unlabelled"] = unlabelled
    dataset = Dataset(
        name=name,
        task=Task("sequence_classification", (x.shape[1], x.shape[2]), len(classes)),
        train=train,
        validation=val,
        test=held_out,
        raw_test=Split(raw[2], held_out.y),
        preprocessing=preprocessing,
        raw_files=RawFiles.of([npz_of(x=x[sets[2]])], ".npz"),
        fingerprint=fingerprint(content),
        unlabelled=None if unlabelled is None else extra,
        folds=tuple(_fold(x, labels, classes.tolist(), *cut) for cut in cuts),
    )
    told = [*findings.of_equal_samples(equal, len(x), "sequences", division.parts)]
    told += findings.of_contradictions(equal, labels, "sequences")
    if x.shape[1] < x.shape[2]:
        message = (
            f"samples of {x.shape[1:]} are read as {x.shape[1]} steps of {x.shape[2]} channels; "
            "where channels come first, np.moveaxis(x, 1, 2) is meant"
        )
        told.append(Remark("steps_and_channels", message, "x", len(x)))
    told += findings.of_folds(dataset)
    if division.parts is not None:
        told += findings.of_drawn_parts(division.drawn, dataset.labelled_sizes)
    return replace(dataset, remarks=(*told, *findings.of_samples(dataset)))


def _fit(x: NDArray[Any], classes: list[Any]) -> dict[str, Any]:
    mean, deviation = moments(x.reshape(-1, x.shape[2]))
    step = {"op": "standardize", "axis": -1, "mean": mean.tolist(), "std": deviation.tolist()}
    return {
        "input": {"shape": list(x.shape[1:]), "dtype": "float64"},
        "steps": [step],
        "classes": classes,
    }


def _fold(x: NDArray[Any], y: Rows, classes: list[Any], train: Rows, validation: Rows) -> Fold:
    preprocessing = _fit(x[train], classes)
    parts = [
        Split(
            apply(torch.from_numpy(x[rows].astype(np.float64)), preprocessing),
            torch.from_numpy(y[rows]),
        )
        for rows in (train, validation)
    ]
    return Fold(parts[0], parts[1], preprocessing)


def _check_labelled(
    part: str,
    x: NDArray[Any],
    y: NDArray[Any],
    like: NDArray[Any] | None = None,
    labels: NDArray[Any] | None = None,
) -> None:
    _check(f"x{part}", x, like)
    if y.shape != (len(x),) or y.dtype.kind not in "iuU":
        raise ValueError(f"y{part} is ({len(x)},) integers or strings, got {y.dtype} of {y.shape}")
    if labels is not None and (unknown := sorted(set(y.tolist()) - set(labels.tolist()), key=str)):
        raise ValueError(f"y{part} has classes that y has not: {unknown[:5]}")


def _check(name: str, x: NDArray[Any], like: NDArray[Any] | None = None) -> None:
    if x.ndim != 3 or 0 in x.shape or x.dtype.kind not in "fiu":
        advice = f"; of one channel it is {name}[:, :, None]" if x.ndim == 2 else ""
        raise ValueError(
            f"{name} is numbers of shape (N, T, channels), got {x.dtype} of {x.shape}{advice}"
        )
    if not np.isfinite(x).all():
        sample = int(np.argwhere(~np.isfinite(x))[0][0])
        raise ValueError(f"{name} has a value that is not finite, first in sample {sample}")
    if (most := np.abs(x).max()) > LARGEST:
        raise ValueError(f"{name} has a value of {most:g}, beyond {LARGEST:g}")
    if like is not None and x.shape[1:] != like.shape[1:]:
        raise ValueError(f"{name} has samples of {x.shape[1:]}, x of {like.shape[1:]}")
