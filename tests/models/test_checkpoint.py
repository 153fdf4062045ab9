"""A checkpoint is whole and says what it is, or it is refused."""

from __future__ import annotations

import hashlib
import random
import struct
from pathlib import Path

import fsspec
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import nn

from models import checkpoint, storage
from models.architecture import Architecture
from models.checkpoint import CheckpointError
from models.domains import Scalar
from models.family import families
from models.recipe import Recipe
from models.task import Task

TASK = Task("image_classification", (1, 8, 8), 10)
RECIPE = Recipe(dropout=0.1)
EXTRA = {"seed": 3, "metrics": {"test_accuracy": 0.5, "val_loss": 1e-9}, "text": '"content_sha256"'}


def small_architecture() -> Architecture:
    """The first option of everything, in a small network."""
    family = families["cnn_cell"]
    settings = family.Settings.model_validate({"channels": 4, "cells": 1, "nodes": 2})
    values: dict[str, Scalar] = {}
    for decision in family.decisions(settings, TASK):
        if decision.is_active(values):
            values[decision.name] = decision.domain.values()[-1]
    return Architecture("cnn_cell", values)


def built() -> nn.Module:
    torch.manual_seed(0)
    return families["cnn_cell"].build(small_architecture(), TASK, RECIPE)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "folder" / "7.safetensors"
    checkpoint.save(str(path), built(), small_architecture(), TASK, RECIPE, EXTRA)
    return path


def test_what_was_saved_comes_back(saved: Path) -> None:
    loaded = checkpoint.load(str(saved))
    assert (loaded.architecture, loaded.task, loaded.recipe) == (small_architecture(), TASK, RECIPE)
    assert loaded.extra == EXTRA
    network, again = built().eval(), loaded.network()
    assert not again.training
    x = torch.randn(3, *TASK.input_shape)
    with torch.inference_mode():
        torch.testing.assert_close(again(x), network(x), rtol=0, atol=0)


def test_a_task_comes_back_from_json_with_or_without_a_vocabulary() -> None:
    text = Task("language_modeling", (12,), 7, vocabulary=7)
    assert Task.from_json(text.to_json()) == text
    assert text.zeros(2).dtype == torch.int64 and text.zeros(2).shape == (2, 12)
    assert TASK.to_json().keys() == {"name", "input_shape", "outputs"}
    assert Task.from_json(TASK.to_json()) == TASK
    for name, outputs, vocabulary in [
        ("language_modeling", 7, None),
        ("language_modeling", 8, 7),
        ("tabular_regression", 1, 7),
        ("text_classification", 2, 0),
    ]:
        with pytest.raises(ValueError, match="vocabulary"):
            Task(name, (12,), outputs, vocabulary)  # type: ignore[arg-type]


def test_any_safetensors_reader_reads_it(saved: Path) -> None:
    with safe_open(saved, "pt") as file:
        assert list(file.metadata()) == ["nasmith"]
        assert set(file.keys()) == set(built().state_dict())


def test_the_same_content_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    network = built().to(memory_format=torch.channels_last)  # as the trainer leaves it
    again = tmp_path / "again.safetensors"
    checkpoint.save(str(again), network, small_architecture(), TASK, RECIPE, EXTRA)
    assert again.read_bytes() == saved.read_bytes()


def test_it_says_its_digest_and_size(tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    stored = checkpoint.save(str(path), built(), small_architecture(), TASK, RECIPE, {})
    content = path.read_bytes()
    assert stored.size_bytes == len(content)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()


def test_a_flipped_bit_is_found_wherever_it_is(saved: Path) -> None:
    content = saved.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    rng = random.Random(0)
    places = [*range(8), *rng.sample(range(8, header), 600)]
    places += [rng.randrange(header, len(content)) for _ in range(300)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        saved.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"7\.safetensors is"):
            checkpoint.load(str(saved))


def test_a_truncated_or_longer_file_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for size in (0, 4, 8, 100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match=r"7\.safetensors is"):
            checkpoint.load(str(saved))
    saved.write_bytes(content + b"\0")
    with pytest.raises(CheckpointError):
        checkpoint.load(str(saved))


def test_weights_without_the_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"

    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        checkpoint.load(str(path))
    with pytest.raises(FileNotFoundError):
        checkpoint.load(str(tmp_path / "none.safetensors"))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    checkpoint.save(str(path), nn.Linear(2, 3), small_architecture(), TASK, RECIPE, {})
    with pytest.raises(CheckpointError, match="do not fit"):
        checkpoint.load(str(path)).network()


def test_a_remote_store_holds_the_same_bytes(saved: Path) -> None:
    url = "memory://nasmith/7.safetensors"
    checkpoint.save(url, built(), small_architecture(), TASK, RECIPE, EXTRA)
    assert fsspec.filesystem("memory").cat_file("/nasmith/7.safetensors") == saved.read_bytes()
    assert checkpoint.load(url).extra == EXTRA


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    stored = storage.write_file(f"file://{tmp_path}/a b/1.bin", b"x")
    assert (tmp_path / "a b" / "1.bin").read_bytes() == b"x"
    assert storage.read_file(stored.url) == b"x"


def test_a_failing_write_leaves_the_old_file_and_nothing_else(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(str(saved), built(), small_architecture(), TASK, RECIPE, {})
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["7.safetensors"]


def test_no_pickle_is_read(tmp_path: Path) -> None:
    path = tmp_path / "canary.safetensors"
    torch.save({"w": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError):
        checkpoint.load(str(path))


def test_tied_weights_are_saved_once_each(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    path = tmp_path / "tied.safetensors"
    checkpoint.save(str(path), tied, small_architecture(), TASK, RECIPE, {})
    assert set(load_tensors(path.read_bytes())) == {"0.weight", "1.weight"}
