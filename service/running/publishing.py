"""From final trials to published bundles: whole, verified in a fresh process, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from models import checkpoint
from models.checkpoint import Checkpoint, CheckpointError
from models.datasets import Dataset
from models.ensemble import Ensemble, Member, chosen_in
from models.exporters.bundle import BundleError, BundleReport, publish_bundle
from models.storage import StoredFile
from search.results.ensemble import handed_out
from search.results.report import best, choose_final, final_runs, spread
from search.spec import SearchSpec
from search.trial import Failure, FailureKind, Trial
from service.sql.lease import Claim
from service.sql.ledger import Ledger
from service.store.layout import checkpoints_url

log = logging.getLogger(__name__)


class Publisher:
    """Publishes the final models of one search. What an earlier owner published stays, so it may
    begin again after a crash at any point.
    """

    def __init__(
        self,
        ledger: Ledger,
        claim: Claim,
        store_url: str,
        spec: SearchSpec,
        search_name: str,
        dataset: Dataset,
    ) -> None:
        self._ledger, self._claim, self._store_url = ledger, claim, store_url.rstrip("/")
        self._spec, self._search_name, self._dataset = spec, search_name, dataset
        self._formats = spec.final.formats if spec.final is not None else ()

    def publish(self, trials: Sequence[Trial]) -> str | None:
        """One bundle for each candidate that was retrained: of the final run with the best
        validation score, and of the next one where a bundle does not hold what it promised. One of
        the ensemble, where it is better than each of them.

        Returns why there is no bundle at all, None where there is one.

        Raises:
            search.engine.journal.StaleOwnerError: another driver owns the search now.
        """
        reasons: list[str] = []
        published = self._ledger.published()
        runs = final_runs(trials)
        candidates = {trial.number: trial for trial in trials if trial.number in runs}
        for number in self._order(trials, runs):
            if any(final.number in published for final in runs[number]):
                continue
            stored = self._publish_one(candidates[number], runs[number], reasons)
            if stored is not None:
                final, path = stored
                published[final.number] = path
        together = handed_out(self._spec, trials)
        if together is not None and together.number not in published:
            published |= self._publish_ensemble(together, reasons)
        if published:
            return None
        return "; ".join(reasons) or "no final training completed"

    def _order(self, trials: Sequence[Trial], runs: Mapping[int, Sequence[Trial]]) -> list[int]:
        """The candidates with final runs, the winner first."""
        ranked = [item["trial"] for item in best(self._spec, trials)]
        return [number for number in ranked if number in runs]

    def _publish_ensemble(self, trial: Trial, reasons: list[str]) -> dict[int, str]:
        """Its path by its number; empty where its bundle does not hold what it promised."""
        path = self._path(trial)
        try:
            stored = self._write_ensemble(path, trial)
        except (BundleError, CheckpointError, FileNotFoundError) as error:
            self._refuse(trial, f"ensemble {trial.number}", error, reasons)
            return {}
        self._ledger.publish(trial.number, trial.number, path, stored)
        return {trial.number: path}

    def _write_ensemble(self, path: str, trial: Trial) -> StoredFile:
        assert trial.derived is not None  # noqa: S101 - for the type checker
        chosen = chosen_in(trial.derived)
        ensemble = Ensemble(tuple(Member(one, self._weights(one.trial)) for one in chosen))
        report = BundleReport(
            search_id=self._claim.search_id,
            search_name=self._search_name,
            trial=trial.number,
            final_trial=trial.number,
            seed=trial.seed,
            metrics=trial.metrics,
            search_metrics={},
            final_metrics={},
            errors_in=self._spec.errors_in,
            objective=self._spec.objectives[0].metric,
        )
        return publish_bundle(
            f"{self._store_url}/{path}", ensemble, self._dataset, report, self._formats
        )

    def _path(self, trial: Trial) -> str:
        return f"artifacts/{self._claim.search_id}/{trial.number}-{self._claim.token}.zip"

    def _weights(self, final: int) -> Checkpoint:
        folder = checkpoints_url(self._store_url, self._claim.search_id)
        return checkpoint.load(f"{folder}/{final}.safetensors")

    def _refuse(self, trial: Trial, what: str, error: Exception, reasons: list[str]) -> None:
        log.warning("no bundle of %s: %s", what, error)
        reasons.append(f"{what}: {error}")
        self._ledger.refuse(trial.number, Failure(FailureKind.BUNDLE, str(error)))

    def _publish_one(
        self, candidate: Trial, finals: Sequence[Trial], reasons: list[str]
    ) -> tuple[Trial, str] | None:
        left = list(finals)
        while (final := choose_final(self._spec, left)) is not None:
            path = self._path(final)
            try:
                stored = self._write(path, candidate, final, finals)
            except (BundleError, CheckpointError, FileNotFoundError) as error:
                self._refuse(final, f"final trial {final.number}", error, reasons)
                left.remove(final)
                finals = tuple(left)
            else:
                self._ledger.publish(final.number, candidate.number, path, stored)
                return final, path
        return None

    def _write(
        self, path: str, candidate: Trial, final: Trial, finals: Sequence[Trial]
    ) -> StoredFile:
        report = BundleReport(
            search_id=self._claim.search_id,
            search_name=self._search_name,
            trial=candidate.number,
            final_trial=final.number,
            seed=final.seed,
            metrics=final.metrics,
            search_metrics=candidate.metrics,
            final_metrics=spread(finals) or {},
            errors_in=self._spec.errors_in,
            objective=self._spec.objectives[0].metric,
        )
        return publish_bundle(
            f"{self._store_url}/{path}",
            self._weights(final.number),
            self._dataset,
            report,
            self._formats,
        )
