"""A trial as clients see it, and the best of a search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from models.training.diagnosis import diagnosis
from search.trial import FailureKind, TrialState
from search.trial_kind import trial_kinds
from service.api.memory.schemas import MemoryReport
from service.sql.tables import Epoch, Trial
from service.sql.trial_rows import document_of

if TYPE_CHECKING:
    KindName = str
else:
    KindName = Literal[tuple(trial_kinds)]  # those of the stages that are here


class ArchitectureRead(BaseModel):
    family: str
    decisions: dict[str, bool | int | float | str]


class FailureRead(BaseModel):
    kind: FailureKind
    message: str = Field(description="for people")


class CurvePoint(BaseModel):
    epoch: int = Field(ge=0)
    metrics: dict[str, float | None] = Field(description="after this epoch; null: not finite")
    derived: ArchitectureRead | None = Field(
        None, description="what a supernet would lead to after this epoch"
    )


class SupernetRead(BaseModel):
    method: str = Field(description="the strategy that trains it")
    settings: dict[str, Any]


class EnsembleProposalRead(BaseModel):
    finals: list[int] = Field(description="the final trials that its members are chosen from")
    size: int = Field(description="how often one is picked, at most", ge=2)


class TrialRead(BaseModel):
    number: int = Field(description="counts from 0 in the order of asking", ge=0)
    kind: KindName
    state: TrialState
    architecture: ArchitectureRead | None = Field(
        description="null for a supernet and for an ensemble"
    )
    architecture_key: str = Field(description="the same for isomorphic architectures")
    recipe: dict[str, Any] | None = Field(
        description="how it is trained; null for a supernet and for an ensemble"
    )
    recipe_key: str = Field(description="the same for equal recipes")
    weights_from: int | None = Field(
        description="the supernet trial whose weights its training begins with; null: from scratch"
    )
    supernet: SupernetRead | None = Field(description="null for all other trials")
    ensemble: EnsembleProposalRead | None = Field(description="null for all other trials")
    derived: ArchitectureRead | None = Field(
        description="what a supernet led to, or the members of an ensemble; else null"
    )
    metrics: dict[str, float] = Field(description="its result; empty without one")
    fitness: list[float] | None = Field(
        description="one value an objective, bigger is better; null without a usable result"
    )
    violation: float = Field(
        description="how far it is outside the constraints, in units of each limit; 0: inside",
        ge=0,
    )
    curve: list[CurvePoint] = Field(description="one point an epoch")
    seconds: float = Field(description="wall seconds of training", ge=0)
    worker: str | None
    failure: FailureRead | None
    diagnosis: str | None = Field(
        description="vanishing or exploding gradients of its last epoch, in words; null: neither"
    )
    source: int | None = Field(
        description="the trial that answered a cached one, or the candidate of a final one"
    )
    source_search: str | None = Field(
        description="the earlier search that `source` belongs to, where it was a warm start"
    )
    origin: str | None = Field(
        description="who suggested it, like proxy:synflow; null: the strategy asked for it"
    )
    seed: int
    asked_after: int = Field(
        description="how many ended trials the strategy had been told when it was asked", ge=0
    )
    asked_running: list[int] = Field(description="trials that it knew to be running")
    started_sequence: int = Field(description="number of the event of its start", ge=1)
    ended_sequence: int | None = Field(
        description="number of the event of its end: with `started_sequence`, the order in which "
        "the strategy was asked and told"
    )
    attempts: int = Field(description="how often it was started", ge=0)
    started_at: datetime
    ended_at: datetime | None
    bundle: str | None = Field(description="path of its bundle, if it has one")

    @classmethod
    def of(cls, row: Trial, curve: Sequence[Epoch], has_bundle: bool, root: str) -> TrialRead:
        """`root` stands before the path of the bundle."""
        path = f"{root}/v1/searches/{row.search_id}/trials/{row.number}/bundle"
        return cls.model_validate(
            {
                **document_of(row),
                "curve": [
                    {"epoch": point.epoch, "metrics": point.metrics, "derived": point.derived}
                    for point in curve
                ],
                "diagnosis": diagnosis(row.metrics),
                "asked_after": row.asked_after,
                "asked_running": row.asked_running,
                "started_sequence": row.started_sequence,
                "ended_sequence": row.ended_sequence,
                "attempts": row.attempts,
                "started_at": row.started_at,
                "ended_at": row.ended_at,
                "bundle": path if has_bundle else None,
            }
        )


class TrialPage(BaseModel):
    items: list[TrialRead]
    next_page_token: str | None = Field(description="of the next page; null: this is the last one")


class Spread(BaseModel):
    """Of one metric over the seeds of the final stage."""

    mean: float
    std: float = Field(description="sample standard deviation, 0 for one seed", ge=0)
    seeds: int = Field(ge=1)


class MemberRead(BaseModel):
    """Of an ensemble."""

    trial: int = Field(description="the final trial whose weights it has", ge=0)
    source: int = Field(description="the candidate that was retrained there", ge=0)
    share: float = Field(description="of the answer; all have 1 together", gt=0, le=1)


class BestItem(BaseModel):
    trial: int = Field(description="number of the candidate, or of the ensemble", ge=0)
    architecture: ArchitectureRead = Field(
        description="of an ensemble those of its members, each with its trial and its picks"
    )
    search_metrics: dict[str, float] = Field(
        description="as the strategy saw them; empty for an ensemble"
    )
    ensemble: list[MemberRead] | None = Field(
        description="the members of an ensemble, the best alone first; null for one network"
    )
    final_metrics: dict[str, Spread] | None = Field(
        description="after retraining, test metrics included; null before that"
    )
    baseline: dict[str, float] | None = Field(
        description="what knows nothing of the inputs scores on validation; null: unknown"
    )
    verdict: str | None = Field(
        description="says that it is no better than the baseline; null: it is, or that is unknown"
    )
    bundle: str | None = Field(description="path of the trained model; null before it is published")


class HypervolumePoint(BaseModel):
    trial: int = Field(description="the trial that made it grow", ge=0)
    hypervolume: float = Field(description="then", ge=0, le=1)


class BestRead(BaseModel):
    items: list[BestItem] = Field(
        description="the winner first; the Pareto set when there are several objectives; empty "
        "before the first trial has completed"
    )
    hypervolume: list[HypervolumePoint] = Field(
        description="of the Pareto set over time, by trial number, as a share of the box between "
        "the worst and the best value so far of each objective; empty with one objective"
    )


class Step(BaseModel):
    trials: int = Field(description="after so many trials", ge=1)
    value: float = Field(description="the best so far")


class Course(BaseModel):
    trials: int = Field(description="trials that count against the budget and have ended", ge=0)
    best_so_far: list[Step] = Field(description="one item an improvement")


class Estimate(BaseModel):
    difference: float = Field(description="positive: the strategy, or the first search, is better")
    low: float | None = Field(
        description="2.5 % of a bootstrap over pairs of trials; null for a single pair, and for "
        "the best scores, of which one seed has one number"
    )
    high: float | None = Field(description="97.5 % of it")


class Difference(BaseModel):
    """Trial k of the strategy against trial k of the baseline."""

    trials: int = Field(description="pairs", ge=1)
    final: Estimate = Field(description="of the best scores")
    mean: Estimate = Field(description="of the mean scores")


class SearchDifference(Difference):
    """Trial k of one search against trial k of another."""

    metric: str
    goal: Literal["maximize", "minimize"]


class SeedsDifference(BaseModel):
    """Searches of one setting against as many of another, a seed each."""

    metric: str
    goal: Literal["maximize", "minimize"]
    score: Literal["search", "final", "test"] = Field(
        description="the winner's in the search, the mean of its final trainings on validation, "
        "or theirs on test"
    )
    seeds: int = Field(description="pairs of which both have this score", ge=1)
    difference: float = Field(description="the mean; positive: the first search is better")
    low: float | None = Field(description="2.5 % by Student's t over the pairs; null for one pair")
    high: float | None = Field(description="97.5 % of it")
    better: int = Field(description="pairs in which the first one is better", ge=0)


class ComparisonRead(BaseModel):
    over_seeds: list[SeedsDifference] = Field(
        description="one item an objective and score that both have, over the two searches and "
        "`runs` and `other_runs`; empty where their data differ"
    )
    differences: list[SearchDifference] = Field(
        description="one item an objective of both searches, where both have a result; empty where "
        "their data differ"
    )


class Share(BaseModel):
    decision: str
    share: float = Field(description="of the variance of the score, 0..1; the rest: interactions")


class PresetResult(BaseModel):
    preset: str
    trial: int
    value: float | None = Field(description="of the objective; null while it has none")
    final_metrics: dict[str, Spread] | None = Field(
        description="of its final runs, which it has as the best candidates do; null: none yet"
    )


class ObjectiveReport(BaseModel):
    metric: str
    goal: Literal["maximize", "minimize"]
    strategy: Course
    baseline: Course | None = Field(description="null: the search has none")
    floor: float | None = Field(
        description="what knows nothing of the inputs scores; null: unknown, or not of a score"
    )
    presets: list[PresetResult] = Field(description="known networks that were compared with")
    difference: Difference | None = Field(description="null while one of them has no result")
    importance: list[Share] = Field(
        description="what each decision explains by itself (fANOVA), the largest first; empty for "
        "fewer than ten results"
    )


class RankCorrelation(BaseModel):
    """Between a proxy's scores and the results, over the trials that have both."""

    spearman: float = Field(ge=-1, le=1)
    kendall: float = Field(description="tau-b", ge=-1, le=1)
    trials: int = Field(ge=3)


