"""How a forecast sees its window: as it is, less its level, or scaled by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor

Level = Literal["last", "mean"]

EPSILON = 1e-5
"""Under the root, as in RevIN: a window of one value has the deviation 0.003."""


@dataclass(frozen=True, slots=True)
class WindowView:
    """A window less its level and, where `scaled`, over its own deviation; the forecast of the
    columns `targets` is taken back to what it was. A series that has drifted, or swings more, looks
    as it did in training. Columns that are `known` in advance are left as they are.

    Less the last step: NLinear, Zeng et al., AAAI 2023, https://arxiv.org/abs/2205.13504, section
    4.2. Scaled: RevIN, Kim et al., ICLR 2022, https://openreview.net/forum?id=cGDAkQo1C0p,
    equations 1 to 3, without its learned scale and shift.
    """

    targets: tuple[int, ...]
    known: tuple[int, ...] = ()
    level: Level = "last"
    scaled: bool = False

    def __call__(self, x: Tensor, forecast: Callable[[Tensor], Tensor]) -> Tensor:
        """What `forecast` says of the window as it is seen, taken back.

        Shapes:
            x: (N, steps, channels) -> (N, horizon * targets), as `forecast` gives
        """
        level = x.mean(dim=1) if self.level == "mean" else x[:, -1].clone()
        for first, after in self._runs():
            level[:, first:after] = 0
        seen = x - level[:, None]
        if not self.scaled:
            outputs = forecast(seen)
            return outputs + self._of_targets(level, outputs.shape[1])
        spread = x - x.mean(dim=1, keepdim=True)  # no var(): it warns of a batch of none
        deviation = torch.sqrt(spread.square().mean(dim=1) + EPSILON)
        for first, after in self._runs():
            deviation[:, first:after] = 1
        outputs = forecast(seen / deviation[:, None])
        deviation, level = (self._of_targets(part, outputs.shape[1]) for part in (deviation, level))
        return outputs * deviation + level

    def lines(self, outputs: int) -> tuple[list[str], str]:
        """The same as text: lines before the forecast from `x`, and what is done to it."""
        taken = "x.mean(dim=1)" if self.level == "mean" else "x[:, -1]"
        if self.known and self.level == "last":
            taken += ".clone()"
        before = [f"level = {taken}"]
        before += [f"level[:, {first}:{after}] = 0" for first, after in self._runs()]
        back = f"[:, {list(self.targets)}].repeat(1, {outputs // len(self.targets)})"
        if not self.scaled:
            return [*before, "x = x - level[:, None]"], f" + level{back}"
        before.append("spread = x - x.mean(dim=1, keepdim=True)")
        before.append(f"deviation = torch.sqrt(spread.square().mean(dim=1) + {EPSILON})")
        before += [f"deviation[:, {first}:{after}] = 1" for first, after in self._runs()]
        before.append("x = (x - level[:, None]) / deviation[:, None]")
        return before, f" * deviation{back} + level{back}"

    def _of_targets(self, values: Tensor, outputs: int) -> Tensor:
        # By slices: an index of numbers would have to be brought to a card, and waited for.
        columns = [values[:, first:after] for first, after in runs(self.targets)]
        return torch.cat(columns, dim=1).repeat(1, outputs // len(self.targets))

    def _runs(self) -> list[tuple[int, int]]:
        """The known columns, as the first of each run and the one after it."""
        return runs(sorted(self.known))


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as runs of neighbours: the first of each and the one after its last."""
    found = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        found.append((members[0], members[-1] + 1))
    return found
