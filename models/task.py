"""What a network is for: the shapes that go in and come out, one value for all families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

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


@dataclass(frozen=True, slots=True)
class Task:
    """What goes in and what comes out.

    Shapes:
        input_shape: of one sample without the batch; (channels, height, width) for images.
        outputs: number of classes of a classification, of values of a regression.
    """

    name: TaskName
    input_shape: tuple[int, ...]
    outputs: int

    def __post_init__(self) -> None:
        if self.name not in TASK_NAMES:
            raise ValueError(f"unknown task {self.name!r}, known are {', '.join(TASK_NAMES)}")
        if self.outputs < 1 or any(size < 1 for size in self.input_shape):
            raise ValueError(f"sizes of a task are positive, got {self}")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "outputs": self.outputs,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(document["name"], tuple(document["input_shape"]), document["outputs"])
