"""`model.safetensors`: the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file

from models.checkpoint import weights_of
from models.exporters import Export, Turn, exporters

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("weights")
class Weights:
    files = ("model.safetensors",)
    card = "its weights, by their names in the `state_dict`"
    is_required = True
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        weights = weights_of(export.network)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    @staticmethod
    def check(bundle: Bundle) -> None:
        """Its tensors are those that the network of `model.py` has, by name, shape and type, and
        with them it gives finite numbers for the raw test split.
        """
        import torch
        from safetensors.torch import load_file

        weights = load_file(bundle.folder / "model.safetensors")
        for name, fresh in bundle.model.build().state_dict().items():
            if name in weights and weights[name].dtype != fresh.dtype:
                raise ValueError(f"{name} is {weights[name].dtype}, not {fresh.dtype}")
        if not torch.isfinite(bundle.outputs).all():  # of the network that has loaded them, all
            raise ValueError("the network gives numbers that are not finite")
