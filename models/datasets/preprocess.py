"""From the samples that a user has to what the network takes.

The steps are data (the JSON of `Dataset.preprocessing`). `apply` runs them here, and the same text
runs in a bundle's `model.py`: it knows nothing but torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch


def apply(raw: torch.Tensor, preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """Turn raw samples (N, *raw shape) of any number type into the network's input: float32, or
    int64 token ids where there is a vocabulary.
    """
    expected = tuple(preprocessing["input"]["shape"])
    if tuple(raw.shape[1:]) != expected:
        raise ValueError(f"a sample has shape {expected}, got a batch of {tuple(raw.shape)}")
    if "vocabulary" in preprocessing:
        return raw.to(torch.int64).contiguous()
    exact = preprocessing["input"].get("dtype") == "float64"
    x = raw.to(torch.float64 if exact else torch.float32)
    for step in preprocessing["steps"]:
        if step["op"] == "reshape":
            x = x.reshape(len(x), *step["shape"])
        elif step["op"] == "permute":
            x = x.permute(0, *(axis + 1 for axis in step["order"]))
        elif step["op"] == "scale":
            x = x * step["factor"]
        elif step["op"] == "impute":  # a value a column, for those that are missing
            values = torch.tensor(step["values"], dtype=x.dtype, device=x.device)
            x = torch.where(x.isnan(), values, x)
        elif step["op"] == "one_hot":  # options of each column; 0: a number, which stays
            x = torch.cat(
                [
                    (column == torch.arange(options, device=x.device)) if options else column
                    for column, options in zip(torch.split(x, 1, 1), step["options"], strict=True)
                ],
                dim=1,
            )
        elif step["op"] == "standardize":  # one mean and deviation a channel, by default axis 1
            shape = [1] * x.dim()
            shape[step.get("axis", 1)] = -1
            mean = torch.tensor(step["mean"], dtype=x.dtype, device=x.device)
            deviation = torch.tensor(step["std"], dtype=x.dtype, device=x.device)
            x = (x - mean.reshape(shape)) / deviation.reshape(shape)
        else:
            raise ValueError(f"unknown preprocessing step {step['op']!r}")
    return x.to(torch.float32).contiguous()


def encode(samples: Sequence[Any], preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The raw tensor of samples as people write them: rows (mappings from a column to its value) of
    a table, or texts. What is missing, and what the training split had not, is left open.
    """
    if "columns" in preprocessing:
        rows = []
        for sample in samples:
            row = []
            for column in preprocessing["columns"]:
                value = sample.get(column["name"])
                if column["kind"] == "category":
                    known = column["values"]
                    row.append(float(known.index(str(value))) if str(value) in known else -1.0)
                else:
                    row.append(float("nan") if value in (None, "") else float(value))
            rows.append(row)
        return torch.tensor(rows, dtype=torch.float64)
    ids = {token: number for number, token in enumerate(preprocessing["vocabulary"])}
    length, unknown = preprocessing["input"]["shape"][0], preprocessing["unknown"]
    texts = []
    for text in samples:
        tokens = words(text) if preprocessing["tokens"] == "words" else text
        row = [ids.get(token, unknown) for token in tokens[:length]]
        texts.append(row + [0] * (length - len(row)))
    return torch.tensor(texts, dtype=torch.int64)


def words(text: str) -> list[str]:
    """Lower-case words, and each sign between them."""
    return "".join(c if c.isalnum() else f" {c} " for c in text.lower()).split()


def source() -> str:
    """The text of `apply`, as a function `preprocess`, and of `encode`; they need `import torch`
    and no more.
    """
    functions = [inspect.getsource(words)]
    for function, head in (
        (apply, "def preprocess(raw: torch.Tensor, preprocessing: dict) -> torch.Tensor:\n"),
        (encode, "def encode(samples: list, preprocessing: dict) -> torch.Tensor:\n"),
    ):
        _, _, body = inspect.getsource(function).partition("-> torch.Tensor:\n")
        functions.append(head + body)
    return "\n\n".join(functions)
