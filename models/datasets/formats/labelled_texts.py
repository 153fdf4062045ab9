"""CSV with a text and a class in each row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.datasets import Dataset, text
from models.datasets.columns import FIRST_ROW, is_text, labels, read_texts
from models.datasets.formats import MAX_VALUES, FormatError, Upload, formats
from models.datasets.formats.tabular import chosen, labelled_rows


@formats.register("labelled_texts")
class LabelledTexts:
    tasks = frozenset({"text_classification"})
    options = frozenset({"text", "target", "window", "unlabelled"})
    description = "a CSV with a column of texts and one of classes"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_text(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        options, columns = upload.options, read_texts(upload.path)
        targets = chosen(columns, options.targets, "target")
        if len(targets) > 1:
            raise FormatError(f"a classification has one, got {len(targets)}", "target")
        others = [name for name in columns if name not in targets]
        given = options.text or (others[0] if len(others) == 1 else None)
        (column,) = chosen(columns, (given,) if given else (), "text")
        if column in targets:
            raise FormatError(f"{column!r} is the target", "text")
        known = labelled_rows(upload, columns, targets)
        y = labels(targets[0], columns[targets[0]][known], known + FIRST_ROW)
        texts, more = columns[column][known].tolist(), np.delete(columns[column], known).tolist()
        if len(columns[column]) * (options.window or 1) > MAX_VALUES:
            raise FormatError(f"more than {MAX_VALUES:,} tokens", "window")
        return text.classification(
            upload.name, texts, y, more, window=options.window, **upload.shares
        )
