"""Where the samples of a training lie: on its device if they fit, else they are brought to it.

What lies on a card is kept for later trainings on the same split in this process. What does not fit
stays in memory: the samples of a step are gathered into pinned memory and copied while the device
computes the step before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from models.datasets import Samples, Split
from models.memory import available_bytes
from models.training import augmentation
from models.training.evaluation import channels_last

RESIDENT_SHARE = 0.5
"""Of what a process may use of a card, at most, is for samples; the rest is for networks."""

BUFFERS = 2
"""One is filled while the other is copied."""


class Batch(NamedTuple):
    """Samples of one step on the device, images channels last."""

    x: Samples
    y: Tensor


class Inputs(Protocol):
    """The samples that a network is trained on.

    home: where they lie, and where the index of `batch` is to be.
    y: all targets, on the device of the training.
    """

    home: torch.device
    y: Tensor

    def batch(self, index: Tensor) -> Samples:
        """As they are, on the device of the training.

        Shapes:
            index: (B,) int64
        """

    def batches(
        self, order: Tensor, steps: int, shifts: Sequence[augmentation.Shifts] | None = None
    ) -> Iterator[Batch]:
        """All of `order` in batches of nearly equal size; with `shifts`, one a step, moved by them.

        Shapes:
            order: (N,) int64, on the CPU
        """


def inputs(split: Split, targets: Tensor, device: torch.device) -> Inputs:
    """Samples of a split for a training on the device, with these targets.

    Shapes:
        targets: as `split.y`, on the CPU
    """
    kept = resident(split, device)
    y = kept.y if targets is split.y else moved(targets, device)
    if kept.x is split.x and isinstance(split.x, Tensor) and device.type != split.x.device.type:
        return Brought(split.x, y, device)
    return Resident(kept.x, y)


class Resident:
    """They lie on the device of the training."""

    def __init__(self, x: Samples, y: Tensor) -> None:
        self._x, self.y, self.home = channels_last(x), y, y.device
        self._images = _pixels(self._x)

    def batch(self, index: Tensor) -> Samples:
        if self._images is None:
            return self._x.index_select(0, index)
        return self._images.index_select(0, index).permute(0, 3, 1, 2)

    def batches(
        self, order: Tensor, steps: int, shifts: Sequence[augmentation.Shifts] | None = None
    ) -> Iterator[Batch]:
        for step, index in enumerate(moved(order, self.home).tensor_split(steps)):
            if shifts is None or self._images is None:
                yield Batch(self.batch(index), self.y[index])
            else:
                shifted = augmentation.gather(self._images, index, shifts[step])
                yield Batch(shifted.permute(0, 3, 1, 2), self.y[index])


class Brought:
    """They lie in memory, and a batch is on its way while the one before is computed with."""

    def __init__(self, x: Tensor, y: Tensor, device: torch.device) -> None:
        """`y` lies on the device, `x` on the CPU."""
        self._x, self.y, self._device, self.home = x, y, device, x.device
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
        self._buffers: list[Tensor] = []
        self._copied: list[torch.cuda.Event | None] = [None] * BUFFERS

    def batch(self, index: Tensor) -> Samples:
        return channels_last(self._x.index_select(0, index).to(self._device))

    def batches(
        self, order: Tensor, steps: int, shifts: Sequence[augmentation.Shifts] | None = None
    ) -> Iterator[Batch]:
        parts = order.tensor_split(steps)
        places = moved(order, self._device).tensor_split(steps)
        coming = self._sent(parts[0], 0)
        for step, place in enumerate(places):
            x = self._arrived(coming)
            if step + 1 < steps:
                coming = self._sent(parts[step + 1], step + 1)
            images = None if shifts is None else _pixels(x)
            if shifts is not None and images is not None:
                all_of_it = torch.arange(len(x), device=self._device)
                x = augmentation.gather(images, all_of_it, shifts[step]).permute(0, 3, 1, 2)
            yield Batch(x, self.y[place])

    def _sent(self, index: Tensor, step: int) -> Tensor:
        """On its way to the device."""
        number = step % BUFFERS
        while len(self._buffers) <= number:
            shape = (len(index) + 1, *self._x.shape[1:])  # batches differ by one sample
            pins = self._stream is not None
            self._buffers.append(torch.empty(shape, dtype=self._x.dtype, pin_memory=pins))
        if (copied := self._copied[number]) is not None:
            copied.synchronize()
        if len(index) > len(self._buffers[number]):
            return self._x.index_select(0, index).to(self._device)
        buffer = self._buffers[number][: len(index)]
        torch.index_select(self._x, 0, index, out=buffer)
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            sent = buffer.to(self._device, non_blocking=True, copy=True)
            if self._stream is not None:
                self._copied[number] = self._stream.record_event()
        return sent

    def _arrived(self, x: Tensor) -> Tensor:
        """What was sent, for the stream that computes."""
        if self._stream is not None:
            computing = torch.cuda.current_stream(self._device)
            computing.wait_stream(self._stream)
            x.record_stream(computing)
        return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device, without waiting for it."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def resident(split: Split, device: torch.device) -> Split:
    """The split on the device; on a card that has no room for it, the split itself. Of a card, the
    copies used longest ago make room, and a copy ends with its split. Graphs are always copied.
    """
    if device.type != "cuda":
        return Split(split.x.to(device), split.y.to(device))
    return _copies.of(split, device, int(RESIDENT_SHARE * available_bytes(device)))


class Copies:
    """Splits on cards, the one used last at the end.

    By the split and not by the fingerprint of its dataset: folds, and inputs that a recipe
    transforms, have the fingerprint of the whole.
    """

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Split, Split] = WeakKeyDictionary()

    def of(self, split: Split, device: torch.device, room: int) -> Split:
        """`room`: bytes of all copies, at most."""
        kept = self._kept.pop(split, None)
        if kept is not None and kept.y.device != device:
            kept = None
        if kept is None:
            if (needed := _bytes(split)) > room:
                return split
            while self._kept and self.bytes() + needed > room:
                self._kept.pop(next(iter(self._kept)))
            kept = Split(channels_last(split.x.to(device)), split.y.to(device))
        self._kept[split] = kept
        return kept

    def bytes(self) -> int:
        return sum(_bytes(kept) for kept in self._kept.values())

    def clear(self) -> None:
        self._kept.clear()


_copies = Copies()


def _bytes(split: Split) -> int:
    """Of its tensors; of graphs the targets alone."""
    return split.y.nbytes + (split.x.nbytes if isinstance(split.x, Tensor) else 0)


def _pixels(x: Samples) -> Tensor | None:
    """Images with the channels of a pixel side by side.

    Shapes:
        (N, C, H, W) -> (N, H, W, C); None of anything else
    """
    if not isinstance(x, Tensor) or x.dim() != 4:
        return None
    return x.permute(0, 2, 3, 1)
