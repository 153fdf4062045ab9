"""Activations by name: modules without parameters, applied value by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import nn

ActivationName = Literal["relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hardswish", "tanh"]

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "tanh": nn.Tanh,
}
