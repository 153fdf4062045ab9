"""Rows of a table as what the network takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from models.exporters.predicting.predictor import Missing
from models.exporters.predicting.rows import RowsPredictor

ROWS = 4096
"""That are encoded at once."""


class TablePredictor(RowsPredictor):
    """Of numbers, categories, dates and whatever else stands in columns."""

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        columns, count = self._columns(samples, missing)
        for start in range(0, count, ROWS):
            yield self._encoded(columns, start)

    def _encoded(self, columns: Mapping[str, list[Any]], start: int) -> Tensor:
        """The raw tensor of some rows; what of their cells says nothing is counted."""
        parts = []
        for column in self.preprocessing["columns"]:
            cells = columns[column["name"]][start : start + ROWS]
            part = self._model.encode_column(cells, column)
            if column["kind"] != "text" and column["name"] not in self.filled:
                self._count(cells, part[:, 0], column)
            parts.append(part)
        return torch.cat(parts, dim=1)

    def _count(self, cells: list[Any], first: Tensor, column: Mapping[str, Any]) -> None:
        is_category = column["kind"] == "category"
        wordless = first < 0 if is_category else first.isnan()
        for row in wordless.nonzero().flatten().tolist():
            is_empty = self._model.text_of(cells[row]).lower() in column.get("missing", ("",))
            others = self.unknown if is_category else self.unreadable
            counts = self.empty if is_empty else others
            counts[column["name"]] = counts.get(column["name"], 0) + 1
