"""What modules and tensor operations are called in a drawing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import singledispatch
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd, _MaxPoolNd

from models.cells import darts
from models.operations.recurrent import DartsCell, DartsRNN

Name = tuple[str, str]
"""What it is, and its sizes."""

TENSOR_OPERATIONS: Mapping[str, str] = {
    "add": "+",
    "sub": "\N{MINUS SIGN}",
    "mul": "\N{MULTIPLICATION SIGN}",
    "div": "\N{DIVISION SIGN}",
    "cat": "concat",
    "mean": "mean",
    "sum": "sum",
    "amax": "max",
    "relu": "ReLU",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "SiLU",
    "logsumexp": "log of mean",
    "embedding_bag_forward_only": "sum of neighbours",
}
"""Those that are drawn outside of modules, by their names in torch; others are drawn only where
they join what comes from several steps.
"""

_SHORT = frozenset({"appnp", "arma", "gat", "gcn", "gin", "rnn", "sgc"})
"""Names that are written in capitals, whatever their class is called."""

_WORDS = re.compile(r"ReLU|[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


def words(name: str) -> str:
    """Of a class: `SqueezeExcite` is squeeze excite."""
    found = _WORDS.findall(name)
    return " ".join(map(_word, found))


def _word(word: str) -> str:
    if word.lower() in _SHORT:
        return word.upper()
    return word if word == "ReLU" or (word.isupper() and len(word) > 1) else word.lower()


@singledispatch
def name_of(module: nn.Module) -> Name:
    """A class that is not known here is called by its own name."""
    if type(module).__module__.startswith("torch.nn.modules.activation"):
        return type(module).__name__, ""
    return words(type(module).__name__), ""


@name_of.register
def _convolution(module: _ConvNd) -> Name:
    kernel = _sides(module.kernel_size)
    kind = "conv"
    if module.groups > 1:
        kind = "depthwise conv" if module.groups == module.in_channels else "grouped conv"
    if any(step > 1 for step in module.dilation):
        kind = f"dilated {kind}"
    return f"{kind} {kernel}", _change(module.in_channels, module.out_channels, module.stride)


@name_of.register
def _linear(module: nn.Linear) -> Name:
    return "linear", _change(module.in_features, module.out_features)


@name_of.register
def _embedding(module: nn.Embedding) -> Name:
    return "embedding", f"{module.num_embeddings:,} tokens \N{RIGHTWARDS ARROW} " + str(
        module.embedding_dim
    )


@name_of.register
def _batch_norm(module: _BatchNorm) -> Name:
    return "batch norm", ""


@name_of.register
def _max_pool(module: _MaxPoolNd) -> Name:
    return f"max pool {_sides(module.kernel_size)}", _stride(module.stride)


@name_of.register
def _mean_pool(module: _AvgPoolNd) -> Name:
    return f"mean pool {_sides(module.kernel_size)}", _stride(module.stride)


@name_of.register
def _mean_over_grid(module: _AdaptiveAvgPoolNd) -> Name:
    sides = _sides(module.output_size)
    return "mean over pixels" if set(sides.split(TIMES)) == {"1"} else f"mean to {sides}", ""


@name_of.register
def _recurrent(module: nn.RNNBase) -> Name:
    return module.mode.partition("_")[0], _layers(
        module.input_size, module.hidden_size, module.num_layers, module.bidirectional
    )


@name_of.register
def _darts_recurrent(module: DartsRNN) -> Name:
    cell, layers = module.cells[0], len(module.cells) // module.directions
    assert isinstance(cell, DartsCell)  # noqa: S101 - for the type checker
    sizes = cell.input.in_features, cell.hidden
    return "DARTS RNN", _layers(*sizes, layers, module.directions > 1)


@name_of.register
def _darts_cell(module: darts.Cell) -> Name:
    return f"{module.kind} cell", ""


TIMES = "\N{MULTIPLICATION SIGN}"


def _sides(size: Any) -> str:
    """Of a kernel or a grid: 3x3; of one number for all sides, it twice."""
    return TIMES.join(map(str, size)) if isinstance(size, tuple) else f"{size}{TIMES}{size}"


def _change(before: int, after: int, stride: Any = 1) -> str:
    said = f"{before} \N{RIGHTWARDS ARROW} {after}"
    return f"{said}, {_stride(stride)}" if _stride(stride) else said


def _stride(stride: Any) -> str:
    steps = set(stride) if isinstance(stride, tuple) else {stride}
    return "" if steps == {1} else f"stride {max(steps)}"


def _layers(inputs: int, hidden: int, layers: int, both_ways: bool) -> str:
    said = f"{inputs} \N{RIGHTWARDS ARROW} {hidden}"
    said += f", {layers} layers" if layers > 1 else ""
    return said + (", both directions" if both_ways else "")


def is_invisible(module: nn.Module) -> bool:
    """Whether it changes nothing of a trained network but shapes."""
    is_dropout = type(module).__name__.endswith("Dropout") or isinstance(module, nn.Dropout)
    return is_dropout or isinstance(module, nn.Identity | nn.Flatten)


_WHOLE = ("message_passing", "propagation", "numeric_embedding")


def is_whole(module: nn.Module) -> bool:
    """Whether its inside is how it is computed, and not how it is made: its name says it."""
    parent, _, place = type(module).__module__.rpartition(".")
    return parent == "torch.nn.modules" or (parent == "models.operations" and place in _WHOLE)


def is_container(module: nn.Module) -> bool:
    return type(module) in (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def operation_name(function: Callable[..., Any]) -> str:
    """Of an overload of torch, without what marks it as in place or private."""
    packet = getattr(function, "overloadpacket", function)
    return str(getattr(packet, "__name__", packet)).strip("_")
