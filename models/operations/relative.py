"""Forecasts relative to the last values of a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


def relative(x: Tensor, targets: Sequence[int], forecast: Callable[[Tensor], Tensor]) -> Tensor:
    """What `forecast` says of a window from which its last step is subtracted, with the last values
    of the columns `targets` added again: a series that has drifted looks as it did in training.

    NLinear, Zeng et al., AAAI 2023, https://arxiv.org/abs/2205.13504, section 4.2.

    Shapes:
        x: (N, steps, channels) -> (N, horizon * targets), as `forecast` gives
    """
    level = x[:, -1]
    outputs = forecast(x - level[:, None])
    return outputs + level[:, targets].repeat(1, outputs.shape[1] // len(targets))


def relative_lines(targets: Sequence[int], outputs: int) -> tuple[list[str], str]:
    """The same as text: lines before the forecast from `x`, and what is added to it."""
    before = ["level = x[:, -1]", "x = x - level[:, None]"]
    return before, f"level[:, {list(targets)}].repeat(1, {outputs // len(targets)})"
