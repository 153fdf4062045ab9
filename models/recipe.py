"""The training recipe: every value that shapes a training run beside architecture, data, seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from models.architecture import AllBut, Allowed, When, is_met, sha256_of
from models.domains import Scalar, as_domain
from models.settings import Searchable, Settings, searchable

if TYPE_CHECKING:
    from models.task import Task

OptimizerName = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
ScheduleName = Literal["constant", "step", "cosine", "one_cycle", "warmup_cosine"]
Initialization = Literal["default", "kaiming", "xavier", "orthogonal"]
Precision = Literal["float32", "bfloat16"]
Pretraining = Literal["none", "masked", "contrastive"]
Loss = Literal["mse", "huber", "mae", "quantile"]
TargetTransform = Literal["none", "log", "quantile"]
InputTransform = Literal["standard", "quantile"]
ClassWeight = Literal["none", "balanced"]
Tokens = Literal["dataset", "words", "subwords", "characters"]


@dataclass(frozen=True, slots=True)
class Needs:
    """Of a field of the recipe: it counts only where an earlier field holds one of `allowed`."""

    field: str
    allowed: Allowed


@dataclass(frozen=True, slots=True)
class Only:
    """Of a field of the recipe: other tasks refuse it."""

    tasks: tuple[str, ...]

    def allows(self, task: Task) -> bool:
        """The task's form (`Task.form`) counts too: labels of rows are not those of pictures."""
        return {task.name, task.form} <= set(self.tasks)


VALUE_TASKS = ("tabular_regression", "forecasting")
"""Their targets are numbers; all others have classes, or tokens."""

_LABELS = "multilabel_classification"

TABLE_TASKS = ("tabular_classification", "tabular_regression", _LABELS)

OF_LOSS = ("loss", "quantile_level", "target_transform")
"""Fields by which losses are of another kind, or of values in another unit."""

CLASS_TASKS = (
    "tabular_classification",
    "image_classification",
    "sequence_classification",
    "text_classification",
    "node_classification",
    "graph_classification",
)
"""Their samples have one class each."""

WEIGHTED_TASKS = (*CLASS_TASKS, _LABELS)
"""Their losses are sums over classes, or over labels, that may be weighed."""

MAX_EPOCHS = 10_000
"""Of one training."""

IF_PRETRAINED = Needs("pretraining", AllBut(("none",)))


class Recipe(Settings):
    """One concrete recipe. `TrainingSettings` is its request form, with domains.

    `l1`, `l2` and `weight_decay` act on weights: not on biases, nor on normalisation.
    """

    epochs: int = Field(8, ge=1, le=MAX_EPOCHS, description="passes over the training split")
    batch_size: int = Field(64, ge=1, le=65_536, description="samples per step, at most")
    optimizer: OptimizerName = Field(
        "momentum", description="update rule; adamw is adam, as weight_decay is decoupled anyway"
    )
    learning_rate: float = Field(0.05, gt=0, le=10, description="initial or peak step size")
    momentum: Annotated[float, Needs("optimizer", ("momentum", "nesterov"))] = Field(
        0.9, ge=0, lt=1, description="gamma of momentum and nesterov"
    )
    schedule: ScheduleName = Field(
        "cosine", description="learning rate over the steps; step: a tenth at 1/2 and 3/4"
    )
    warmup_epochs: Annotated[int, Needs("schedule", ("warmup_cosine",))] = Field(
        1, ge=0, le=10_000, description="linear warm-up of warmup_cosine"
    )
    l1: float = Field(0.0, ge=0, le=10, description="penalty l1 * sum |w| in the loss, of weights")
    l2: float = Field(
        0.0, ge=0, le=10, description="penalty l2 / 2 * sum w^2 in the loss, of weights"
    )
    weight_decay: float = Field(
        0.0, ge=0, le=10, description="decoupled, of weights: w -= lr * decay * w"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="before the classifier")
    batch_norm: bool = Field(True, description="batch normalisation after every linear map")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="epsilon of the smoothed target")
    augmentation: Literal["none", "shift", "shift_flip"] = Field(
        "none", description="random shift by up to an eighth of the side, one pixel or more; flip"
    )
    early_stopping: int = Field(
        0,
        ge=0,
        le=10_000,
        description="epochs without a better validation loss, then its weights; 0: never",
    )
    initialization: Initialization = Field(
        "default", description="of weights; default: as torch builds them"
    )
    clip_norm: float = Field(0.0, ge=0, le=1e6, description="largest gradient norm; 0: no limit")
    precision: Precision = Field("float32", description="bfloat16 uses autocast")
    l1_step: Annotated[Literal["penalty", "proximal"], Needs("l1", AllBut((0.0,)))] = Field(
        "penalty",
        description="how l1 acts; proximal: by a soft threshold after every step, so that weights "
        "become exact zeros",
    )
    pretraining: Pretraining = Field(
        "none",
        description="what the network learns from the samples alone, labelled or not, before it is "
        "trained; masked: what is hidden of a sample; contrastive: which two views are of one",
    )
    pretraining_epochs: Annotated[int, IF_PRETRAINED] = Field(
        30, ge=1, le=10_000, description="passes over those samples, before the first epoch"
    )
    pretraining_batch_size: Annotated[int, IF_PRETRAINED] = Field(
        256, ge=2, le=65_536, description="samples per step of pretraining, at most"
    )
    pretraining_learning_rate: Annotated[float, IF_PRETRAINED] = Field(
        0.001, gt=0, le=10, description="peak step size of pretraining, by adam along a cosine"
    )

    loss: Annotated[Loss, Only(VALUE_TASKS)] = Field(
        "mse",
        description="of values, standardised or transformed: squared error; huber, squared up to "
        "one deviation and absolute beyond; mae, absolute; quantile, at quantile_level",
    )
    quantile_level: Annotated[float, Only(VALUE_TASKS), Needs("loss", ("quantile",))] = Field(
        0.5, gt=0, lt=1, description="of the quantile loss, which predicts this quantile"
    )
    target_transform: Annotated[TargetTransform, Only(("tabular_regression",))] = Field(
        "none",
        description="of the values for training, undone in every score and prediction; log: "
        "sign(v) log(1 + |v| / unit), the unit being the median size; quantile: to normal scores",
    )
    input_transform: Annotated[InputTransform, Only(TABLE_TASKS)] = Field(
        "standard",
        description="of the numbers of a table; quantile: each by its rank in the train split, as "
        "normal scores, for columns with a few values far from all others",
    )
    class_weight: Annotated[ClassWeight, Only(WEIGHTED_TASKS)] = Field(
        "none",
        description="of the samples in the training loss; balanced: samples / (classes * samples "
        "of the class), so that each class counts the same; a label is two classes, with and "
        "without it",
    )
    tokens: Annotated[Tokens, Only(("text_classification", _LABELS))] = Field(
        "dataset",
        description="what the texts of a classification are cut into; dataset: as its option "
        "tokens says; subwords: frequent parts of words, learned on the train split",
    )

    def canonical(self) -> Self:
        """The one recipe of all that train the same: what does not count has its recorded value."""
        return self.model_copy(update=self._canonical_values())

    @property
    def key(self) -> str:
        """SHA-256 of what differs from the record, in canonical form: recipes that train the same
        have the same key, in every version.
        """
        return _key(self)

    @property
    def older_key(self) -> str:
        """The key in searches of format 1: of every field that there was, whether it counts or
        not.
        """
        return sha256_of(self.model_dump(mode="json", include=set(_RECORD[0])))

    def _canonical_values(self) -> dict[str, Scalar]:
        values = self.model_dump(mode="json")
        for name, when in conditions().items():
            if not is_met(when, values):
                values[name] = RECORDED[name]
        return values

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """A stored recipe; a field that its version did not have is as it was then."""
        return cls.model_validate({**RECORDED, **document})


