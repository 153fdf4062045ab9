"""Where the weights of a bundle come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.training.values import ErrorUnit


@dataclass(frozen=True, slots=True)
class BundleReport:
    """Where the weights come from and how good they are, as `metrics.json` and the card say it.

    `trial` is the candidate that the search found, `final_trial` the run whose weights these are;
    without a search there is one run of one known network, and `search_id` is None.
    `metrics` are those of these very weights; `final_metrics` is, by metric, the mean, sample
    standard deviation and number of the candidate's final runs. `errors_in`: the unit of `mae` and
    `rmse`. `objective`: the metric by which the model is held against the baseline; None: the
    task's own.
    """

    search_id: str | None
    search_name: str
    trial: int
    final_trial: int
    seed: int
    metrics: Mapping[str, float]
    search_metrics: Mapping[str, float]
    final_metrics: Mapping[str, Mapping[str, float]]
    errors_in: ErrorUnit = "own_unit"
    objective: str | None = None

    @property
    def test_metrics(self) -> dict[str, float]:
        return {n: value for n, value in self.metrics.items() if n.startswith("test_")}
