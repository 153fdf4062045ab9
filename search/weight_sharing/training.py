"""The life of a supernet: its epochs, the guard over them, and where it was left."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from models.architecture import Architecture
from models.quiet import give_way
from models.supernets import Mix, Supernet
from models.tensor_file import dense
from models.training.trainer import NonFiniteError, TrainingState, seeded
from search.evaluation import Measurement
from search.streams import SupernetPurpose, seed_for
from search.weight_sharing.collapse import (
    Sign,
    Vitals,
    row_entropies,
    sign_of_collapse,
    skip_share,
)
from search.weight_sharing.halves import Halves
from search.weight_sharing.one_shot import Batch, OneShot

Begin = Callable[[int], OneShot]
"""A search at its start, after so many restarts."""

Within = Callable[[Supernet, Mix, Architecture], Architecture]
"""What to take in the place of an architecture that was derived from a mix."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What an epoch led to. `number` counts all epochs, those before a restart included."""

    number: int
    derived: Architecture
    mix: Mix


class SupernetTraining:
    """A search on shared weights that can be left and gone on with.

    A guard looks at every epoch (`search.weight_sharing.collapse`). At a sign of collapse training
    ends, or begins anew with stronger weight decay: from there on it is the training that would
    have begun with it. Without a healthy epoch to go back to, it goes on.

    outcome: what counts so far; the last healthy epoch once collapse has ended the training.
    """

    outcome: Outcome

    def __init__(
        self,
        begin: Begin,
        halves: Halves,
        seed: int,
        device: torch.device,
        start: TrainingState | None = None,
        within: Within | None = None,
    ) -> None:
        """With `start` the first epoch is the one after it. `within` holds what is derived to the
        limits of the search.
        """
        self._within = within
        self._begin, self._halves, self._seed, self._device = begin, halves, seed, device
        self._number = self._restarts = 0
        self._course: list[Outcome] = []  # since the last restart, as are the vitals
        self._vitals: list[Vitals] = []
        self._direction: Tensor | None = None  # in which the loss bends the most
        self._is_over = False
        if start is not None:
            self._restarts = start.values["restarts"]
        self.search = begin(self._restarts)
        self._guard = self.search.settings.guard
        if start is not None:
            self._load(start)

    def epochs(self) -> Iterator[Measurement]:
        """Those that remain: their metrics, and the architecture derived after each.

        `weight_loss` and `architecture_loss` are means over the epoch's steps, each on its half.
        `entropy` is the mean over all rows of the derived mix, as a share of the largest possible;
        `entropy <group> <row>` that of each. Where there are such signals, `skip_share` and
        `hessian_eigenvalue`, and at a sign of collapse `collapse <signal>`, what has shown it.

        Raises:
            models.training.trainer.NonFiniteError: a loss is NaN or infinite.
        """
        while not self._is_over:
            yield self._epoch()

    def state(self) -> TrainingState:
        """After the epoch that was yielded last."""
        tensors = {f"search.{name}": tensor for name, tensor in self.search.state().items()}
        if self._direction is not None:
            tensors["direction."] = dense(self._direction)
        for place, outcome in enumerate(self._course):
            tensors |= {f"mix.{place}.{name}": dense(mix) for name, mix in outcome.mix.items()}
        values = {
            "restarts": self._restarts,
            "is_over": self._is_over,
            "outcome": self._course.index(self.outcome) if self._course else None,
            "vitals": [asdict(vitals) for vitals in self._vitals],
            "course": [[outcome.number, outcome.derived.to_json()] for outcome in self._course],
        }
        return TrainingState(self._number, tensors, values)

    def _load(self, start: TrainingState) -> None:
        values, parts = start.values, _parts(start.tensors)
        self.search.load(parts["search"])
        self._direction = parts.get("direction", {}).get("")
        mixes = _parts(parts.get("mix", {}))
        self._number, self._is_over = start.epoch, values["is_over"]
        self._vitals = [Vitals(**document) for document in values["vitals"]]
        self._course = [
            Outcome(
                number,
                Architecture.from_json(derived),
                {name: mix.to(self._device) for name, mix in mixes.get(str(place), {}).items()},
            )
            for place, (number, derived) in enumerate(values["course"])
        ]
        if values["outcome"] is not None:
            self.outcome = self._course[values["outcome"]]

    def _epoch(self) -> Measurement:
        search, epoch = self.search, len(self._course) + 1
        self._number += 1
        search.begin_epoch(epoch)
        with seeded(seed_for(self._seed, SupernetPurpose.DROPOUT, epoch), self._device):
            metrics = {"epoch": float(self._number), **self._pass(epoch)}
            eigenvalue = self._eigenvalue(epoch)
            held_out = self._halves.architecture
            derived = search.derive(Batch(held_out.x, held_out.y))
        mix = search.derived_mix()
        if self._within is not None:
            derived = self._within(search.supernet, mix, derived)
        entropies = row_entropies(search.supernet, mix)
        vitals = Vitals(
            epoch,
            statistics.fmean(entropies.values()),
            skip_share(search.supernet, derived),
            eigenvalue,
        )
        self._vitals.append(vitals)
        self._course.append(Outcome(self._number, derived, mix))
        self.outcome, self._is_over = self._course[-1], epoch == search.settings.epochs
        metrics |= vitals.metrics() | search.expectations()
        metrics |= {f"entropy {row}": entropy for row, entropy in entropies.items()}
        if self._guard.action == "restart":
            metrics["restarts"] = float(self._restarts)
        sign = sign_of_collapse(self._vitals, self._guard, search.settings.epochs)
        if sign is not None and self._guard.action != "off":
            metrics[f"collapse {sign.signal}"] = sign.value
            self._heed(sign)
        return Measurement(metrics, derived)

    def _pass(self, epoch: int) -> dict[str, float]:
        """The hot loop."""
        search, size = self.search, self.search.settings.batch_size
        losses = torch.zeros(2, device=self._device)
        search.supernet.train()
        for train, held_out in self._halves.batches(size, epoch):
            losses += torch.stack(search.step(train, held_out))
            give_way()
        weight_loss, architecture_loss = (losses / self._halves.steps(size)).tolist()
        for name, loss in (("weight", weight_loss), ("architecture", architecture_loss)):
            if not math.isfinite(loss):
                raise NonFiniteError(f"exploded in epoch {self._number}: {name} loss is {loss}")
        return {"weight_loss": weight_loss, "architecture_loss": architecture_loss}

    def _eigenvalue(self, epoch: int) -> float | None:
        """Of the loss on one batch, the same in all epochs: a ratio is of its changes alone."""
        if self._guard.action == "off" or epoch % self._guard.every:
            return None
        size = max(2, min(self._guard.samples, self.search.settings.batch_size // 2))
        held_out = self._halves.guarded(size)
        with _undisturbed(self.search.supernet):
            found = self.search.curvature(held_out, self._direction)
        if found is None:
            return None
        self._direction = found.vector
        return found.value

    def _heed(self, sign: Sign) -> None:
        if self._guard.action == "restart" and self._restarts < self._guard.restarts:
            self._restarts += 1
            self._course, self._vitals, self._direction = [], [], None
            self.search, self._is_over = self._begin(self._restarts), False
        elif sign.healthy:
            self.outcome, self._is_over = self._course[sign.healthy - 1], True


@contextmanager
def _undisturbed(network: nn.Module) -> Iterator[None]:
    """The statistics of `network` are afterwards as they were before."""
    before = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(network.buffers(), before, strict=True):
            buffer.copy_(value)


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """By what stands before the first point of the names."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, _, name = key.partition(".")
        parts.setdefault(part, {})[name] = tensor
    return parts
