"""What holds for every dataset, and for every format that one is uploaded in."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from models.datasets import Dataset, RawGraphs, Split, graphs, preprocess
from models.datasets.formats import FormatError, Options, Upload, format_of, formats
from models.datasets.stored import Content, load, save
from models.graph import Graph
from models.task import MULTILABEL, TASK_NAMES, Task

DAMAGES = 40


@dataclass(frozen=True, slots=True)
class FormatExample:
    """A small file of a format, and what its owner says of it."""

    task: str
    content: bytes
    options: Mapping[str, Any] = field(default_factory=dict)


def check_format(name: str, example: FormatExample, folder: Path) -> None:
    """It says what it takes, knows its files, reads them alike each time, and reads or refuses
    damaged ones. Files are written into `folder`.
    """
    entry, upload = formats[name], _upload(example, folder)
    assert entry.tasks and entry.tasks <= {*TASK_NAMES, "table"}, f"{name}: tasks {entry.tasks}"
    assert entry.options <= Options.model_fields.keys(), f"{name}: options {entry.options}"
    assert entry.description, f"{name} does not say what it is"
    assert format_of(upload) == name, f"{name} does not recognise its own example"
    (folder / "strange").write_bytes(bytes(range(256)) * 4)
    assert not entry.recognises(folder / "strange"), f"{name} recognises what is nothing"
    _check_options(name, example, folder)
    found = entry.read(upload)
    check_content(found, folder)
    again = entry.read(Upload(upload.path, "another name", upload.task, upload.options))
    assert again.fingerprint == found.fingerprint, f"{name} reads one file as two datasets"
    _check_damage(name, example, folder)


def check_content(content: Content, folder: Path) -> None:
    """A dataset, or a table, and what comes back of it from the store."""
    for found in (content, _stored(content, folder)):
        assert found.fingerprint == content.fingerprint, "it is stored as something else"
        assert found.name == content.name and found.sizes == content.sizes
        if isinstance(found, Dataset):
            check_dataset(found)


def check_dataset(dataset: Dataset) -> None:
    """Splits as the task says, and raw test samples that become those of the test split."""
    json.dumps(dataset.preprocessing, allow_nan=False)
    for name in ("train", "validation", "test"):
        _check_split(f"{dataset.name}: {name}", getattr(dataset, name), dataset.task)
    if dataset.unlabelled is not None:
        _check_samples(f"{dataset.name}: unlabelled", dataset.unlabelled, dataset.task)
    raw, test = dataset.raw_test, dataset.test
    assert torch.equal(raw.y, test.y), f"{dataset.name}: the raw test split has other targets"
    if isinstance(raw, RawGraphs):
        made = graphs.preprocess(dict(raw.x), dict(dataset.preprocessing))
        assert isinstance(made, Graph), f"{dataset.name}: raw graphs become no graph"
        return
    assert isinstance(raw.x, Tensor) and isinstance(test.x, Tensor)
    inputs = preprocess.apply(raw.x, dataset.preprocessing)
    torch.testing.assert_close(inputs, test.x, msg=f"{dataset.name}: raw samples become others")


def _check_split(what: str, split: Split, task: Task) -> None:
    y = split.y
    assert len(split) > 0, f"{what} is empty"
    assert len(split.x) == len(y), f"{what} has {len(split.x)} samples and {len(y)} targets"
    if isinstance(split.x, Tensor):
        _check_samples(what, split.x, task)
    if y.is_floating_point():
        assert y.shape[1:] == (task.outputs,), f"{what}: targets {tuple(y.shape)}"
        assert torch.isfinite(y).all(), f"{what}: a target is not finite"
        return
    if task.name == MULTILABEL:
        assert y.dtype == torch.bool and y.shape[1:] == (task.outputs,), f"{what}: {y.dtype}"
        return
    shape = task.input_shape if task.name == "language_modeling" else ()
    assert y.dtype == torch.int64 and y.shape[1:] == shape, f"{what}: {y.dtype} {tuple(y.shape)}"
    assert 0 <= y.min() and y.max() < task.outputs, f"{what}: class {y.max()} of {task.outputs}"


def _check_samples(what: str, x: Tensor, task: Task) -> None:
    assert x.shape[1:] == task.input_shape, f"{what}: samples {tuple(x.shape[1:])}"
    dtype = torch.float32 if task.vocabulary is None else torch.int64
    assert x.dtype == dtype, f"{what}: samples are {x.dtype}"
    assert torch.isfinite(x).all(), f"{what}: a sample is not finite"


def _check_options(name: str, example: FormatExample, folder: Path) -> None:
    """What has no meaning here is refused by name."""
    entry = formats[name]
    for option in sorted(Options.model_fields.keys() - entry.options - {"split"}):
        value = Options.model_fields[option].get_default(call_default_factory=True)
        given = FormatExample(example.task, example.content, {**example.options, option: value})
        try:
            format_of(_upload(given, folder))
        except FormatError as error:
            assert error.option == option, f"{name} blames {error.option} for {option}"
        else:
            raise AssertionError(f"{name} takes the option {option} and has no use for it")


def _check_damage(name: str, example: FormatExample, folder: Path) -> None:
    """A damaged file is read as something whole, or refused with a ValueError that has a reason."""
    for damaged in (b"", *_damaged(example.content)):
        upload = _upload(FormatExample(example.task, damaged, example.options), folder)
        try:
            with warnings.catch_warnings(action="ignore"):  # of numpy, into a log that nobody reads
                found = formats[name].read(upload)
        except ValueError as error:
            assert str(error), f"{name} refuses a file without a reason"
        else:
            if isinstance(found, Dataset):
                check_dataset(found)


def _damaged(content: bytes) -> Iterator[bytes]:
    """Other bytes, or fewer or more, in one place; a third of them cut off there."""
    for seed in range(DAMAGES):
        rng, damaged = Random(seed), bytearray(content)
        place = rng.randrange(len(damaged))
        damaged[place : place + 8] = rng.randbytes(rng.randrange(9))
        yield bytes(damaged[:place] if seed % 3 == 0 else damaged)


def _upload(example: FormatExample, folder: Path) -> Upload:
    path = folder / "file"
    path.write_bytes(example.content)
    return Upload(path, "mine", example.task, Options.model_validate(dict(example.options)))


def _stored(content: Content, folder: Path) -> Content:
    path = folder / "stored"
    path.unlink(missing_ok=True)
    save(content, path)
    return load(path)


__all__ = ["FormatExample", "check_content", "check_dataset", "check_format"]
