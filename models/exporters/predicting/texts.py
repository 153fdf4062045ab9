"""Texts, alone or in a column, as token ids."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from torch import Tensor

from models.datasets.cells import composed
from models.datasets.encodings import foreign, is_binary
from models.datasets.layout import lines_above
from models.datasets.separators import SEPARATORS, USUAL_SEPARATORS, cells_in
from models.exporters.predicting.predictor import (
    BATCH,
    Missing,
    PredictionError,
    is_array,
    listed,
)
from models.exporters.predicting.rows import RowsPredictor
from models.exporters.predicting.text_files import SAMPLE

TABLES = (".csv", ".tsv")
"""Files of these names have a header, where those of training had one."""


class TextPredictor(RowsPredictor):
    """Of strings, of rows or columns with a column of texts, or of a file with a text a line."""

    @property
    def columns(self) -> list[str]:
        return [self.preprocessing["text"]] if "text" in self.preprocessing else []

    def outputs(self, samples: Any, *, missing: Missing = "error") -> Tensor:
        if is_array(samples) and not isinstance(samples, Tensor) and samples.dtype.kind in "OUT":
            samples = samples.reshape(-1).tolist()  # texts, and no tokens
        return super().outputs(samples, missing=missing)

    def _read(self, path: str, text: str) -> Any:
        if self._is_headed(path, text):
            return super()._read(path, text)
        if "header" in self.preprocessing:
            with suppress(PredictionError):  # of rows without a header; else a text a line
                return super()._read(path, text)
        return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]

    def _check(self, path: str, head: bytes) -> None:
        """Any text is one, but what is written for programs alone."""
        if (found := foreign(head)) is not None and (is_binary(head) or found[0] == "JSON"):
            raise PredictionError(f"{path} is {found[0]}, no texts; {found[1]}, or a text a line")

    def _is_headed(self, path: str, text: str) -> bool:
        """Whether the first line names the column; else each line is a text, commas and all.

        Raises:
            PredictionError: it seems to name it, or would in a file of that name, and does not.
        """
        if not self.columns:
            return False
        text = re.sub(r"^sep=.\r?\n", "", text[:SAMPLE])
        above = lines_above(text)
        first = next(islice(io.StringIO(text, newline=None), above, None), "").strip("\n#")
        cells = cells_of_header(first)
        if composed(self.columns[0]) in cells:
            return True
        near = [cell for cell in cells if cell.casefold() == self.columns[0].casefold()]
        if near or ("header" not in self.preprocessing and path.lower().endswith(TABLES)):
            has = f"it has {near[0]!r}" if near else f"its first line is {first[:80]!r}"
            raise PredictionError(
                f"{path} has no column {self.columns[0]!r}: {has}; a file with a text a line is "
                "one of another name, as texts.txt",
                column=self.columns[0],
            )
        return False

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        texts = self._texts(samples, missing)
        for start in range(0, len(texts), BATCH):
            yield self._tokens(texts[start : start + BATCH], start)

    def _texts(self, samples: Any, missing: Missing) -> list[Any]:
        if isinstance(samples, str):
            return [samples]
        is_table = hasattr(samples, "columns") or isinstance(samples, Mapping)
        if not is_table:
            samples = listed(samples)
            is_table = bool(samples) and isinstance(samples[0], Mapping)
        if not is_table:
            return self._filled(samples)
        if not self.columns:
            raise PredictionError("the model was trained on texts without a column's name")
        columns, _ = self._columns(samples, missing)
        return self._filled(columns[self.columns[0]])

    def _filled(self, texts: Sequence[Any]) -> list[Any]:
        """What is missing is an empty text; those are counted."""
        found = ["" if text is None or text != text else text for text in texts]
        empty = sum(isinstance(text, str) and not text.strip() for text in found)
        name = self.preprocessing.get("text", "text")
        if empty and name not in self.filled:
            self.empty[name] = empty
        return found

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


def cells_of_header(line: str) -> set[str]:
    """The names in a line that may be a header, by whichever sign divides it; of signs that
    texts hold as well those in quotes.
    """
    found = {composed(line.strip())}
    for sign in SEPARATORS:
        cells = {composed(cell.strip()) for cell in next(cells_in([line], sign), [])}
        found |= {c for c in cells if sign in USUAL_SEPARATORS or f'"{c}"' in line}
    return found
