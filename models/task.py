"""What a network is for: the shapes that go in and come out, one value for all families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

TaskName = Literal[
    "tabular_classification",
    "tabular_regression",
    "image_classification",
    "forecasting",
    "sequence_classification",
    "text_classification",
    "language_modeling",
    "node_classification",
    "graph_classification",
]
TASK_NAMES: tuple[str, ...] = get_args(TaskName)
TEXT_TASKS = ("text_classification", "language_modeling")
"""Their input is token ids; all others take numbers."""


@dataclass(frozen=True, slots=True)
class Task:
    """What goes in and what comes out.

    Shapes:
        input_shape: of one sample without the batch; (features,) for tables, (channels, height,
            width) for images, (window, channels) for series and sequences, (length,) for texts.
        outputs: number of classes of a classification, of values of a regression, horizon * series
            of a forecast; of a language model the vocabulary, at every position.
        vocabulary: number of token ids of a text task, which are below it; None for all others.
    """

    name: TaskName
    input_shape: tuple[int, ...]
    outputs: int
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        if self.name not in TASK_NAMES:
            raise ValueError(f"unknown task {self.name!r}, known are {', '.join(TASK_NAMES)}")
        if self.outputs < 1 or any(size < 1 for size in self.input_shape):
            raise ValueError(f"sizes of a task are positive, got {self}")
        if (self.name in TEXT_TASKS) != (self.vocabulary is not None):
            raise ValueError(
                f"{' and '.join(TEXT_TASKS)} have a vocabulary and no other task has, "
                f"got {self.name} with vocabulary {self.vocabulary}"
            )
        if self.vocabulary is not None and self.vocabulary < 1:
            raise ValueError(f"a vocabulary has at least 1 token, got {self.vocabulary}")
        if self.name == "language_modeling" and self.outputs != self.vocabulary:
            raise ValueError(
                f"a language model has one output a token, got {self.outputs} outputs for a "
                f"vocabulary of {self.vocabulary}"
            )

    def zeros(self, count: int, device: str | torch.device = "cpu") -> Tensor:
        """A batch of `count` inputs of the right type: token ids or numbers.

        Shapes:
            (count, *input_shape), int64 for a text task, else float32
        """
        dtype = torch.float32 if self.vocabulary is None else torch.int64
        return torch.zeros(count, *self.input_shape, dtype=dtype, device=device)

    def to_json(self) -> dict[str, Any]:
        document = {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "outputs": self.outputs,
        }
        return document if self.vocabulary is None else document | {"vocabulary": self.vocabulary}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            document["name"],
            tuple(document["input_shape"]),
            document["outputs"],
            document.get("vocabulary"),
        )
