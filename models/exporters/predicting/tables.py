"""Rows of a table as what the network takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.exporters.predicting.predictor import Missing
from models.exporters.predicting.rows import RowsPredictor

ROWS = 4096
"""That the network takes at once, and whose texts are encoded at once."""


class TablePredictor(RowsPredictor):
    """Of numbers, categories, dates and whatever else stands in columns."""

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        columns, count = self._columns(samples, missing)
        known = self._encoded(columns) if count else {}
        texts = [column for column in self.preprocessing["columns"] if column["kind"] == "text"]
        for start in range(0, count, ROWS):
            rows = slice(start, start + ROWS)
            parts = {name: raw[rows] for name, raw in known.items()}
            for column in texts:
                cells = columns[column["name"]][rows]
                parts[column["name"]] = self._model.encode_column(cells, column)
            yield torch.cat([parts[column["name"]] for column in self.preprocessing["columns"]], 1)

    def _encoded(self, columns: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """The raw numbers of all columns but texts, of which each has many; what of their cells
        says nothing is counted.
        """
        found = {}
        for column in self.preprocessing["columns"]:
            name = column["name"]
            if column["kind"] != "text":
                found[name] = self._model.encode_column(columns[name], column)
                if name not in self.filled:
                    self._count(columns[name], found[name][:, 0], column)
                    self._count_unsigned(name, columns[name], column)
        return found

    def _count(self, cells: list[Any], first: Tensor, column: Mapping[str, Any]) -> None:
        is_category = column["kind"] == "category"
        wordless = (first < 0 if is_category else first.isnan()).nonzero().flatten().tolist()
        distinct, places = self._model.distinct_of([cells[row] for row in wordless])
        others = self.unknown if is_category else self.unreadable
        for cell, count in zip(distinct, places.bincount().tolist(), strict=True):
            is_empty = self._model.text_of(cell).lower() in column.get("missing", ("",))
            counts = self.empty if is_empty else others
            counts[column["name"]] = counts.get(column["name"], 0) + count
