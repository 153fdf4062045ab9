"""A dataset as one file: what every worker of a machine maps into memory, and none copies.

Safetensors: each distinct storage once, flat; the header says how each tensor of the dataset views
it. Overlapping windows of a series, and images that lie channels last, cost nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.architecture import Decision
from models.datasets import Dataset, Fold, RawGraphs, Reading, Split
from models.datasets.raw_files import RawFiles
from models.datasets.tables import KnownResults
from models.domains import Choice
from models.graph_samples import Graphs, Nodes
from models.remarks import Column, Remark
from models.task import Task

_HEADER = "nasmith"
_RAW_ROWS, _RAW_FILES, _NUMBERS = "raw_rows", "raw_files.", "numbers."
_SPLITS = ("train", "validation", "test", "raw_test")


Content = Dataset | KnownResults
"""What a stored file holds."""


class _StoredRows(Mapping[str, Sequence[str]]):
    """The cells of columns, which are read when somebody asks: no worker that trains does."""

    def __init__(self, content: Tensor) -> None:
        self._content = content

    @cached_property
    def _rows(self) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = json.loads(self._content.numpy().tobytes())
        return rows

    def __getitem__(self, name: str) -> Sequence[str]:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def save(content: Content, path: Path) -> None:
    """Write a new file. Not atomic: the caller gives it its place when it is whole."""
    if isinstance(content, KnownResults):
        header: dict[str, Any] = {"name": content.name, "dimensions": content.dimensions}
        tensors = {"codes": torch.from_numpy(content.codes)}
        tensors |= {f"column.{name}": torch.tensor(v) for name, v in content.columns.items()}
    else:
        header = {
            "name": content.name,
            "task": content.task.to_json(),
            "preprocessing": content.preprocessing,
            "fingerprint": content.fingerprint,
            "columns": [column.to_json() for column in content.columns],
            "remarks": [remark.to_json() for remark in content.remarks],
            "folds": [fold.preprocessing for fold in content.folds],
            "readings": {
                tokens: {
                    "task": reading.task.to_json(),
                    "preprocessing": reading.preprocessing,
                    "folds": [fold.preprocessing for fold in reading.folds],
                }
                for tokens, reading in content.readings.items()
            },
            "raw_files": None if content.raw_files is None else content.raw_files.ending,
            "views": {},
        }
        tensors = {}
        if content.raw_rows:
            rows = json.dumps(dict(content.raw_rows), ensure_ascii=False).encode("utf-8", "replace")
            tensors[_RAW_ROWS] = torch.frombuffer(bytearray(rows), dtype=torch.uint8)
        storages: dict[int, str] = {}
        for name, tensor in _tensors(content):
            storage = tensor.untyped_storage()
            flat = storages.setdefault(storage.data_ptr(), str(len(storages)))
            if flat not in tensors:
                tensors[flat] = torch.empty(0, dtype=tensor.dtype).set_(storage)
            header["views"][name] = {
                "tensor": flat,
                "size": list(tensor.shape),
                "stride": list(tensor.stride()),
                "offset": tensor.storage_offset(),
            }
    save_file(tensors, path, {_HEADER: json.dumps(header)})


def load(path: Path) -> Content:
    """The content of a file that `save` wrote; its tensors are pages of the file."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()[_HEADER])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    if "dimensions" in header:
        return KnownResults(
            header["name"],
            tuple(Decision(d["name"], Choice(tuple(d["options"]))) for d in header["dimensions"]),
            tensors["codes"].numpy(),
            {
                name.removeprefix("column."): tensor.numpy()
                for name, tensor in tensors.items()
                if name != "codes"
            },
        )
    views = {
        name: tensors[view["tensor"]].as_strided(view["size"], view["stride"], view["offset"])
        for name, view in header["views"].items()
    }
    task = Task.from_json(header["task"])
    return Dataset(
        name=header["name"],
        task=task,
        train=_split(views, "train", task),
        validation=_split(views, "validation", task),
        test=_split(views, "test", task),
        raw_test=_raw(views, "raw_test"),
        preprocessing=header["preprocessing"],
        fingerprint=header["fingerprint"],
        unlabelled=views.get("unlabelled.x"),
        raw_rows={} if (rows := tensors.get(_RAW_ROWS)) is None else _StoredRows(rows),
        raw_files=_files(views, header.get("raw_files")),
        numbers=_numbers(views, _NUMBERS),
        columns=tuple(Column.from_json(column) for column in header.get("columns", ())),
        remarks=tuple(Remark.from_json(remark) for remark in header.get("remarks", ())),
        folds=_folds(views, "", task, header.get("folds", ())),
        readings={
            tokens: _reading(views, f"reading.{tokens}.", known)
            for tokens, known in header.get("readings", {}).items()
        },
    )


