"""Pictures from their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.datasets.pictures import PictureError, fitted, read_picture
from models.exporters.predicting.predictor import (
    BATCH,
    Missing,
    PredictionError,
    Predictor,
    is_array,
    listed,
)


class PicturePredictor(Predictor):
    """Of paths of pictures, which are read and fitted as those of training were."""

    def read(self, paths: Sequence[str], encoding: str = "utf-8") -> Any:
        if paths[0].endswith((".npz", ".npy")):
            return super().read(paths, encoding)
        return list(paths)

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        paths = [samples] if isinstance(samples, str | Path) else listed(samples)
        for start in range(0, len(paths), BATCH):
            yield torch.stack([self._picture(path) for path in paths[start : start + BATCH]])

    def _picture(self, path: Any) -> Tensor:
        if is_array(path):
            return next(self._parts(path))[0]
        if not isinstance(path, str | Path):
            raise PredictionError(f"a picture is a path or an array, got {type(path).__name__}")
        shape = self.preprocessing["input"]["shape"]
        try:
            with Path(path).open("rb") as file:
                picture = read_picture(file, with_alpha=shape[2:] == [4])
        except PictureError as error:
            raise PredictionError(f"{path}: {error}") from None
        except OSError as error:
            raise PredictionError(f"{path}: {error.strerror}") from None
        raw = torch.from_numpy(fitted(picture, shape[0], shape[1]).copy())
        if len(shape) == 3 and raw.dim() == 2:
            raw = raw.unsqueeze(-1).expand(*shape).contiguous()
        elif len(shape) == 2 and raw.dim() == 3:
            raw = (raw.to(torch.float32) @ torch.tensor([0.299, 0.587, 0.114])).round()
        return raw
