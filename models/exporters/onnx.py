"""`model.onnx`: the network with its preprocessing for ONNX Runtime and what else reads ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from models.exporters import CannotExportError, Export, Turn, exporters
from models.exporters.whole import INPUT, OUTPUT, program, quietly

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


@exporters.register("onnx")
class Onnx:
    files = ("model.onnx",)
    card = "both for ONNX Runtime: `input`, raw samples, to `output`; any number of samples at once"
    is_required = False
    turn = Turn.FORMAT

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        Onnx.convert(folder, export.network, export.dataset.preprocessing)

    @staticmethod
    def convert(folder: Path, network: nn.Module, preprocessing: Mapping[str, Any]) -> None:
        if lacking := [n for n in ("onnx", "onnxscript", "onnxruntime") if find_spec(n) is None]:
            raise CannotExportError(
                f"{' and '.join(lacking)} are not installed where it is made: "
                "pip install 'nasmith-server[onnx]'"
            )
        exported = program(network, preprocessing)
        with quietly():
            made = torch.onnx.export(
                exported, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
            if made is None:
                raise CannotExportError("torch.onnx has exported nothing")
            made.save(str(folder / "model.onnx"), external_data=False)

    @staticmethod
    def check(bundle: Bundle) -> None:
        """By ONNX Runtime it gives the outputs of `model.py` for the raw test split, to 1e-4 of the
        largest, for many samples at once and for one alone; its weights are in the one file.
        """
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        content = (bundle.folder / "model.onnx").read_bytes()  # alone: there is no second file
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        (given,), (known,) = session.get_inputs(), session.get_outputs()
        if (given.name, known.name) != ("input", "output"):
            raise ValueError(f"model.onnx maps {given.name} to {known.name}")
        if not isinstance(given.shape[0], str):
            raise ValueError(f"model.onnx takes {given.shape[0]} samples at once, and no others")
        raw, wanted = bundle.raw["x"].numpy(), bundle.outputs.numpy()
        scale = max(1.0, numpy.abs(wanted).max().item())
        for count in (len(raw), 1):
            (found,) = session.run(None, {"input": raw[:count]})
            difference = numpy.abs(found - wanted[:count]).max().item()
            if found.shape != wanted[:count].shape or not difference <= 1e-4 * scale:
                raise ValueError(f"model.onnx and model.py differ by {difference} of {count}")
