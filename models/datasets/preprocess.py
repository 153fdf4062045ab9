"""From the samples that a user has to what the network takes.

The steps are data (the JSON of `Dataset.preprocessing`). `apply` runs them here, and the same text
runs in a bundle's `model.py`: it knows nothing but torch, and `encode` the standard library beside.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from models.datasets.amounts import amount_of, clock_of, number_of, parted, unmarked
from models.datasets.cells import (
    boolean_of,
    bucket_of,
    composed,
    is_unspaced,
    real_of,
    subwords,
    text_of,
    tokens_of,
    unicode_words,
    words,
)
from models.datasets.dates import (
    date_of,
    date_parts,
    day_of_year,
    is_weekday,
    month_of,
    named_date,
    numbered_date,
    seconds_of_day,
    tidied_date,
)
from models.datasets.decision import decided, label_probabilities, labels_said, probabilities
from models.datasets.quantile_map import piecewise_linear
from models.datasets.target import own_values
from models.recipe import CLASS_TASKS, VALUE_TASKS
from models.task import MULTILABEL


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
            x = x.reshape(x.shape[0], *step["shape"])
        elif step["op"] == "permute":
            x = x.permute(0, *(axis + 1 for axis in step["order"]))
        elif step["op"] == "scale":
            x = x * step["factor"]
        elif step["op"] == "impute":  # a value a column, for those that are missing
            values = torch.tensor(step["values"], dtype=x.dtype, device=x.device)
            x = torch.where(x.isnan(), values, x)
        elif step["op"] == "one_hot":  # options of each column; 0: a number, which stays
            parts, start = [], 0
            for place, options in enumerate(step["options"]):
                if options:
                    column, known = x[:, place : place + 1], torch.arange(options, device=x.device)
                    parts += [x[:, start:place], (column == known).to(x.dtype)]
                    start = place + 1
            x = torch.cat([*parts, x[:, start:]], dim=1)
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
    parts = []
    for column in preprocessing["columns"]:
        name = column["name"]
        parts.append(encode_column([sample.get(name) for sample in samples], column))
    return torch.cat(parts, dim=1)


def encode_column(values: Sequence[Any], column: Mapping[str, Any]) -> torch.Tensor:
    """The raw numbers of the cells of a column; a text that comes again is read once.

    Shapes:
        values: (N,) -> (N, numbers of a cell) float64
    """
    if column["kind"] == "number":
        return encode_numbers(values, column).unsqueeze(1)
    if column["kind"] != "text":
        return encode_cells(values, column)
    distinct, places = distinct_of(values)
    words = column.get("missing", ("",))
    texts = [text_of(value) for value in distinct]
    texts = ["" if text.lower() in words else text for text in texts]
    return hashed_texts(texts, column["buckets"], column.get("tokens", "words"))[places]


def encode_numbers(values: Sequence[Any], column: Mapping[str, Any]) -> torch.Tensor:
    """The raw number of each cell: what is written as numbers usually are is read at once.

    Shapes:
        values: (N,) -> (N,) float64
    """
    is_usual = not any(map(str.isdigit, "".join(column.get("missing", ()))))
    is_usual = is_usual and not column.get("clock") and column.get("units", {}).get("", 1.0) == 1.0
    comma = column.get("decimal", ".") == ","
    usual = usual_numbers(values, comma) if is_usual else [math.nan] * len(values)
    numbers = torch.tensor(usual, dtype=torch.float64)
    others = (~(numbers.abs() < 3e38)).nonzero().flatten()
    if len(others):
        cells = [values[row] for row in others.tolist()]
        numbers[others] = encode_cells(cells, column)[:, 0]
    return numbers


def encode_cells(values: Sequence[Any], column: Mapping[str, Any]) -> torch.Tensor:
    """The raw numbers of each cell, each by itself.

    Shapes:
        values: (N,) -> (N, numbers of a cell) float64
    """
    distinct, places = distinct_of(values)
    cells = [encode_cell(value, column) for value in distinct]
    return torch.tensor(cells, dtype=torch.float64)[places]


def distinct_of(values: Sequence[Any]) -> tuple[list[Any], torch.Tensor]:
    """Values, those that come again once where they are texts or floats, and where each stands.

    Shapes:
        (N,) int64
    """
    if not {str, float, type(None)}.issuperset(map(type, values)):  # 1 and True are equal
        return list(values), torch.arange(len(values))
    known = {value: place for place, value in enumerate(dict.fromkeys(values))}
    return list(known), torch.tensor([known[value] for value in values], dtype=torch.int64)


def usual_numbers(values: Sequence[Any], comma: bool) -> list[float]:
    """What cells say that are written as numbers usually are, NaN for the others."""
    try:
        whole = "".join(values)
        if not ("_" in whole or (comma and "." in whole)):
            cells = [value.replace(",", ".") for value in values] if comma else values
            return [float(cell) if cell else math.nan for cell in cells]
    except (TypeError, ValueError):  # one is no text, or none that is read at once
        pass
    return [usual_number(value, comma) for value in values]


def usual_number(value: Any, comma: bool) -> float:
    """The same of one cell."""
    if type(value) is float:
        return value
    if type(value) is not str or "_" in value or (comma and "." in value):
        return math.nan
    try:
        return float(value.replace(",", ".") if comma else value)
    except ValueError:
        return math.nan


def encode_cell(value: Any, column: Mapping[str, Any]) -> list[float]:
    """The raw numbers of one cell that is no text of many words; NaN for a number that is missing,
    -1 for a place.
    """
    kind, text = column["kind"], text_of(value)
    if kind != "category" or text not in column["values"]:  # older datasets know other spellings
        text = composed(text)
        if not isinstance(value, str):  # True, where a file says TRUE
            known = [word for word in column.get("values", ()) if word.lower() == text]
            text = known[0] if known and text in ("true", "false") else text
    missing = text.lower() in column.get("missing", ("",))
    if missing:
        text = ""
    if kind == "category":
        known, buckets = column["values"], column.get("buckets", 0)
        if text in known:
            return [float(known.index(text))]
        return [float(len(known) + bucket_of(text, buckets)) if text and buckets else -1.0]
    if kind == "date":
        date = None if missing else date_of(text, column["order"])
        if date is None:
            return [float("nan")] * (6 if column["time"] else 4) + [-1.0]
        return date_parts(date, column["origin"], column["time"])
    if kind == "boolean":
        number = boolean_of(text)
    else:
        number = amount_of(text, column)
        real = None if column.get("clock") else real_of(value)
        if real is not None:
            number = real * column.get("units", {}).get("", 1.0)
            number = number if abs(number) < 3e38 else None
    return [float("nan") if missing or number is None else number]


def hashed_texts(texts: Sequence[str], buckets: int, kind: str) -> torch.Tensor:
    """How often each text has each token and each pair of neighbours, hashed into `buckets` places:
    logarithms of the counts, of length 1 together.

    Shapes:
        texts: (N,) -> (N, buckets) float64
    """
    known: dict[str, int] = {}
    places = []
    for row, text in enumerate(texts):
        tokens = tokens_of(text, kind)
        for token in [*tokens, *(f"{a} {b}" for a, b in itertools.pairwise(tokens))]:
            if token not in known:
                known[token] = bucket_of(token, buckets)
            places.append(row * buckets + known[token])
    flat = torch.tensor(places, dtype=torch.int64)
    counts = torch.bincount(flat, minlength=len(texts) * buckets).reshape(len(texts), buckets)
    parts = counts.double().log1p()
    length = parts.square().sum(dim=1, keepdim=True).sqrt()
    return parts / torch.where(length > 0, length, 1.0)


def encode_texts(samples: Sequence[Any], preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The raw tensor of texts: token ids, 0 after the end of a text."""
    ids = {token: number for number, token in enumerate(preprocessing["vocabulary"])}
    length, unknown = preprocessing["input"]["shape"][0], preprocessing["unknown"]
    missing = preprocessing.get("missing", ())
    texts = []
    for text in samples:
        is_missing = bool(missing) and text.strip().lower() in missing
        tokens = [] if is_missing else tokens_of(text, preprocessing["tokens"], ids)[:length]
        row = [ids.get(token, unknown) for token in tokens]
        texts.append(row + [0] * (length - len(row)))
    return torch.tensor(texts, dtype=torch.int64)


