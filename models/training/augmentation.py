"""Random changes of images, a whole batch at a time.

Every sample of an epoch gets its shift and flip at the start of the epoch; a batch is then one
gather from the stored images, which selects, shifts and flips at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, eq=False)
class Shifts:
    """How each sample is moved in one epoch.

    Shapes:
        rows, columns: (N,) pixels by which the window moves down and right
        flip: (N,) bool, mirrored left to right
    """

    rows: Tensor
    columns: Tensor
    flip: Tensor

    def to(self, device: torch.device) -> Shifts:
        fields = (self.rows, self.columns, self.flip)
        return Shifts(*(field.to(device, non_blocking=True) for field in fields))

    def split(self, steps: int) -> list[Shifts]:
        """One an element of `order.tensor_split(steps)`."""
        parts = (part.tensor_split(steps) for part in (self.rows, self.columns, self.flip))
        return [Shifts(*fields) for fields in zip(*parts, strict=True)]


def draw(count: int, height: int, width: int, *, flip: bool, generator: torch.Generator) -> Shifts:
    """Uniform whole shifts of up to an eighth of the side, at least one pixel, in both axes;
    with `flip`, half of the samples are mirrored.
    """
    down, right = max(1, height // 8), max(1, width // 8)
    return Shifts(
        torch.randint(-down, down + 1, (count,), generator=generator),
        torch.randint(-right, right + 1, (count,), generator=generator),
        torch.rand(count, generator=generator) < (0.5 if flip else 0.0),
    )


def gather(images: Tensor, index: Tensor, shifts: Shifts) -> Tensor:
    """Samples `index` of `images`, each shifted and flipped; pixels that come in from outside
    repeat the border.

    Shapes:
        images: (N, H, W, C); index: (B,) and shifts: one an entry of `index`
        returns (B, H, W, C)
    """
    height, width = images.shape[1:3]
    rows = torch.arange(height, device=images.device) + shifts.rows[:, None]
    columns = torch.arange(width, device=images.device) + shifts.columns[:, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    columns = torch.where(shifts.flip[:, None], columns.flip(1), columns)
    return images[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def distorted(images: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """A random part of each image in its full size, and its contrast and brightness changed: views
    of Chen et al., SimCLR, ICML 2020, https://arxiv.org/abs/2002.05709, appendix A, without blur
    and hue. With `flip`, half of them are mirrored.

    The part has 30 to 100 % of each side. Contrast is multiplied by 0.6 to 1.4 and up to 0.4
    deviations of the train split are added.

    Shapes:
        (N, C, H, W) -> the same, channels last
    """
    count, device = len(images), images.device

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(count, generator=generator)).to(device)

    side = uniform(0.3, 1.0)
    mirror = torch.where(uniform(0, 1) < (0.5 if flip else 0.0), -1.0, 1.0)
    none = torch.zeros_like(side)
    to_right, down = (1 - side) * uniform(-1, 1), (1 - side) * uniform(-1, 1)
    rows = torch.stack([side * mirror, none, to_right], 1), torch.stack([none, side, down], 1)
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    parts = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast, brightness = uniform(0.6, 1.4), uniform(-0.4, 0.4)
    changed = parts * contrast[:, None, None, None] + brightness[:, None, None, None]
    return changed.contiguous(memory_format=torch.channels_last)
