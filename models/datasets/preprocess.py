"""From the samples that a user has to what the network takes.

The steps are data (the JSON of `Dataset.preprocessing`). `apply` runs them here, and the same text
runs in a bundle's `model.py`: it knows nothing but torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch


def apply(raw: torch.Tensor, preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """Turn raw samples (N, *raw shape) of any number type into the network's input: float32, or
    int64 token ids where there is a vocabulary.
    """
    expected = tuple(preprocessing["input"]["shape"])
    if tuple(raw.shape[1:]) != expected:
        raise ValueError(f"a sample has shape {expected}, got a batch of {tuple(raw.shape)}")
    x = raw.to(torch.int64 if "vocabulary" in preprocessing else torch.float32)
    for step in preprocessing["steps"]:
        if step["op"] == "reshape":
            x = x.reshape(len(x), *step["shape"])
        elif step["op"] == "permute":
            x = x.permute(0, *(axis + 1 for axis in step["order"]))
        elif step["op"] == "scale":
            x = x * step["factor"]
        elif step["op"] == "standardize":  # one mean and deviation a channel, the axis after N
            shape = (1, -1) + (1,) * (x.dim() - 2)
            mean = torch.tensor(step["mean"], dtype=torch.float32, device=x.device)
            deviation = torch.tensor(step["std"], dtype=torch.float32, device=x.device)
            x = (x - mean.reshape(shape)) / deviation.reshape(shape)
        else:
            raise ValueError(f"unknown preprocessing step {step['op']!r}")
    return x.contiguous()


def source() -> str:
    """The text of `apply` as a function `preprocess` that needs `import torch` and no more."""
    _, _, body = inspect.getsource(apply).partition("-> torch.Tensor:\n")
    return f"def preprocess(raw: torch.Tensor, preprocessing: dict) -> torch.Tensor:\n{body}"