def encode(samples: Sequence[Any], preprocessing: Mapping[str, Any]) -> torch.Tensor:
    """The raw tensor of samples as people write them: rows of a table, or texts."""
    of_rows = "columns" in preprocessing
    return encode_rows(samples, preprocessing) if of_rows else encode_texts(samples, preprocessing)


def source(task_name: str) -> str:
    """Of tasks of this form (`Task.form`) the text of `apply`, as a function `preprocess`, of
    `encode` where samples of the task are written by people, and of `own_values` where it predicts
    values; they need torch and the standard library.
    """
    parts = []
    cuts = (words, is_unspaced, unicode_words, subwords, tokens_of)
    of_texts = [inspect.getsource(part) for part in cuts]
    if task_name.startswith("tabular"):
        of_cells = (
            text_of,
            real_of,
            composed,
            number_of,
            parted,
            clock_of,
            unmarked,
            amount_of,
            boolean_of,
            bucket_of,
        )
        of_dates = (
            date_of,
            tidied_date,
            day_of_year,
            numbered_date,
            named_date,
            month_of,
            is_weekday,
        )
        all_of = (*of_cells, *of_dates, seconds_of_day, date_parts)
        parts = [_renamed(part, part.__name__) for part in all_of]
        parts += of_texts
        of_numbers = (usual_number, usual_numbers, encode_numbers)
        of_columns = (
            hashed_texts,
            encode_cell,
            distinct_of,
            encode_cells,
            *of_numbers,
            encode_column,
        )
        parts += [_renamed(part, part.__name__) for part in of_columns]
        parts.append(_renamed(encode_rows, "encode"))
    elif task_name in ("text_classification", "language_modeling"):
        parts = [*of_texts, _renamed(encode_texts, "encode")]
    parts.append(_renamed(apply, "preprocess"))
    more: list[Callable[..., Any]] = [at_quantiles, piecewise_linear]
    if task_name in VALUE_TASKS:
        more.append(own_values)
    parts += [_renamed(part, part.__name__) for part in more]
    return "\n\n".join(parts)


def deciding(task_name: str) -> list[str]:
    """The texts of what makes classes of outputs, `decided`, and `probabilities`, or labels,
    `labels_said` and `label_probabilities`; none where there are neither.
    """
    parts: tuple[Callable[..., Any], ...] = ()
    if task_name in CLASS_TASKS:
        parts = (decided, probabilities)
    elif task_name == MULTILABEL:
        parts = (labels_said, label_probabilities)
    return [_renamed(part, part.__name__) for part in parts]


def _renamed(function: Callable[..., Any], name: str) -> str:
    text = inspect.getsource(function).replace(f"def {function.__name__}(", f"def {name}(", 1)
    text = text.replace("Mapping[str, Any]", "dict").replace("Sequence[float]", "list")
    return text.replace("Sequence[Any]", "list").replace("Sequence[str]", "list")
