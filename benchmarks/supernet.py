"""Seconds per search step on shared weights, against a supernet written the straightforward way.

    python benchmarks/supernet.py

A step is one of the architecture and one of the weights. The straightforward supernet is that of
the DARTS paper's code: one module per operation per edge, contiguous images (NCHW), and a backward
pass that computes all gradients in both steps. It holds the same weights and computes the same
numbers (tests/models/test_supernets.py). Both take turns, a step each, in a random order; a figure
is the median over the rounds, a ratio the median of the rounds' ratios. `wall` is by the clock,
`cpu` by the processor time of this process, which a neighbour disturbs less. `peak_bytes` is what
one step allocated at most, by the allocator's own count. `launches` is how many kernels one step
starts: on a GPU those that the profiler saw there, on a processor the operators that call no other.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from operator import truediv
from random import Random
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from models.families.cnn_cell import CnnCellSettings
from models.operations import operations
from models.supernets import Supernet, supernets
from models.supernets.cells import Edge, MixedCell
from models.supernets.joined import without_affine
from models.task import Task
from search.space import SearchSpace
from search.strategies.darts import DartsSearch, DartsSettings
from search.strategies.gdas import GdasSearch
from search.strategy import strategies
from search.weight_sharing.bilevel import Bilevel
from search.weight_sharing.one_shot import Batch

BATCH = 32
TASK = Task("image_classification", (1, 28, 28), 10)
CLOCKS = {"wall": perf_counter, "cpu": process_time}
TARGETS = {"darts": 0.42, "darts_second_order": 0.45, "gdas": 1 / 8}


WITHOUT_KERNEL = frozenset(
    "as_strided as_strided_ detach detach_ empty empty_like empty_strided expand new_empty permute "
    "resize_ result_type select slice split t transpose unsqueeze view".split()
)
"""Operators that only allocate, or look at what is there in another way."""


class PlainCell(nn.Module):
    """Equation 2 of the DARTS paper word for word: each edge a sum over all operations."""

    def __init__(self, cell: MixedCell) -> None:
        """The same weights as `cell`, each in a module of its own."""
        super().__init__()
        self.inputs, self.nodes, self.partial, self.rows = (
            cell.inputs,
            cell.nodes,
            cell.partial,
            cell.rows,
        )
        self.stride, self.names = cell.stride, cell.names
        channels = cell.channels // cell.partial
        self.edges = nn.ModuleList()
        for source, node in cell.rows:
            stride = cell.stride if source < cell.inputs else 1
            edge = nn.ModuleDict()
            for name in cell.names:
                if not operations[name].is_zero:
                    edge[name] = without_affine(operations[name].build(channels, stride))
                    edge[name].load_state_dict(cell.state_of((source, node), name), strict=False)
            self.edges.append(edge.to(next(cell.parameters())))

    def state_of(self, edge: Edge, name: str) -> dict[str, Tensor]:
        chosen = self.edges[self.rows[edge]]
        return dict(chosen[name].state_dict()) if name in chosen else {}

    def forward(self, inputs: Sequence[Tensor], mix: Tensor) -> list[Tensor]:
        values = list(inputs)
        for node in range(self.inputs, self.nodes):
            values.append(
                sum(
                    self._edge(source, values[source], row, mix[row])
                    for (source, into), row in self.rows.items()
                    if into == node
                )
            )
        return values[self.inputs :]

    def _edge(self, source: int, x: Tensor, row: int, weights: Tensor) -> Tensor:
        edge = self.edges[row]
        if self.partial == 1:
            return self._mixed(edge, x, weights)
        seen = x.shape[1] // self.partial
        beside = x[:, seen:]
        if source < self.inputs and self.stride > 1:
            beside = functional.max_pool2d(beside, 2, ceil_mode=True)
        mixed = self._mixed(edge, x[:, :seen], weights)
        joined = torch.cat([mixed, beside * weights.sum()], dim=1)
        return functional.channel_shuffle(joined, self.partial)

    def _mixed(self, edge: nn.ModuleDict, x: Tensor, weights: Tensor) -> Tensor:
        return sum(
            weights[column] * edge[name](x)
            for column, name in enumerate(self.names)
            if name in edge
        )


def straightforward(supernet: Supernet) -> Supernet:
    """A copy with plain cells in place of the fused ones, everything contiguous."""
    plain = copy.deepcopy(supernet).to(memory_format=torch.contiguous_format)
    plain.memory_format = torch.contiguous_format
    for path, module in list(plain.named_modules()):
        if isinstance(module, MixedCell):
            parent, _, name = path.rpartition(".")
            setattr(plain.get_submodule(parent), name, PlainCell(module))
    return plain


class PlainDarts(DartsSearch):
    """The steps as the paper's code takes them: every backward pass computes all gradients."""

    def architecture_step(self, train: Batch, held_out: Batch) -> Tensor:
        if self.settings.order == "second":
            return super().architecture_step(train, held_out)
        loss = self.loss(held_out, self.mix())
        self._architecture_optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._architecture_optimizer.step()
        return loss.detach()


