"""One entry of each group, as somebody else would write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from torch import nn

from models.datasets import Dataset, datasets
from models.exporters import Export, Turn
from models.families.mlp import Mlp
from models.operations import Operation
from search.fidelity.none import NoFidelity
from search.space import SearchSpace
from search.strategy import StrategySettings
from search.streams import SearchPurpose, rng_for
from search.trial import Candidate, Trial

if TYPE_CHECKING:
    from models.exporters.fresh_process import Bundle


class Coin:
    """Keeps to the last network or draws another one, as a coin falls."""

    objectives = 1

    class Settings(StrategySettings):
        """How the coin falls."""

        bias: float = Field(0.5, ge=0, lt=1, description="how likely it is to mutate the last one")

    def __init__(self, space: SearchSpace, settings: Settings, seed: int) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        self._last: Candidate | None = None

    def ask(self, number: int, running: Sequence[Trial]) -> Candidate:
        rng = rng_for(self._seed, SearchPurpose.ASK, number)
        if self._last is not None and rng.random() < self._settings.bias:
            return self._space.mutate(self._last, rng)
        return self._space.sample(rng)

    def tell(self, trial: Trial) -> None:
        self._last = trial.candidate


class Blur(nn.AvgPool2d):
    """Mean over 5x5."""

    def __init__(self, channels: int, stride: int = 1, batch_norm: bool = True) -> None:
        super().__init__(5, stride=stride, padding=2)


blur = Operation("blur", ("darts", "nasbench201"), Blur)


class Tower(Mlp):
    """A multilayer perceptron by another name."""


class FewDigits:
    """The digits under a name of its own."""

    task_name = "image_classification"
    description = "handwritten digits, from a plug-in"

    @staticmethod
    def load() -> Dataset:
        return replace(datasets["digits"].load(), name="few_digits")


class Patient(NoFidelity):
    """Waits for every trial."""


class Notes:
    """A file of notes."""

    files = ("notes.txt",)
    card = "what the plug-in has to say"
    is_required = False
    turn = Turn.NETWORK

    @staticmethod
    def write(folder: Path, export: Export) -> None:
        (folder / "notes.txt").write_text(f"made of {export.dataset.name}\n")

    @staticmethod
    def check(bundle: Bundle) -> None:
        """It names its data."""
        if not (bundle.folder / "notes.txt").read_text().startswith("made of "):
            raise ValueError("notes.txt says nothing of the data")
