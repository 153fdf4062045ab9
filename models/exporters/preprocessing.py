"""`preprocessing.json`: how raw samples become what the network takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.exporters import Export, Turn, exporters, write_json

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("preprocessing")
class Preprocessing:
    files = ("preprocessing.json",)
    card = "what `preprocess` needs to turn raw samples into its input"
    is_required = True
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        write_json(folder / "preprocessing.json", export.dataset.preprocessing)

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It names the raw input, and by it `model.py` takes the raw test split: an output a
        sample.
        """
        if "input" not in bundle.preprocessing:
            raise ValueError(f"preprocessing.json has {sorted(bundle.preprocessing)}, no input")
        if len(bundle.outputs) != len(bundle.targets):
            raise ValueError(f"{len(bundle.outputs)} outputs of {len(bundle.targets)} samples")