@lru_cache(maxsize=10_000)
def _key(recipe: Recipe) -> str:
    """A strategy asks for the keys of thousands of networks by a few recipes."""
    values = recipe._canonical_values()
    values["optimizer"] = _SAME.get(recipe.optimizer, recipe.optimizer)
    return sha256_of({n: value for n, value in values.items() if value != RECORDED[n]})


@cache
def conditions() -> Mapping[str, When]:
    """Of the fields that do not always count; a field comes after those that it needs."""
    return {
        name: tuple((needed.field, needed.allowed) for needed in info.metadata if _is_need(needed))
        for name, info in Recipe.model_fields.items()
        if any(_is_need(needed) for needed in info.metadata)
    }


@cache
def of_tasks() -> Mapping[str, Only]:
    """Of the fields that are not for all tasks."""
    return {
        name: only
        for name, info in Recipe.model_fields.items()
        for only in info.metadata
        if isinstance(only, Only)
    }


def refused_fields(task: Task) -> frozenset[str]:
    """The fields that are for other tasks."""
    return frozenset(name for name, only in of_tasks().items() if not only.allows(task))


def _is_need(metadata: object) -> bool:
    return isinstance(metadata, Needs)


_RECORD: tuple[Mapping[str, Scalar], ...] = (
    {
        "epochs": 8,
        "batch_size": 64,
        "optimizer": "momentum",
        "learning_rate": 0.05,
        "momentum": 0.9,
        "schedule": "cosine",
        "warmup_epochs": 1,
        "l1": 0.0,
        "l2": 0.0,
        "weight_decay": 0.0,
        "dropout": 0.0,
        "batch_norm": True,
        "label_smoothing": 0.0,
        "augmentation": "none",
        "early_stopping": 0,
        "initialization": "default",
        "clip_norm": 0.0,
        "precision": "float32",
        "l1_step": "penalty",
        "pretraining": "none",
        "pretraining_epochs": 30,
        "pretraining_batch_size": 256,
        "pretraining_learning_rate": 0.001,
    },
    {"loss": "mse", "quantile_level": 0.5, "target_transform": "none"},
    {"input_transform": "standard"},
    {"class_weight": "none"},
    {"tokens": "dataset"},
)
"""The fields of each version of the recipe that added some, with the values by which a network is
trained as before. Append only: whatever the defaults become, what is written here stays.
"""

RECORDED: Mapping[str, Scalar] = {
    name: value for version in _RECORD for name, value in version.items()
}

_SAME = {"adamw": "adam"}
"""Optimizers that train the same under another name."""


class TrainingSettings(searchable(Recipe, "TrainingSettings")):  # type: ignore[misc]  # made here
    __doc__ = Recipe.__doc__

    steps: Searchable[Annotated[int, Field(ge=1, le=100_000_000)]] | None = Field(
        None,
        description="in place of epochs: of the optimizer, at least; what is stored are the epochs "
        "that they are",
    )

    def changed(self, **fields: object) -> Self:
        """With these values, which are valid ones, in place of its own."""
        found: Self = self.model_copy(update=fields)
        return found

    @model_validator(mode="after")
    def _is_as_long_as_one_of_them_says(self) -> Self:
        if self.steps is None:
            return self
        if "epochs" in self.model_fields_set:
            raise ValueError("a training has epochs or steps, got both")
        if as_domain(self.batch_size).size > 1:
            raise ValueError("steps are counted by one batch_size, got several")
        return self
