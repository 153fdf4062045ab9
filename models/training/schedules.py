"""The learning rate at every step, as a closed form of the step number.

`t` is the step from 0 to T - 1, `peak` the recipe's learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from models.recipe import Recipe, ScheduleName

Schedule = Callable[[int], float]


def schedule(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """The recipe's schedule over `epochs * steps_per_epoch` steps."""
    return _SCHEDULES[recipe.schedule](recipe, steps_per_epoch)


def _constant(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    return lambda t: recipe.learning_rate


def _step(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """A tenth after one half of the steps and again after three quarters.

    He et al., CVPR 2016, https://arxiv.org/abs/1512.03385, section 4.2.
    """
    peak, total = recipe.learning_rate, recipe.epochs * steps_per_epoch
    return lambda t: peak * 0.1 ** ((2 * t >= total) + (4 * t >= 3 * total))


def _cosine(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """Loshchilov and Hutter, SGDR, ICLR 2017, https://arxiv.org/abs/1608.03983, equation 5, with
    one run and no restart.
    """
    peak, total = recipe.learning_rate, recipe.epochs * steps_per_epoch
    return lambda t: _half_cosine(peak, 0.0, t / total)


def _one_cycle(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """Up from a 25th of the peak in the first 30 % of the steps, then down to 1 / 250,000 of it,
    each along half a cosine.

    Smith and Topin 2018, https://arxiv.org/abs/1708.07120, in the form and with the constants of
    `torch.optim.lr_scheduler.OneCycleLR`. The momentum is not cycled.
    """
    peak, total = recipe.learning_rate, recipe.epochs * steps_per_epoch
    top, last = max(0.3 * total - 1, 0.0), total - 1

    def rate(t: int) -> float:
        if t < top:
            return _half_cosine(peak / 25, peak, t / top)
        return _half_cosine(peak, peak / 25e4, (t - top) / (last - top) if last > top else 0.0)

    return rate


def _warmup_cosine(recipe: Recipe, steps_per_epoch: int) -> Schedule:
    """Linear from peak / W to the peak in the W steps of `warmup_epochs`, then the cosine.

    Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.2 (gradual warm-up).
    """
    peak, total = recipe.learning_rate, recipe.epochs * steps_per_epoch
    warm = min(recipe.warmup_epochs * steps_per_epoch, total)

    def rate(t: int) -> float:
        if t < warm:
            return peak * (t + 1) / warm
        return _half_cosine(peak, 0.0, (t - warm) / (total - warm))

    return rate


def _half_cosine(start: float, end: float, share: float) -> float:
    """`start` at share 0, `end` at share 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


_SCHEDULES: dict[ScheduleName, Callable[[Recipe, int], Schedule]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
    "warmup_cosine": _warmup_cosine,
}
