"""Texts, alone or in a column, as token ids."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from torch import Tensor

from models.datasets.layout import SEPARATORS
from models.exporters.predicting.predictor import BATCH, Missing, PredictionError
from models.exporters.predicting.rows import RowsPredictor


class TextPredictor(RowsPredictor):
    """Of strings, of rows or columns with a column of texts, or of a file with a text a line."""

    @property
    def columns(self) -> list[str]:
        return [self.preprocessing["text"]] if "text" in self.preprocessing else []

    def _read(self, path: str, text: str) -> Any:
        if self._is_headed(text):
            return super()._read(path, text)
        if "header" in self.preprocessing:
            with suppress(PredictionError):  # of rows without a header; else a text a line
                return super()._read(path, text)
        return text.splitlines()

    def _check(self, path: str) -> None:
        """Any text is one."""

    def _is_headed(self, text: str) -> bool:
        """Whether the first line names the column; else each line is a text, commas and all."""
        first = text.partition("\n")[0]
        rows = [next(csv.reader([first], delimiter=sign), []) for sign in SEPARATORS]
        return any({cell.strip() for cell in row} & set(self.columns) for row in rows)

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        texts = self._texts(samples)
        for start in range(0, len(texts), BATCH):
            yield self._tokens(texts[start : start + BATCH], start)

    def _texts(self, samples: Any) -> list[Any]:
        if isinstance(samples, str):
            return [samples]
        is_table = hasattr(samples, "columns") or isinstance(samples, Mapping)
        if not is_table:
            samples = list(samples)
            is_table = bool(samples) and isinstance(samples[0], Mapping)
        if not is_table:
            return list(samples)
        if not self.columns:
            raise PredictionError("the model was trained on texts without a column's name")
        columns, _ = self._columns(samples, "error")
        texts = columns[self.columns[0]]
        return ["" if text is None or text != text else text for text in texts]

    def _tokens(self, texts: Sequence[Any], start: int) -> Tensor:
        for number, text in enumerate(texts, start):
            if not isinstance(text, str):
                raise PredictionError(
                    f"text {number} is {type(text).__name__}, not a string", number
                )
        tokens: Tensor = self._model.encode(texts, self.preprocessing)
        unknown = int((tokens == self.preprocessing["unknown"]).sum())
        if unknown:
            name = self.preprocessing.get("text", "text")
            self.unknown[name] = self.unknown.get(name, 0) + unknown
        return tokens