METHODS: dict[str, tuple[type[Bilevel], type[Bilevel], dict[str, Any]]] = {
    "darts": (DartsSearch, PlainDarts, {}),
    "darts_second_order": (DartsSearch, PlainDarts, {"order": "second"}),
    "gdas": (GdasSearch, PlainDarts, {}),
}
"""Fused, straightforward, settings of the fused one. GDAS is held against the full mixture."""


def compare(
    method: str, channels: int, cells: int, rounds: int, device: torch.device, precision: str
) -> dict[str, Any]:
    fused_search, plain_search, chosen = METHODS[method]
    settings = CnnCellSettings.model_validate(
        {"topology": "darts", "nodes": 4, "cells": cells, "channels": channels}
    )
    space = SearchSpace.of_architectures("cnn_cell", settings, TASK)
    torch.manual_seed(0)
    fused = supernets["cnn_cell"].build(settings, TASK).to(device)
    searches = {}
    for name, kind, network in (
        ("fused", fused_search, fused),
        ("straightforward", plain_search, straightforward(fused)),
    ):
        settings_of = DartsSettings if kind is PlainDarts else strategies[name_of(method)].Settings
        parsed = settings_of.model_validate(chosen | {"precision": precision})
        generator = torch.Generator().manual_seed(0)
        search = kind(network, parsed, functional.cross_entropy, generator, space)
        search.begin_epoch(1)
        searches[name] = search
    batches = {n: [batch(n == "fused", seed, device) for seed in (1, 2)] for n in searches}
    spent: dict[str, dict[str, list[float]]] = {c: {n: [] for n in searches} for c in CLOCKS}
    for name, search in searches.items():
        search.step(*batches[name])  # the first step allocates and warms up
    finish(device)
    shuffled = Random(0)  # noqa: S311 - only the order of the steps
    for _ in range(rounds):
        for name in shuffled.sample(list(searches), len(searches)):
            start = {clock: read() for clock, read in CLOCKS.items()}
            searches[name].step(*batches[name])
            finish(device)
            for clock, read in CLOCKS.items():
                spent[clock][name].append(read() - start[clock])
    report: dict[str, Any] = {"method": method, "channels": channels, "cells": cells}
    for clock, by_name in spent.items():
        report[f"{clock}_seconds"] = {n: round(median(s), 4) for n, s in by_name.items()}
        ratios = map(truediv, by_name["fused"], by_name["straightforward"])
        report[f"{clock}_ratio"] = round(median(ratios), 3)
    of_step = {name: profiled(s, batches[name], device) for name, s in searches.items()}
    for figure in ("peak_bytes", "launches"):
        report[figure] = {name: figures[figure] for name, figures in of_step.items()}
    return report


def name_of(method: str) -> str:
    """The strategy."""
    return method.partition("_")[0]


def finish(device: torch.device) -> None:
    """A GPU computes on while the clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def batch(is_channels_last: bool, seed: int, device: torch.device) -> Batch:
    torch.manual_seed(seed)
    x = torch.randn(BATCH, *TASK.input_shape)
    if is_channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    return Batch(x.to(device), torch.randint(TASK.outputs, (BATCH,)).to(device))


def profiled(search: Bilevel, batches: Sequence[Batch], device: torch.device) -> dict[str, int]:
    """The most that one step holds beside what was there before, and the kernels that it starts."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    with profile(activities=activities, profile_memory=device.type == "cpu") as profiler:
        search.step(*batches)
        finish(device)
    if device.type == "cuda":
        kernels = [
            event
            for event in profiler.events()
            if event.device_type is DeviceType.CUDA and not event.name.startswith("Mem")
        ]
        peak = torch.cuda.max_memory_allocated(device) - before
        return {"peak_bytes": peak, "launches": len(kernels)}
    held = peak = 0
    for record in profiler.profiler.kineto_results.events():
        if record.name() == "[memory]":
            held += record.nbytes()
            peak = max(peak, held)
    leaves = [e for e in profiler.events() if e.name.startswith("aten::") and not e.cpu_children]
    computing = [e for e in leaves if e.name.removeprefix("aten::") not in WITHOUT_KERNEL]
    return {"peak_bytes": peak, "launches": len(computing)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Search steps on shared weights, fused and plain.")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--channels", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--cells", nargs="+", type=int, default=[5, 8])
    parser.add_argument("--rounds", type=int, default=7, help="steps of each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = [
        compare(method, channels, cells, arguments.rounds, arguments.device, arguments.precision)
        for method in arguments.methods
        for channels in arguments.channels
        for cells in arguments.cells
    ]
    report = {
        "benchmark": "supernet",
        "nodes": 4,
        "operations": 8,
        "batch_size": BATCH,
        "image": list(TASK.input_shape),
        "threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
        "device": str(arguments.device),
        "precision": arguments.precision,
        "torch": torch.__version__,
        "targets": TARGETS,
        "sizes": sizes,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
