"""Decisions as rows of a mix: each option of a decision has a weight."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.domains import Choice, Scalar
from models.supernets import Group, Mix
from models.supernets.activity import active, placed

Weighted = Sequence[tuple[Scalar, Tensor]]
"""Options, with their weights, which are scalars."""

Options = Mapping[str, Mapping[str, Sequence[Scalar]]]
"""Kind of decision -> decision -> options, the same of all decisions of one kind."""


class Choices:
    """Decisions of one kind are a group, a row each; a kind of one option is none."""

    def __init__(self, options: Options, skips: Sequence[str] = ()) -> None:
        """`skips`: see `Group`."""
        self._kinds = {kind: dict(rows) for kind, rows in options.items() if rows}
        self.groups: dict[str, Group] = {}
        for kind, rows in self._kinds.items():
            shared = next(iter(rows.values()))
            if len(shared) > 1:
                self.groups[kind] = Group(
                    tuple(name.removesuffix(f"_{kind}") for name in rows),
                    tuple(_label(option) for option in shared),
                    tuple(range(len(rows))),
                    tuple(
                        option for option in shared if isinstance(option, str) and option in skips
                    ),
                )

    def read(self, mix: Mix, like: Tensor) -> dict[str, Weighted]:
        """The options of each decision whose weight is not zero; of a fixed one the one option."""
        found: dict[str, Weighted] = {}
        for kind, rows in self._kinds.items():
            if kind not in self.groups:
                one = torch.ones((), dtype=like.dtype, device=like.device)
                found |= {name: [(options[0], one)] for name, options in rows.items()}
                continue
            weighted = active(mix[kind])
            for row, (name, options) in enumerate(rows.items()):
                found[name] = [
                    (option, mix[kind][row, column])
                    for column, option in enumerate(options)
                    if weighted[row][column]
                ]
        return found

    def strongest(self, mix: Mix) -> dict[str, Scalar]:
        """Of each decision the option of the largest weight."""
        found: dict[str, Scalar] = {}
        for kind, rows in self._kinds.items():
            weights = mix[kind].detach().tolist() if kind in self.groups else [[1.0]] * len(rows)
            for (name, options), row in zip(rows.items(), weights, strict=True):
                found[name] = options[max(range(len(options)), key=row.__getitem__)]
        return found

    def mix_of(self, values: Mapping[str, Scalar], like: Tensor) -> dict[str, Tensor]:
        """One for what is decided, zero for the rest and where nothing is.

        Raises:
            ValueError: a value is not among the options.
        """
        mixes = {}
        for kind, rows in self._kinds.items():
            width = len(next(iter(rows.values())))
            mix = torch.zeros(len(rows), width)
            for row, (name, options) in enumerate(rows.items()):
                if name in values:
                    mix[row, _place(name, values[name], options)] = 1
            if kind in self.groups:
                mixes[kind] = placed(mix, like)
        return mixes


def _place(name: str, value: Scalar, options: Sequence[Scalar]) -> int:
    try:
        return list(options).index(Choice(tuple(options)).parse(value))
    except ValueError as error:
        raise ValueError(f"{name} of this supernet: {error}") from None


def _label(option: Scalar) -> str:
    return option if isinstance(option, str) else json.dumps(option)
