"""Signs that the architecture of a supernet collapses, and what is done about it.

Gradient descent on a mixture tends to options that cost the weights nothing, to skip connections
above all. Zela et al., ICLR 2020, https://arxiv.org/abs/1909.09656, foretell it by the curvature of
the loss in the architecture: a mixture in a sharp place falls when it is made discrete.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from pydantic import Field

from models.architecture import Architecture
from models.settings import Settings
from models.supernets import Mix, Supernet

SKIP_SHARE, EIGENVALUE, ENTROPY = "skip_share", "hessian_eigenvalue", "entropy"


class GuardSettings(Settings):
    """What counts as a sign of collapse, and what follows it.

    No sign counts in the first epochs (`warmup_share`), in which what is derived is still noise.
    """

    action: Literal["stop", "restart", "off"] = Field(
        "stop",
        description="stop: the architecture is that of the last healthy epoch; restart: begin anew "
        "with stronger weight decay, and stop in the end; off: the eigenvalue is not measured",
    )
    max_skip_share: float = Field(
        0.5, ge=0, le=1, description="of skip connections in the derived architecture; 1: no limit"
    )
    min_entropy: float = Field(
        0.05, ge=0, le=1, description="of the mix, as a share of the largest possible; 0: no limit"
    )
    patience: int = Field(
        2, ge=1, le=1000, description="epochs in a row beyond either limit that make a sign"
    )
    every: int = Field(3, ge=1, le=1000, description="epochs from one eigenvalue to the next")
    samples: int = Field(32, ge=2, le=65_536, description="held out, on which it is measured")
    window: int = Field(3, ge=1, le=100, description="k: eigenvalues that are averaged")
    min_ratio: float = Field(
        0.75, ge=0, le=1, description="of the average k eigenvalues ago to the average now"
    )
    warmup_share: float = Field(0.2, ge=0, le=1, description="of the epochs, where no sign counts")
    restarts: int = Field(2, ge=1, le=20, description="at most")
    decay_factor: float = Field(
        4.0, gt=1, le=1e4, description="of the weights' decay, with each restart"
    )


@dataclass(frozen=True, slots=True)
class Vitals:
    """What one epoch shows; None: there is no such signal, or it was not measured."""

    epoch: int
    entropy: float
    skip_share: float | None = None
    eigenvalue: float | None = None

    def metrics(self) -> dict[str, float]:
        found = {ENTROPY: self.entropy, SKIP_SHARE: self.skip_share, EIGENVALUE: self.eigenvalue}
        return {name: value for name, value in found.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sign:
    """`signal` was `value`, beyond its limit; `healthy`: the last epoch before, 0 where there is
    none.
    """

    signal: str
    value: float
    healthy: int


def sign_of_collapse(
    history: Sequence[Vitals], settings: GuardSettings, epochs: int
) -> Sign | None:
    """Of the last epoch in `history`, which holds all since the first one of `epochs`."""
    if not history or history[-1].epoch <= settings.warmup_share * epochs:
        return None
    skips = [(vitals.epoch, vitals.skip_share) for vitals in history]
    entropies = [(vitals.epoch, vitals.entropy) for vitals in history]
    return (
        _beyond(SKIP_SHARE, skips, settings.patience, 1, settings.max_skip_share)
        or _beyond(ENTROPY, entropies, settings.patience, -1, settings.min_entropy)
        or _sharper(history, settings)
    )


def skip_share(supernet: Supernet, architecture: Architecture) -> float | None:
    """Skip connections among the options that `architecture` chooses; None where the family has
    no such option.
    """
    mix = supernet.mix_of(architecture)
    skips = chosen = 0
    for name, group in supernet.groups.items():
        if not group.skips:
            continue
        columns = [group.options.index(option) for option in group.skips]
        taken = mix[name] != 0
        skips += int(taken[:, columns].sum())
        chosen += int(taken.sum())
    return skips / chosen if chosen else None


def row_entropies(supernet: Supernet, mix: Mix) -> dict[str, float]:
    """Of each row, as a share of the largest possible, named by group and row; none of a row that
    the mix leaves out.
    """
    found: dict[str, float] = {}
    for name, group in supernet.groups.items():
        total = mix[name].sum(dim=1, keepdim=True)
        share = mix[name] / total.where(total > 0, 1)
        entropy = torch.special.entr(share).sum(dim=1) / math.log(max(2, len(group.options)))
        found |= dict(zip([f"{name} {row}" for row in group.rows], entropy.tolist(), strict=True))
    return found


def _beyond(
    signal: str,
    values: Sequence[tuple[int, float | None]],
    patience: int,
    direction: int,
    limit: float,
) -> Sign | None:
    """Whether the last `patience` values are all beyond a limit; healthy is the last epoch before
    they and those before them were.
    """
    run = 0
    for _, value in reversed(values):
        if value is None or direction * (value - limit) <= 0:
            break
        run += 1
    value = values[-1][1]
    if run < patience or value is None:
        return None
    return Sign(signal, value, values[-run - 1][0] if run < len(values) else 0)


def _sharper(history: Sequence[Vitals], settings: GuardSettings) -> Sign | None:
    """Section 4.3: early stopping by the ratio of two averages of the eigenvalue, k apart."""
    measured = [(v.epoch, v.eigenvalue) for v in history if v.eigenvalue is not None]
    window = settings.window
    if history[-1].eigenvalue is None or len(measured) < 2 * window:
        return None
    values = [value for _, value in measured]
    before = statistics.fmean(values[-2 * window : -window])
    now = statistics.fmean(values[-window:])
    if not 0 < before < settings.min_ratio * now:
        return None
    return Sign(EIGENVALUE, before / now, measured[-window - 1][0])
