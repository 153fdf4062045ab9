"""What the owner of a search may order while an engine runs it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from search.engine.run import SearchRun

Action = Literal["run", "pause", "cancel"]


@dataclass(frozen=True, slots=True)
class Orders:
    """The owner's wishes at this moment; None leaves a limit as it is.

    action: `run` goes on. `pause` starts no further trial, lets the running ones end, so that
        their work is not lost, and then the engine returns. `cancel` stops the running trials at
        once (`SearchRun.cancel`) and the engine returns.
    trials: the budget in trials of the whole search.
    seconds: the wall seconds that the engine may take for all stages, counted from its start:
        whoever continues a search orders what is left of its budget. Infinite: no limit.
    parallel_trials: how many trials run at a time.
    """

    action: Action = "run"
    trials: int | None = None
    seconds: float | None = None
    parallel_trials: int | None = None


class Control(Protocol):
    def orders(self) -> Orders:
        """Cheap: engines call it about twice a second."""


class Unchanged:
    """The control of a search that nobody steers."""

    def orders(self) -> Orders:
        return Orders()


class Steering:
    """Carries out the orders on budgets, and has each stage leave those after it their time.

    `action` and `parallel_trials` are the engine's own to carry out.
    """

    def __init__(
        self,
        run: SearchRun,
        control: Control | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._control, self._clock = run, control or Unchanged(), clock
        self._started = clock()

    def check(self, lanes: int = 1) -> Orders:
        """The orders of now. Trials that the end of the time budget prunes are no longer in
        `run.running` afterwards: the engine stops their work. `lanes`: trials at a time.
        """
        orders = self._control.orders()
        self._run.set_budget(trials=orders.trials, seconds=orders.seconds)
        seconds = self._run.budget_seconds
        if seconds < math.inf:
            self._run.keep_time(seconds - (self._clock() - self._started), lanes)
        return orders
