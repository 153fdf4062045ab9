"""The search as requested: request body = stored JSON = engine input, one definition."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_serializer, field_validator

from models.architecture import Architecture
from models.datasets.tables import COSTS
from models.domains import as_domain
from models.family import FamilySettings
from models.recipe import MAX_EPOCHS, TrainingSettings
from models.settings import Items, OneOf, Settings
from models.training.values import ErrorUnit
from search.body import Body
from search.fidelity import FidelityRule, FidelitySettings, fidelities
from search.objectives import COST_METRICS, Constraint, Objective
from search.predictors.proxy_scores import ProxyName
from search.spaces import TABLE, spaces
from search.strategy import ScoredSettings, StrategySettings, strategies
from search.streams import FORMAT, Format, OlderSeed

MAX_TRIALS = 100_000
MAX_SPACES = 32


SIMPLE = "simple"
"""Among the baselines: the simple models for the task (`models.simple`)."""


OFF, OWN = "off", "own"
"""Of `memory`: nothing, and the tenant's own searches."""


def _listed(value: object) -> object:
    """That one word is a list of it."""
    return [SIMPLE] if value == SIMPLE else value


def _searches(value: object) -> object:
    """The same of `memory`."""
    if value == OFF:
        return []
    return [OWN] if value == OWN else value


class Budget(Settings):
    """What a search may spend. It ends at whichever comes first."""

    trials: int = Field(50, ge=1, le=MAX_TRIALS, description="trials that are trained")
    seconds: float | None = Field(
        None,
        gt=0,
        le=31_536_000,
        description="wall seconds of the whole search, final trainings and publishing included; "
        "null: no limit",
    )


class Resources(Settings):
    parallel_trials: int = Field(2, ge=1, le=10_000, description="trials at a time")
    cpus_per_trial: float = Field(1, gt=0, le=1024, description="cores, also torch's threads")
    gpus_per_trial: float = Field(
        0, ge=0, le=64, description="0: on processors; 1: a GPU; a fraction: that share of one"
    )
    deterministic: bool = Field(
        False,
        description="on a GPU: only kernels that give the same bits each time, which are slower; "
        "processors give them anyway",
    )
    trial_timeout_seconds: float | None = Field(
        None,
        ge=1,
        le=31_536_000,
        description="without the end of an epoch, after which a trial's worker counts as frozen "
        "and the trial is tried again; null: ten times its slowest epoch, 120 at least",
    )


class ProxySettings(Settings):
    """A zero-cost score of untrained networks, and what the search does with it. Every trial keeps
    the score among its metrics.
    """

    name: ProxyName = Field(description="a proxy of the catalog")
    use: Literal["first", "filter", "report"] = Field(
        "first",
        description="first: the best of a sample are tried first; filter: what scores below "
        "a sample is not trained and costs no budget; report: nothing more than keep the score",
    )
    samples: int = Field(
        500, ge=2, le=10_000, description="random networks that are scored before the search"
    )
    top: int = Field(10, ge=1, le=1000, description="first: how many are tried first")
    quantile: float = Field(0.5, gt=0, lt=1, description="filter: share of the sample refused")


class Final(Settings):
    """The best architectures are retrained from scratch; only here is the test split scored."""

    top: int = Field(
        1,
        ge=1,
        le=100,
        description="architectures to retrain, of which validation over the seeds chooses the "
        "winner; default, where networks are trained for one objective: one for every ten trials "
        "of the budget, 3 at most",
    )
    seeds: int = Field(3, ge=1, le=100, description="independent runs of each")
    epochs: int | None = Field(
        None, ge=1, le=MAX_EPOCHS, description="null: three times the longest trial's"
    )
    patience: int | None = Field(
        None,
        ge=0,
        le=MAX_EPOCHS,
        description="epochs without a better validation loss, after which a run ends with its best "
        "weights; 0: never; null: training.early_stopping, or where that is left open a quarter of "
        "the epochs and 10 at least",
    )
    data: Literal["train", "train+val"] = Field(
        "train",
        description="train: validation is kept for early stopping; train+val: then a run trains "
        "anew on both for the epochs that were best; default: train, and train+val of forecasting, "
        "where validation is the newest data",
    )
    formats: Items[str] = Field(
        (),
        max_length=16,
        description="other forms of the model in its bundle, like onnx and pt2; each takes some "
        "seconds to make, and may be had later by asking for the bundle as it",
    )
    ties: Literal["loss", "number"] = Field(
        "loss",
        description="which of equal scores comes first; loss: that of the smaller validation loss; "
        "number: the earlier one, as in searches that do not say it",
    )

    @field_validator("formats")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from models.exporters import formats

        known = formats()
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"unknown formats {unknown}, known are {', '.join(known)}")
        if len(set(names)) < len(names):
            raise ValueError(f"each format is listed once, got {list(names)}")
        return names