def _folds(
    views: Mapping[str, Tensor], prefix: str, task: Task, known: Sequence[Mapping[str, Any]]
) -> tuple[Fold, ...]:
    return tuple(
        Fold(
            _split(views, f"{prefix}fold.{number}.train", task),
            _split(views, f"{prefix}fold.{number}.validation", task),
            preprocessing,
            _numbers(views, f"{prefix}fold.{number}.{_NUMBERS}"),
        )
        for number, preprocessing in enumerate(known)
    )


def _reading(views: Mapping[str, Tensor], prefix: str, known: Mapping[str, Any]) -> Reading:
    task = Task.from_json(known["task"])
    train, validation, test = (_split(views, f"{prefix}{name}", task) for name in _SPLITS[:3])
    return Reading(
        task,
        train,
        validation,
        test,
        known["preprocessing"],
        views.get(f"{prefix}unlabelled.x"),
        _folds(views, prefix, task, known["folds"]),
    )


def _files(views: Mapping[str, Tensor], ending: str | None) -> RawFiles | None:
    if ending is None:
        return None
    content, ends = (views[f"{_RAW_FILES}{part}"] for part in ("content", "ends"))
    return RawFiles(content, ends, ending, views.get(f"{_RAW_FILES}picked"))


def _numbers(views: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): v for key, v in views.items() if key.startswith(prefix)}


def _tensors(dataset: Dataset) -> Iterator[tuple[str, Tensor]]:
    yield from ((f"{_NUMBERS}{name}", tensor) for name, tensor in dataset.numbers.items())
    if (files := dataset.raw_files) is not None:
        yield f"{_RAW_FILES}content", files.content
        yield f"{_RAW_FILES}ends", files.ends
        if files.picked is not None:
            yield f"{_RAW_FILES}picked", files.picked
    yield from _of_splits(dataset, _SPLITS)
    for tokens, reading in dataset.readings.items():
        found = _of_splits(reading, _SPLITS[:3])
        yield from ((f"reading.{tokens}.{name}", tensor) for name, tensor in found)


def _of_splits(dataset: Dataset | Reading, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    if dataset.unlabelled is not None:
        yield "unlabelled.x", dataset.unlabelled
    splits: dict[str, Split | RawGraphs] = {name: getattr(dataset, name) for name in names}
    for number, fold in enumerate(dataset.folds):
        splits |= {f"fold.{number}.train": fold.train, f"fold.{number}.validation": fold.validation}
        for name, tensor in fold.numbers.items():
            yield f"fold.{number}.{_NUMBERS}{name}", tensor
    for name, split in splits.items():
        yield f"{name}.y", split.y
        if isinstance(split.x, Tensor):
            yield f"{name}.x", split.x
        else:
            parts = split.x.parts() if isinstance(split.x, Nodes | Graphs) else split.x
            yield from ((f"{name}.x.{part}", tensor) for part, tensor in parts.items())


def _split(views: Mapping[str, Tensor], name: str, task: Task) -> Split:
    y, parts = views[f"{name}.y"], _parts(views, name)
    if not parts:
        return Split(views[f"{name}.x"], y)
    features = task.input_shape[0]
    kind = Nodes if "picked" in parts else Graphs
    return Split(kind.from_parts(parts, features), y)


def _raw(views: Mapping[str, Tensor], name: str) -> Split | RawGraphs:
    y, parts = views[f"{name}.y"], _parts(views, name)
    return RawGraphs(parts, y) if parts else Split(views[f"{name}.x"], y)


def _parts(views: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}.x."
    return {key.removeprefix(prefix): v for key, v in views.items() if key.startswith(prefix)}
