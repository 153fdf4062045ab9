"""A text, to model its language by character."""

from __future__ import annotations

import codecs
from dataclasses import replace
from pathlib import Path

from models.datasets import Dataset, text
from models.datasets.columns import is_text
from models.datasets.dialect import check_encoding, encoding_of, head_bytes
from models.datasets.encodings import foreign, is_binary
from models.datasets.formats import FormatError, Upload, formats

WINDOW = 128
MAX_CHARACTERS = 100_000_000

_WITH_NUL = ("utf-8", "utf-16-le", "utf-16-be")


@formats.register("plain_text")
class PlainText:
    tasks = frozenset({"language_modeling"})
    options = frozenset({"window", "encoding"})
    description = "a text"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Texts with a NUL among them, and UTF-16 without a mark: reading says what is wrong."""
        with path.open("rb") as file:
            head = file.read(4096)
        return is_text(path) or any(_decodes(head, name) for name in _WITH_NUL)

    @staticmethod
    def read(upload: Upload) -> Dataset:
        if upload.path.stat().st_size > 4 * MAX_CHARACTERS:
            raise FormatError(f"a text has at most {MAX_CHARACTERS:,} characters")
        head = head_bytes(upload.path)
        if (
            is_binary(head)
            and (found := foreign(head)) is not None
            and not found[0].startswith("no")
        ):
            raise FormatError(f"the file is {found[0]}, no text; unpack it, or save it as a text")
        encoding, remarks = encoding_of(upload.path, upload.options.encoding)
        check_encoding(upload.path, encoding, "line")
        whole = upload.path.read_bytes().decode(encoding).removeprefix("\ufeff")
        split = upload.options.split
        dataset = text.language_modeling(
            upload.name,
            whole,
            window=upload.options.window or WINDOW,
            validation=split.validation,
            test=split.test,
        )
        return replace(dataset, remarks=(*remarks, *dataset.remarks))


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True
