"""Memory of a training run: a lower bound before it starts, the peak after it has run."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from models.meta import FusedAttention, unroll_at_once
from models.processes.memory import resident_bytes, room
from models.recipe import Recipe
from models.task import Task

_OPTIMIZER_STATES: Mapping[str, int] = {
    "sgd": 0,
    "momentum": 1,
    "nesterov": 1,
    "adagrad": 1,
    "rmsprop": 1,
    "adam": 2,
    "adamw": 2,
}
"""Tensors of a parameter's size that an optimizer keeps for it."""


def largest_batch(samples: int, batch_size: int) -> int:
    """Samples of the largest step: the trainer cuts an epoch into nearly equal batches."""
    return math.ceil(samples / math.ceil(samples / batch_size))


def training_bytes(network: nn.Module, task: Task, recipe: Recipe, batch_size: int) -> int:
    """The least that one training step must hold at a time.

    Weights, gradients, the optimizer's state, and what autograd keeps of one batch until the
    backward pass. Workspaces and the data come on top.

    `network` lies on the meta device, so that nothing is allocated or computed; its recurrent
    layers are changed (`models.meta`).
    """
    batch = task.zeros(batch_size, "meta")
    network.train()
    unroll_at_once(network)
    kept = Kept()
    with FusedAttention(), kept:
        output = network(batch)  # held: the graph keeps every storage alive, so that ids differ
    weights = storages(network.parameters())
    activations = kept.bytes(without=weights)
    del output
    if recipe.precision == "bfloat16":
        activations //= 2
    return sum(weights.values()) * (2 + _OPTIMIZER_STATES[recipe.optimizer]) + activations


def storages(tensors: Iterable[Tensor]) -> dict[int, int]:
    """Identity -> bytes of the memory of tensors, each counted once."""
    found = [tensor.untyped_storage() for tensor in tensors]
    return {storage._cdata: storage.nbytes() for storage in found}


class Kept(saved_tensors_hooks):
    """Within it, what autograd keeps for the backward pass is counted."""

    def __init__(self) -> None:
        self._storages: dict[int, int] = {}
        super().__init__(self._keep, lambda tensor: tensor)

    def add(self, tensors: Iterable[Tensor]) -> None:
        self._storages |= storages(tensors)

    def _keep(self, tensor: Tensor) -> Tensor:
        self.add([tensor])
        return tensor

    def bytes(self, without: Collection[int] = ()) -> int:
        return sum(size for key, size in self._storages.items() if key not in without)


def available_bytes(device: torch.device) -> int:
    """What a process here may hold at most: of the GPU what torch's allocator may take there
    (`models.accelerator.use_card`), else what it holds already and what no other process uses, of
    the machine or of the control groups around it, and no more than its rlimit.
    """
    if device.type == "cuda":
        whole = int(torch.cuda.get_device_properties(device).total_memory)
        return int(whole * torch.cuda.get_per_process_memory_fraction(device))
    here = room()
    most = min(here.total, here.free + resident_bytes())
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return most if soft == resource.RLIM_INFINITY else min(most, soft)


class PeakMemory:
    """The peak since construction: CUDA's allocated bytes on a GPU, else the resident memory of
    this whole process, torch and data included.

    Where the system cannot set the peak back (Linux can), it is that of the process's life.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif sys.platform == "linux":
            with suppress(OSError):  # a sandbox may refuse
                Path("/proc/self/clear_refs").write_text("5")  # proc(5): VmHWM restarts at VmRSS

    def bytes(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if sys.platform == "linux":
            status = Path("/proc/self/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
            return int(line.split()[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
