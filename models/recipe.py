"""The training recipe: every value that shapes a training run beside architecture, data, seed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.architecture import sha256_of
from models.settings import Settings, searchable

OptimizerName = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
ScheduleName = Literal["constant", "step", "cosine", "one_cycle", "warmup_cosine"]
Initialization = Literal["default", "kaiming", "xavier", "orthogonal"]
Precision = Literal["float32", "bfloat16"]
Pretraining = Literal["none", "masked", "contrastive"]


class Recipe(Settings):
    """One concrete recipe. `TrainingSettings` is its request form, with domains.

    `l1`, `l2` and `weight_decay` act on weights: not on biases, nor on normalisation.
    """

    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training split")
    batch_size: int = Field(64, ge=1, le=65_536, description="samples per step, at most")
    optimizer: OptimizerName = Field(
        "momentum", description="update rule; adamw is adam, as weight_decay is decoupled anyway"
    )
    learning_rate: float = Field(0.05, gt=0, le=10, description="initial or peak step size")
    momentum: float = Field(0.9, ge=0, lt=1, description="gamma of momentum and nesterov")
    schedule: ScheduleName = Field(
        "cosine", description="learning rate over the steps; step: a tenth at 1/2 and 3/4"
    )
    warmup_epochs: int = Field(1, ge=0, le=10_000, description="linear warm-up of warmup_cosine")
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
    l1_step: Literal["penalty", "proximal"] = Field(
        "penalty",
        description="how l1 acts; proximal: by a soft threshold after every step, so that weights "
        "become exact zeros",
    )
    pretraining: Pretraining = Field(
        "none",
        description="what the network learns from the samples alone, labelled or not, before it is "
        "trained; masked: what is hidden of a sample; contrastive: which two views are of one",
    )
    pretraining_epochs: int = Field(
        30, ge=1, le=10_000, description="passes over those samples, before the first epoch"
    )
    pretraining_batch_size: int = Field(
        256, ge=2, le=65_536, description="samples per step of pretraining, at most"
    )
    pretraining_learning_rate: float = Field(
        0.001, gt=0, le=10, description="peak step size of pretraining, by adam along a cosine"
    )

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON: the same recipe has the same key."""
        return sha256_of(self.model_dump(mode="json"))


TrainingSettings = searchable(Recipe, "TrainingSettings")
