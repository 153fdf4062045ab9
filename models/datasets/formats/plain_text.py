"""A text in UTF-8, to model its language by character."""

from __future__ import annotations

from pathlib import Path

from models.datasets import Dataset, text
from models.datasets.columns import is_text
from models.datasets.formats import FormatError, Upload, formats

WINDOW = 128
MAX_CHARACTERS = 100_000_000


@formats.register("plain_text")
class PlainText:
    tasks = frozenset({"language_modeling"})
    options = frozenset({"window"})
    description = "a text in UTF-8"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_text(path)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        if upload.path.stat().st_size > 4 * MAX_CHARACTERS:
            raise FormatError(f"a text has at most {MAX_CHARACTERS:,} characters")
        content = upload.path.read_bytes()
        try:
            whole = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise FormatError(f"line {line}: byte {error.start} is not UTF-8") from None
        split = upload.options.split
        return text.language_modeling(
            upload.name,
            whole,
            window=upload.options.window or WINDOW,
            validation=split.validation,
            test=split.test,
        )
