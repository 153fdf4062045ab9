"""From the samples that a user has to what the network takes.

The steps are data (the JSON of `Dataset.preprocessing`). `apply` runs them here, and the same text
runs in a bundle's `model.py`: it knows nothing but torch, and `encode` the standard library beside.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from models.datasets.cells import (
    boolean_of,
    bucket_of,
    date_of,
    date_parts,
    is_unspaced,
    number_of,
    text_of,
    text_parts,
    tokens_of,
    unicode_words,
    words,
)
from models.datasets.quantile_map import piecewise_linear
from models.datasets.target import own_values
from models.recipe import VALUE_TASKS


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
                    (column == torch.arange(options, device=x.device)).to(x.dtype)
                    if options
                    else column
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
        elif step["op"] == "quantile":
            x = at_quantiles(x, step)
        else:
            raise ValueError(f"unknown preprocessing step {step['op']!r}")
    return x.to(torch.float32).contiguous()


def at_quantiles(x: torch.Tensor, step: Mapping[str, Any]) -> torch.Tensor:
    """Features at their place among those of training, as scores of the normal distribution.

    Shapes:
        (N, features) -> the same, float64
    """
    columns = list(x.to(torch.float64).unbind(dim=1))
    maps = zip(step["features"], step["values"], step["scores"], strict=True)
    for feature, values, scores in maps:
        knots, heights = (
            torch.tensor(part, dtype=torch.float64, device=x.device) for part in (values, scores)
        )
        columns[feature] = piecewise_linear(columns[feature], knots, heights)
    return torch.stack(columns, dim=1)


def encode_rows(samples: Sequence[Any], preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The raw tensor of rows as people write them: mappings from a column to its value, or to what
    a file shows of it. What is missing, and what the training split had not, is left open.
    """
    rows = []
    for sample in samples:
        row: list[float] = []
        for column in preprocessing["columns"]:
            row += encode_cell(sample.get(column["name"]), column)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def encode_cell(value: Any, column: Mapping[str, Any]) -> list[float]:
    """The raw numbers of one cell; NaN for a number that is missing, -1 for a place."""
    kind, text = column["kind"], text_of(value)
    missing = text.lower() in column.get("missing", ("",))
    if missing:
        text = ""
    if kind == "category":
        known, buckets = column["values"], column.get("buckets", 0)
        if text in known:
            return [float(known.index(text))]
        return [float(len(known) + bucket_of(text, buckets)) if text and buckets else -1.0]
    if kind == "text":
        return text_parts(text, column["buckets"], column.get("tokens", "words"))
    if kind == "date":
        date = None if missing else date_of(text, column["order"])
        if date is None:
            return [float("nan")] * (6 if column["time"] else 4) + [-1.0]
        return date_parts(date, column["origin"], column["time"])
    if kind == "boolean":
        number = boolean_of(text)
    else:
        number = number_of(text, column.get("decimal", "."))
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value)
    return [float("nan") if missing or number is None else number]


def encode_texts(samples: Sequence[Any], preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The raw tensor of texts: token ids, 0 after the end of a text."""
    ids = {token: number for number, token in enumerate(preprocessing["vocabulary"])}
    length, unknown = preprocessing["input"]["shape"][0], preprocessing["unknown"]
    missing = preprocessing.get("missing", ())
    texts = []
    for text in samples:
        is_missing = bool(missing) and text.strip().lower() in missing
        tokens = [] if is_missing else tokens_of(text, preprocessing["tokens"])[:length]
        row = [ids.get(token, unknown) for token in tokens]
        texts.append(row + [0] * (length - len(row)))
    return torch.tensor(texts, dtype=torch.int64)


def encode(samples: Sequence[Any], preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The raw tensor of samples as people write them: rows of a table, or texts."""
    of_rows = "columns" in preprocessing
    return encode_rows(samples, preprocessing) if of_rows else encode_texts(samples, preprocessing)


def source(task_name: str) -> str:
    """The text of `apply`, as a function `preprocess`, of `encode` where samples of the task are
    written by people, and of `own_values` where it predicts values; they need torch and the
    standard library.
    """
    parts = []
    of_texts = [inspect.getsource(part) for part in (words, is_unspaced, unicode_words, tokens_of)]
    if task_name.startswith("tabular"):
        of_cells = (text_of, number_of, boolean_of, date_of, date_parts, bucket_of)
        parts = [inspect.getsource(part) for part in of_cells]
        parts += [*of_texts, inspect.getsource(text_parts)]
        parts.append(_renamed(encode_cell, "encode_cell"))
        parts.append(_renamed(encode_rows, "encode"))
    elif task_name in ("text_classification", "language_modeling"):
        parts = [*of_texts, _renamed(encode_texts, "encode")]
    parts.append(_renamed(apply, "preprocess"))
    more: list[Callable[..., Any]] = [at_quantiles, piecewise_linear]
    if task_name in VALUE_TASKS:
        more.append(own_values)
    parts += [_renamed(part, part.__name__) for part in more]
    return "\n\n".join(parts)


def _renamed(function: Callable[..., Any], name: str) -> str:
    text = inspect.getsource(function).replace(f"def {function.__name__}(", f"def {name}(", 1)
    return text.replace("Mapping[str, Any]", "dict").replace("Sequence[Any]", "list")
