"""Pictures from their files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.datasets.pictures import PictureError, fitted, read_picture, seen_picture
from models.exporters.predicting.predictor import (
    BATCH,
    Missing,
    PredictionError,
    Predictor,
    is_array,
    listed,
)

FAR = 8
"""How many times as far as in training pixels may go: less than from 0 to 1 to those of bytes."""


class PicturePredictor(Predictor):
    """Of paths of pictures, which are read and fitted as those of training were, of what Pillow has
    opened, or of arrays with their channels first or last.
    """

    def outputs(self, samples: Any, *, missing: Missing = "error") -> Tensor:
        if hasattr(samples, "getexif"):  # one that Pillow has opened
            samples = [samples]
        return super().outputs(samples, missing=missing)

    def read(self, paths: Sequence[str], encoding: str = "utf-8") -> Any:
        if paths[0].endswith((".npz", ".npy")):
            return super().read(paths, encoding)
        return list(paths)

    def _batches(self, samples: Any, missing: Missing) -> Iterator[Any]:
        pictures = [samples] if isinstance(samples, str | Path) else listed(samples)
        for start in range(0, len(pictures), BATCH):
            yield torch.stack([self._picture(one) for one in pictures[start : start + BATCH]])

    def _picture(self, picture: Any) -> Tensor:
        shape = self.preprocessing["input"]["shape"]
        with_alpha = shape[2:] == [4]
        if hasattr(picture, "getexif"):
            seen = seen_picture(picture, with_alpha)
        elif is_array(picture):
            return next(self._parts(picture[None]))[0]
        elif isinstance(picture, str | Path):
            seen = picture_in(picture, with_alpha)
        else:
            raise PredictionError(f"a picture is a path or an array, got {type(picture).__name__}")
        if FAR * self._reach() < 255:
            raise PredictionError(
                "pixels of a picture go to 255, the model was trained on arrays of values up to "
                f"{self._reach():g}; give it such an array"
            )
        raw = torch.from_numpy(fitted(seen, shape[0], shape[1]).copy())
        if len(shape) == 3 and raw.dim() == 2:
            raw = raw.unsqueeze(-1).expand(*shape).contiguous()
        elif len(shape) == 2 and raw.dim() == 3:
            raw = (raw.to(torch.float32) @ torch.tensor([0.299, 0.587, 0.114])).round()
        return raw

    def _as_given(self, raw: Tensor) -> Tensor:
        shape = list(self.preprocessing["input"]["shape"])
        is_first = raw.dim() == 4 and list(raw.shape[1:]) == [shape[-1], *shape[:-1]] != shape
        if is_first and len(shape) == 3:
            raw = raw.movedim(1, -1)
        most = float(raw.to(torch.float32).abs().max()) if raw.numel() else 0.0
        known, is_byte = self._reach(), self.preprocessing["input"]["dtype"] == "uint8"
        is_small = 0 < most <= 1 and known >= FAR and raw.is_floating_point() and not is_byte
        if FAR * known < most < math.inf or is_small:
            advice = "; divide them by 255" if known <= 1 and most <= 255 else ""
            raise PredictionError(
                f"the pictures hold values up to {most:.6g}, the model was trained on values up to "
                f"{known:.6g}{advice}"
            )
        return raw

    def _reach(self) -> float:
        """How far the pixels of training went."""
        known = self.preprocessing["input"].get("range", (0.0, 255.0))  # of files
        return float(max(map(abs, known)))


def picture_in(path: str | Path, with_alpha: bool) -> Any:
    """
    Raises:
        PredictionError: the file is not there, or shows no picture.
    """
    try:
        with Path(path).open("rb") as file:
            return read_picture(file, with_alpha=with_alpha)
    except PictureError as error:
        raise PredictionError(f"{path}: {error}") from None
    except OSError as error:
        raise PredictionError(f"{path}: {error.strerror}") from None
