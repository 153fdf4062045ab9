"""A piecewise linear map from values to scores of the normal distribution, and back.

What is far from the rest comes close to it: the scores of values depend on their order alone. The
functions run in a bundle as well; they need torch alone.
"""

from __future__ import annotations

import torch

KNOTS = 257
"""Of a map, at most: the least, the largest and 255 between them."""


def normal_knots(values: torch.Tensor, knots: int = KNOTS) -> tuple[torch.Tensor, torch.Tensor]:
    """Values with the quantile of the standard normal distribution at the middle of their ranks,
    which equal values share. Both ascend strictly.

    Shapes:
        values: (N,), N > 0 -> two of (knots,) float64, fewer where there are fewer distinct values
    """
    distinct, counts = torch.unique(values.to(torch.float64), return_counts=True)
    ranks = counts.cumsum(0).to(torch.float64) - counts / 2
    if len(distinct) > knots:
        wanted = torch.linspace(0, len(values), knots, dtype=torch.float64)
        chosen = torch.searchsorted(ranks, wanted).clamp(max=len(distinct) - 1)
        ends = torch.tensor([0, len(distinct) - 1])
        chosen = torch.unique(torch.cat([ends, chosen]))
        distinct, ranks = distinct[chosen], ranks[chosen]
    return distinct, torch.special.ndtri(ranks / len(values))


def piecewise_linear(x: torch.Tensor, knots: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The line through the points of `knots`, ascending, and `values`; constant beyond its ends.

    Shapes:
        x: any; knots, values: (K,), K > 0 -> as x, of their type
    """
    x = x.to(knots.dtype)
    if len(knots) == 1:
        return values[0].expand(x.shape)
    after = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    before = after - 1
    share = (x - knots[before]) / (knots[after] - knots[before])
    return torch.lerp(values[before], values[after], share.clamp(0, 1))
