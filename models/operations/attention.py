"""Blocks of a transformer: token mixers, positions, and the residual block around them.

A mixer takes `(x, mask)`; `mask` (N, length) is true at the tokens of a text and false at its
padding, None where there is none. What a mixer gives at a token does not depend on padding; with
`causal`, it does not depend on later tokens.

Shapes:
    (N, length, width) -> (N, length, width)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention, Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, equation 1
    and section 3.2.2. `rotary` turns queries and keys by their positions.
    """

    def __init__(self, width: int, heads: int, causal: bool = False, rotary: bool = False) -> None:
        super().__init__()
        self.heads, self.causal, self.rotary = heads, causal, rotary
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        count, length, width = x.shape
        parts = self.query_key_value(x).reshape(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if self.rotary:
            query, key = rotated(query), rotated(key)
        visible = None if mask is None else mask[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=visible, is_causal=self.causal
        )
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(count, length, width))
        return output


def rotated(x: Tensor) -> Tensor:
    """Each pair of values turned by its position times a rate of its own, Su et al. 2021,
    https://arxiv.org/abs/2104.09864, equation 34.

    Shapes:
        (..., length, even size) -> the same
    """
    length, size = x.shape[-2:]
    rates = 10_000 ** (-torch.arange(0, size, 2, device=x.device) / size)
    angles = torch.arange(length, device=x.device)[:, None] * rates
    cosine, sine = angles.cos(), angles.sin()
    first, second = x[..., 0::2], x[..., 1::2]
    turned = [first * cosine - second * sine, first * sine + second * cosine]
    return torch.stack(turned, dim=-1).flatten(-2)


class Convolution(nn.Module):
    """Depthwise convolution over the tokens around, or before, and a linear map of each token; Wu
    et al. 2019, https://arxiv.org/abs/1901.10430, without their softmax of the kernel.
    """

    def __init__(self, width: int, kernel: int, causal: bool = False) -> None:
        super().__init__()
        self.before = kernel - 1 if causal else kernel // 2
        self.after = kernel - 1 - self.before
        self.depthwise = nn.Conv1d(width, width, kernel, groups=width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x if mask is None else x * mask[..., None]
        padded = functional.pad(x.transpose(1, 2), (self.before, self.after))
        output: Tensor = self.output(self.depthwise(padded).transpose(1, 2))
        return output


class Pooling(nn.Module):
    """The mean of the tokens around, or before, less the token itself: no parameters. Yu et al.,
    CVPR 2022, https://arxiv.org/abs/2111.11418, equation 4; padding does not count.
    """

    def __init__(self, kernel: int, causal: bool = False) -> None:
        super().__init__()
        self.kernel = kernel
        self.before = kernel - 1 if causal else kernel // 2
        self.after = kernel - 1 - self.before

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        real = torch.ones_like(x[..., :1]) if mask is None else mask[..., None].to(x.dtype)
        total, count = self.sums(x * real), self.sums(real)
        return total / count.clamp(min=1) - x

    def sums(self, x: Tensor) -> Tensor:
        padded = functional.pad(x.transpose(1, 2), (self.before, self.after))
        means = functional.avg_pool1d(padded, self.kernel, stride=1)
        return means.transpose(1, 2) * self.kernel


class SinusoidalPositions(nn.Module):
    """Adds sines and cosines of the position, Vaswani et al. 2017, section 3.5."""

    def forward(self, x: Tensor) -> Tensor:
        length, width = x.shape[-2:]
        rates = 10_000 ** (-torch.arange(0, width, 2, device=x.device) / width)
        angles = torch.arange(length, device=x.device)[:, None] * rates
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        return x + waves[:, :width]


class LearnedPositions(nn.Module):
    """Adds a learned vector for each of at most `length` positions."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(length, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight[: x.shape[-2]]


class ClassToken(nn.Module):
    """Puts a learned vector before the tokens, Devlin et al. 2019,
    https://arxiv.org/abs/1810.04805.

    Shapes:
        (N, length, width) -> (N, 1 + length, width)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.weight.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1)


class Patches(nn.Module):
    """A linear map of each square of an image, row by row, Dosovitskiy et al., ICLR 2021,
    https://arxiv.org/abs/2010.11929.

    Shapes:
        (N, channels, H, W) -> (N, H / size * W / size, width)
    """

    def __init__(self, channels: int, width: int, size: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, size, stride=size)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.convolution(images)
        return maps.flatten(2).transpose(1, 2)


class Block(nn.Module):
    """A mixer of tokens, then two linear maps of each token, both around a residual link.

    `pre_norm`: normalisation of what enters them, Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745; else of the sums, as in Vaswani et al. 2017.
    """

    def __init__(
        self,
        mixer: nn.Module,
        width: int,
        inner: int,
        activation: type[nn.Module] = nn.GELU,
        pre_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.norm_1 = nn.LayerNorm(width)
        self.mixer = mixer
        self.norm_2 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, inner), activation(), nn.Linear(inner, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.mixer(self.norm_1(x), mask))
            x = x + self.dropout(self.feed_forward(self.norm_2(x)))
        else:
            x = self.norm_1(x + self.dropout(self.mixer(x, mask)))
            x = self.norm_2(x + self.dropout(self.feed_forward(x)))
        return x
