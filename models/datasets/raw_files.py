"""Samples as the files that people have them in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

FilesOf = Callable[[Sequence[int]], "RawFiles"]
"""The files of samples, by their places among others."""


@dataclass(frozen=True, slots=True, eq=False)
class RawFiles:
    """Files one after the other, of which `predict.py` reads samples in that order.

    ending: of the names of all.
    picked: the samples that are meant, where the files have more.

    Shapes:
        content: (bytes of all files,) uint8; ends: (files,) int64, where each ends in it
    """

    content: Tensor
    ends: Tensor
    ending: str = ""
    picked: Tensor | None = None

    @classmethod
    def of(cls, files: Iterable[bytes], ending: str = "", picked: Tensor | None = None) -> RawFiles:
        parts = list(files)
        content = torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8)
        ends = torch.tensor([len(part) for part in parts], dtype=torch.int64).cumsum(0)
        return cls(content, ends, ending, picked)

    def write(self, folder: Path) -> list[Path]:
        """Make the folder, with the files under numbers; their paths, in order."""
        folder.mkdir()
        paths, start = [], 0
        for number, end in enumerate(self.ends.tolist()):
            path = folder / f"{number}{self.ending}"
            path.write_bytes(self.content[start:end].numpy().tobytes())
            paths.append(path)
            start = end
        return paths
