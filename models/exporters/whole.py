"""A network with its preprocessing as one module of tensors, and what other runtimes take of it."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from models.datasets import preprocess
from models.exporters import CannotExportError

INPUT, OUTPUT, BATCH = "input", "output", "batch"
_EXAMPLES = 2
"""Samples of which it is traced: fewer than any other size would be taken for a constant."""


@runtime_checkable
class Convertible(Protocol):
    """An exporter that needs no more than a network and its preprocessing, at any time."""

    @staticmethod
    def convert(folder: Path, network: nn.Module, preprocessing: Mapping[str, Any]) -> None:
        """As `Exporter.write`."""

    @staticmethod
    def check(bundle: Any) -> None: ...


class Whole(nn.Module):
    """From raw samples, as `preprocessing.json` says them, to the outputs of `model.py`.

    Shapes:
        (N, *raw shape) -> as the network's
    """

    def __init__(self, network: nn.Module, preprocessing: Mapping[str, Any]) -> None:
        super().__init__()
        self.network, self._preprocessing = network, preprocessing

    def forward(self, raw: Tensor) -> Tensor:
        outputs: Tensor = self.network(preprocess.apply(raw, self._preprocessing))
        return outputs


def program(network: nn.Module, preprocessing: Mapping[str, Any]) -> ExportedProgram:
    """What `torch.export` makes of both, for any number of samples.

    Raises:
        CannotExportError: samples that are no tensor, or a network that is not only tensors.
    """
    raw = preprocessing["input"]
    if raw.get("kind") == "graph":
        raise CannotExportError(
            "a graph is no batch of tensors of one shape: its links are sorted and counted by "
            "their values, which no exported program holds; use model.py"
        )
    example = torch.zeros(_EXAMPLES, *raw["shape"], dtype=getattr(torch, raw["dtype"]))
    whole, dynamic = Whole(network, preprocessing).eval(), {0: Dim(BATCH, min=1)}
    with quietly(), torch.no_grad():
        return torch.export.export(whole, (example,), dynamic_shapes=(dynamic,))


@contextmanager
def quietly() -> Iterator[None]:
    """Exporters tell developers of torch a lot, on all ways there are."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
