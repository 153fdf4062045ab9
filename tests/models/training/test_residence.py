"""Samples on a device, or brought to it: the same batches, and no copy that is not needed."""

from __future__ import annotations

import gc

import pytest
import torch

from models.datasets import Split
from models.training import augmentation
from models.training.residence import Brought, Copies, Inputs, Resident, inputs, resident

CPU = torch.device("cpu")


def images(count: int = 23) -> Split:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, 8, 8, generator=generator)
    return Split(x, torch.arange(count))


def batches_of(found: Inputs, device: torch.device, is_moved: bool) -> list[torch.Tensor]:
    """Those of two epochs; the targets say which samples they are."""
    generator, held = torch.Generator().manual_seed(1), []
    for _ in range(2):
        order = torch.randperm(23, generator=generator)
        shifts = augmentation.draw(23, 8, 8, flip=True, generator=generator).to(device).split(4)
        for x, y in found.batches(order, 4, shifts if is_moved else None):
            assert isinstance(x, torch.Tensor) and x.device == y.device == device
            assert x.is_contiguous(memory_format=torch.channels_last)
            held += [x.cpu(), y.cpu()]
    return held


@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.parametrize("card", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_batches_are_the_same_wherever_the_samples_lie(is_moved: bool, card: str) -> None:
    split, device = images(), torch.device("cpu") if card == "cpu" else torch.device("cuda", 0)
    x, y = split.x, split.y
    assert isinstance(x, torch.Tensor)
    expected = batches_of(Resident(x, y), CPU, is_moved)
    brought = Brought(x, y.to(device), device)
    on_device = Resident(x.to(device), y.to(device))
    for found in (brought, on_device):
        for ours, theirs in zip(batches_of(found, device, is_moved), expected, strict=True):
            assert torch.equal(ours, theirs)
    if not is_moved:
        picked, targets = expected[0], expected[1]
        assert torch.equal(picked, x[targets])
        assert sorted(torch.cat(expected[1:8:2]).tolist()) == list(range(23))
    some = torch.tensor([4, 2])
    assert torch.equal(brought.batch(some).cpu(), x[some])  # type: ignore[union-attr]
    there = on_device.batch(some.to(on_device.home))
    assert torch.equal(there.cpu(), x[some])  # type: ignore[union-attr]


def test_a_split_is_copied_once_and_the_copy_used_longest_ago_makes_room() -> None:
    kept, first, second, third = Copies(), images(), images(), images()
    one = first.y.nbytes + 4 * first.x.numel()  # type: ignore[union-attr]
    room = 2 * one
    copy = kept.of(first, CPU, room)
    kept.of(second, CPU, room)
    assert kept.of(first, CPU, room) is copy and kept.bytes() == 2 * one
    kept.of(third, CPU, room)  # the second goes
    assert kept.bytes() == 2 * one and kept.of(first, CPU, room) is copy
    del third
    gc.collect()
    assert kept.bytes() == one  # a copy ends with its split


def test_what_has_no_room_stays_where_it_is() -> None:
    split = images()
    assert Copies().of(split, CPU, room=split.y.nbytes) is split


@pytest.mark.gpu
def test_trainings_on_one_split_share_its_copy_on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    card, split = torch.device("cuda", 0), images()
    copy = resident(split, card)
    before = torch.cuda.memory_allocated()
    assert resident(split, card) is copy and torch.cuda.memory_allocated() == before
    assert isinstance(inputs(split, split.y, card), Resident)
    other = images()
    monkeypatch.setattr("models.training.residence.RESIDENT_SHARE", 0.0)
    assert isinstance(inputs(other, other.y, card), Brought)