class Reliability(BaseModel):
    """How far the order of candidates can be trusted, by the final runs of the best."""

    candidates: int = Field(description="that were retrained", ge=1)
    spearman: float | None = Field(
        description="between search scores and means of final ones; null: fewer than three "
        "candidates, or equal ones",
        ge=-1,
        le=1,
    )
    noise: float | None = Field(
        description="standard deviation of a repeat with another seed; null: there is none", ge=0
    )
    spread: float | None = Field(
        description="standard deviation of the means between candidates: where it is no larger "
        "than the noise, their order is luck; null: one candidate",
        ge=0,
    )


class SupernetReport(BaseModel):
    """How the training of a supernet went; lists have one item an epoch."""

    trial: int
    method: str
    state: TrialState
    epochs: list[int]
    rows: list[str] = Field(description="group and row of each list of `entropy`")
    entropy: list[list[float | None]] = Field(
        description="of each row, as a share of the largest possible: rows x epochs"
    )
    skip_share: list[float | None] = Field(
        description="of skip connections in the derived architecture; null: the family has none"
    )
    hessian_eigenvalue: list[float | None] = Field(
        description="the largest of the architecture's Hessian; null: not measured"
    )
    derived: list[ArchitectureRead | None]
    derived_epoch: int | None = Field(description="the epoch whose architecture counts")
    discretisation_gap: float | None = Field(
        description="how much the mixture scores above its derived architecture, on the shared "
        "weights: in accuracy, else in loss; null before the end"
    )
    ending: str = Field(description="why it ended, for people")