class Ensemble(Settings):
    """Final trainings as one model, which averages what they say."""

    size: int = Field(
        5,
        ge=2,
        le=50,
        description="picks among all final trainings of the best, with replacement: how many "
        "networks it has at most",
    )


class SuggestedArchitecture(Settings):
    """An architecture as trials and presets have it."""

    family: str = Field(min_length=1, max_length=100)
    decisions: dict[str, bool | int | float | str] = Field(max_length=10_000)

    def architecture(self) -> Architecture:
        return Architecture(self.family, self.decisions)


class SearchSpec(Body):
    """Body of `POST /v1/searches`. Everything but the dataset has a default."""

    name: str = Field("", max_length=200, description="free text; default: dataset-family-strategy")
    dataset: str = Field(min_length=1, max_length=100, description="name of a dataset")
    space: Annotated[
        FamilySettings | tuple[FamilySettings, ...], OneOf(spaces, "family", several=MAX_SPACES)
    ] = Field(
        default_factory=lambda: None,  # type: ignore[assignment]  # until it is resolved
        validate_default=False,
        description="what may be built: a family, or several, each once, between which the search "
        "decides as well; default: all families for the task, or the table of known results",
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    strategy: Annotated[StrategySettings, OneOf(strategies, "name")] = Field(
        default_factory=lambda: None,  # type: ignore[assignment]  # until it is resolved
        validate_default=False,
        description="what decides what is tried next; default: bananas, with several objectives "
        "nsga2, of more trials than bananas can learn from regularized_evolution",
    )
    fidelity: Annotated[FidelitySettings, OneOf(fidelities, "name")] = Field(
        {"name": "none"},  # type: ignore[assignment]  # validated as one that was sent
        description="which trials are stopped early; default: none",
    )
    objectives: Items[Objective] = Field(
        default=(), max_length=8, description="default: the task's own score"
    )
    constraints: Items[Constraint] = Field(default=(), max_length=16)
    proxies: Items[ProxySettings] = Field(
        default=(), max_length=8, description="scores of untrained networks"
    )
    budget: Budget = Field(default_factory=Budget)
    warm_start: Items[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=(),
        max_length=16,
        description="ids of earlier searches, of the same dataset and objectives, whose results "
        "the strategy is told before it is asked",
    )
    memory: Annotated[
        Items[Annotated[str, Field(min_length=1, max_length=100)]],
        BeforeValidator(_searches, json_schema_input_type=Literal["off", "own"] | tuple[str, ...]),
    ] = Field(
        default=(),
        max_length=8,
        description="earlier searches on other data of the same task, whose best are tried as long "
        "as they rank here as they did there; own: the newest of yours that fit, or their ids; "
        "off, the default: none",
    )
    suggestions: Items[SuggestedArchitecture] = Field(
        default=(),
        max_length=100,
        description="architectures that are tried first, points of the space; what is searched of "
        "the recipe is in the middle",
    )
    opening: Literal["known", "none"] = Field(
        "known",
        description="what is tried after the suggestions; known: the presets of the family that "
        "the space has or comes near to, on a quarter of the trials at most, where networks are "
        "trained one by one",
    )
    baseline: Literal["random"] | None = Field(
        None,
        description="random: random search with as many trials, after the strategy's, to compare "
        "with; a time budget leaves it as much time; never among the best",
    )
    baselines: Annotated[
        Items[Annotated[str, Field(min_length=1, max_length=100)]],
        BeforeValidator(_listed, json_schema_input_type=Literal["simple"] | tuple[str, ...]),
    ] = Field(
        default=(SIMPLE,),
        max_length=16,
        description="what to compare with; simple: what a person would try first on such data, "
        "scored on the test split after the finals; presets, trained by the same recipe after the "
        "strategy's trials; never among the best, whatever the constraints",
    )
    ensemble: Ensemble | None = Field(
        None,
        description="the final trainings that are best together on validation become one model, "
        "the first of the best where it is better than each of them alone; null: none",
    )
    force: bool = Field(
        False, description="whether to run what is refused as a likely mistake all the same"
    )
    errors_in: ErrorUnit = Field(
        "own_unit",
        description="unit of mae and rmse of values: the target's own, or its deviation on the "
        "train split, as in papers on forecasting and in searches that do not say it",
    )
    resources: Resources = Field(default_factory=Resources)
    final: Final = Field(default_factory=Final)
    seed: int = Field(0, ge=0, lt=2**31, description="of everything random in the search")
    format: Format = Field(
        FORMAT,
        description="how a search follows from its seed; 1: as in versions that did not say it",
    )

    @field_validator("proxies")
    @classmethod
    def _proxies_are_distinct(cls, chosen: tuple[ProxySettings, ...]) -> tuple[ProxySettings, ...]:
        names = [proxy.name for proxy in chosen]
        if len(set(names)) < len(names):
            raise ValueError(f"each proxy is named once, got {names}")
        return chosen

    @field_validator("memory")
    @classmethod
    def _searches_are_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"each search is named once, got {list(names)}")
        return names

    @field_serializer("training")
    def _as_it_was_said(self, training: Settings) -> dict[str, Any]:
        """What nobody said is left out, as all of it is where there is nothing to train. In a
        resolved spec of networks every field has been said, or filled in.
        """
        return training.model_dump(mode="json", exclude_unset=True)

    @property
    def members(self) -> tuple[FamilySettings, ...]:
        """The space of each family; none where the space is not resolved."""
        if self.space is None:
            return ()
        return self.space if isinstance(self.space, tuple) else (self.space,)

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(settings.family for settings in self.members)

    @property
    def presets(self) -> tuple[str, ...]:
        """The baselines that are known networks."""
        return tuple(name for name in self.baselines if name != SIMPLE)

    @property
    def looks_up(self) -> bool:
        """Whether results are looked up in a table, and nothing is trained."""
        return self.families == (TABLE,)

    @property
    def scored_by(self) -> list[str]:
        """The proxies that score untrained networks, for the search or for its strategy."""
        names = [proxy.name for proxy in self.proxies]
        if isinstance(self.strategy, ScoredSettings):
            names += self.strategy.proxies
        return list(dict.fromkeys(names))

    @property
    def is_older(self) -> bool:
        """Whether the search began, or is to go, as those of format 1."""
        return self.format == 1

    @property
    def stream_seed(self) -> int:
        """The seed as `rng_for` takes it, which knows the format of its streams."""
        return OlderSeed(self.seed) if self.is_older else self.seed

    @property
    def max_epochs(self) -> int:
        """Of the longest trial; a look into a table is one."""
        if self.looks_up:
            return 1
        return longest_training(self.training)

    @property
    def cost_limits(self) -> list[Constraint]:
        """The constraints on what is known of a candidate before anything is built of it: a table
        knows the latency as well.
        """
        known = COSTS if self.looks_up else COST_METRICS
        return [limit for limit in self.constraints if limit.metric in known]

    @property
    def measured_limits(self) -> list[Constraint]:
        """The constraints on what training alone can tell."""
        known = self.cost_limits
        return [limit for limit in self.constraints if limit not in known]

    @property
    def validates_finals(self) -> bool:
        """Whether every final training keeps validation, or has kept it at first."""
        patience = self.final.patience
        if self.final.data == "train" or patience:
            return True
        stops = as_domain(self.training.early_stopping)
        return patience is None and 0 not in stops.levels(2)

    def fidelity_rule(self) -> FidelityRule:
        """Told nothing yet. The spec is resolved: it has an objective."""
        rule = fidelities[self.fidelity.name]
        return rule(self.fidelity, self.objectives[0], self.max_epochs)

    def to_json(self) -> dict[str, Any]:
        """The stored form; `SearchSpec.model_validate` gives an equal spec back."""
        return self.model_dump(mode="json")

    def __reduce__(self) -> tuple[Any, ...]:
        """To workers as JSON: no process can import the classes of `space` and `strategy`, which
        are made at run time, and with all that they mention they cannot be pickled by value.
        """
        return type(self).model_validate, (self.to_json(),)


def as_said(field: str, value: object) -> Any:
    """A field of a spec as if a request had said so."""
    return getattr(SearchSpec.model_validate({"dataset": "any", field: value}), field)


def longest_training(training: TrainingSettings) -> int:
    """The most epochs that a recipe may have."""
    epochs = as_domain(training.epochs).values()
    return max(int(value) for value in epochs)
