"""All that a page about a search shows, read at once and drawn without a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.engine.stages.candidates import CANDIDATE
from search.engine.stages.finals import FINAL
from search.trial import TrialState
from service.api.searches.schemas import SearchRead
from service.api.trials.ranking import best_items
from service.api.trials.reporting import Reports
from service.sql.artifacts import ArtifactRepository
from service.sql.database import Sessions
from service.sql.searches import SearchRepository
from service.sql.trials import TrialPoint, TrialRepository

BEST_CURVES, PRUNED_CURVES, FINAL_CURVES = 5, 3, 3
"""Learning curves that are drawn, more of which nobody can tell apart."""

VALIDATION = "val_"
_LOSS = "val_loss"


@dataclass(frozen=True, slots=True)
class Curve:
    """Of a trial: (epoch, value) of one metric."""

    trial: TrialPoint
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """`report` as `GET .../report` gives it, `best` as the items of `.../best`; `bundles`: numbers
    of the trials whose models can be downloaded; `curve_metric`: of `curves`.
    """

    search: SearchRead
    versions: dict[str, Any]
    report: dict[str, Any]
    best: list[dict[str, Any]]
    bundles: frozenset[int]
    trials: list[TrialPoint]
    curve_metric: str
    curves: list[Curve]

    @property
    def objectives(self) -> list[dict[str, Any]]:
        """`metric` and `goal` of each."""
        found: list[dict[str, Any]] = self.search.spec["objectives"]
        return found


def read(sessions: Sessions, reports: Reports, tenant_id: str, search_id: str, root: str) -> Shown:
    """
    Raises:
        NotFoundError: the tenant has no such search.
    """
    report = reports.of(tenant_id, search_id)
    with sessions.read() as session:
        search = SearchRepository(session, tenant_id).get(search_id)
        repository = TrialRepository(session, tenant_id, search_id)
        trials = repository.points()
        best = best_items(search, repository)
        shown = _with_curves(trials, [item["trial"] for item in best])
        epochs = repository.curves([trial.number for trial in shown])
        metric = search.spec["objectives"][0]["metric"]
        metric = metric if metric.startswith(VALIDATION) else _LOSS
        curves = [
            Curve(trial, points)
            for trial in shown
            if (
                points := tuple(
                    (point.epoch, value)
                    for point in epochs.get(trial.number, ())
                    if (value := point.metrics.get(metric)) is not None
                )
            )
        ]
        return Shown(
            search=SearchRead.of(search, root),
            versions=search.versions,
            report=report,
            best=best,
            bundles=frozenset(ArtifactRepository(session, tenant_id).bundles(search_id)),
            trials=trials,
            curve_metric=metric,
            curves=curves,
        )


def _with_curves(trials: Sequence[TrialPoint], best: Sequence[int]) -> list[TrialPoint]:
    """The finals, the best of the strategy, and the last ones that were stopped early."""
    finals = [trial for trial in trials if trial.kind == FINAL.name][:FINAL_CURVES]
    own = [trial for trial in trials if trial.kind == CANDIDATE.name]
    stopped = [trial for trial in own if trial.state is TrialState.PRUNED][-PRUNED_CURVES:]
    scored = [trial for trial in own if trial.fitness and trial.state is TrialState.COMPLETED]
    scored.sort(key=lambda trial: (trial.number in best, trial.fitness or ()), reverse=True)
    return [*finals, *scored[:BEST_CURVES], *stopped]
