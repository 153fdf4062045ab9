"""`.npz` table of known results: a search looks results up instead of training."""

from __future__ import annotations

from pathlib import Path

from models.datasets.formats import Upload, formats
from models.datasets.npz import is_npz
from models.datasets.tables import KnownResults, read_table


@formats.register("table")
class KnownResultsTable:
    tasks = frozenset({"table"})
    options: frozenset[str] = frozenset()
    description = "an .npz with dimensions, codes, search_score and final_score"

    @staticmethod
    def recognises(path: Path) -> bool:
        return is_npz(path)

    @staticmethod
    def read(upload: Upload) -> KnownResults:
        return read_table(upload.path, upload.name)