class SimpleRead(BaseModel):
    """A simple model on the splits of the search; test was scored once, after the finals."""

    name: str
    samples: int = Field(description="of the train split that it was fitted on: all, unless many")
    validation: dict[str, float]
    test: dict[str, float]
    seconds: float = Field(description="of fitting it", ge=0)
    failure: str | None = Field(description="why it has no result; null: it has")


class EnsembleScore(BaseModel):
    """On validation, by which the members were chosen."""

    metric: str
    ensemble: float | None = Field(description="null: it has failed")
    single: float | None = Field(description="of the best member alone; null: it has failed")


class EnsembleReport(BaseModel):
    """Final trainings that became one model, or did not."""

    trial: int
    finals: int = Field(description="trainings that its members were chosen from", ge=0)
    left_out: int = Field(
        description="of those, whose networks see samples or values otherwise than the best", ge=0
    )
    members: list[MemberRead] = Field(description="the best alone first; empty: it has failed")
    single: int | None = Field(description="the final trial of the first member")
    scores: list[EnsembleScore] = Field(description="one item an objective")
    is_handed_out: bool = Field(
        description="whether it is the first of the best: several members, and no limit broken"
    )
    failure: str | None = Field(description="why there is none; null: there is")


class FamilyReport(BaseModel):
    """What one of several families reached, and for how many seconds."""

    family: str
    trials: int = Field(description="of the strategy that have ended, repeats left out", ge=0)
    seconds: float = Field(description="that workers had them", ge=0)
    best: dict[str, float | None] = Field(
        description="value by objective, of any trial; null: none has one"
    )


class ReportRead(BaseModel):
    verdict: str | None = Field(
        description="says that the winner is no better than the dataset's baseline, or than a "
        "simple model; null: it is, or that is unknown"
    )
    simple: list[SimpleRead] = Field(
        description="what a person would try first; empty before the end, and where `baselines` "
        "has no simple"
    )
    objectives: list[ObjectiveReport]
    rank_correlations: dict[str, RankCorrelation] = Field(
        description="of each zero-cost proxy with the first objective; bigger is better in both"
    )
    reliability: dict[str, Reliability] = Field(
        description="by objective on validation; empty before a final run has completed, and where "
        "none keeps a validation split"
    )
    ensemble: EnsembleReport | None = Field(
        description="null before its end, and where none was asked for"
    )
    memory: list[MemoryReport] = Field(description="empty where the search remembers nothing")
    families: list[FamilyReport] = Field(description="empty where the space is of one family")
    supernets: list[SupernetReport] = Field(description="of a strategy on shared weights")
