"""`model.pt2`: the network with its preprocessing as a program of `torch.export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from models.exporters import Export, Turn, exporters
from models.exporters.whole import program, quietly

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("pt2")
class Pt2:
    files = ("model.pt2",)
    card = (
        'both as a program: `torch.export.load("model.pt2").module()(raw)`, any number of samples'
    )
    is_required = False
    turn = Turn.FORMAT

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        Pt2.convert(folder, export.network, export.dataset.preprocessing)

    @staticmethod
    def convert(folder: Path, network: nn.Module, preprocessing: Mapping[str, Any]) -> None:
        exported = program(network, preprocessing)
        with quietly():
            torch.export.save(exported, folder / "model.pt2")

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It gives the outputs of `model.py` for the raw test split, to 1e-5 of the largest, for
        many samples at once and for one alone.
        """
        import torch

        loaded = torch.export.load(bundle.folder / "model.pt2").module()  # this very process's own
        raw, scale = bundle.raw["x"], max(1.0, bundle.outputs.abs().max().item())
        for count in (len(raw), 1):
            with torch.no_grad():
                found = loaded(raw[:count].contiguous())
            wanted = bundle.outputs[:count]
            difference = (found - wanted).abs().max().item()
            if found.shape != wanted.shape or not difference <= 1e-5 * scale:
                raise ValueError(f"model.pt2 and model.py differ by {difference} of {count}")
