"""`architecture.json`: which network it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.exporters import Export, Turn, exporters, write_json

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("architecture")
class ArchitectureDocument:
    files = ("architecture.json",)
    card = "the architecture: its family and what was decided"
    is_required = True
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        write_json(folder / "architecture.json", export.checkpoint.architecture.to_json())

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It names a family and its decisions, each of them a word, a number or a truth value."""
        document = bundle.json("architecture.json")
        if document.keys() != {"family", "decisions"} or not isinstance(document["family"], str):
            raise ValueError(f"architecture.json has {sorted(document)}, not family and decisions")
        for name, value in document["decisions"].items():
            if not isinstance(value, str | int | float | bool):
                raise ValueError(f"architecture.json decides {name} by {value!r}")
