"""Checkpoints: a tensor file whose document says which network its weights belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from models.architecture import Architecture
from models.cost import cost
from models.family import families
from models.recipe import Recipe
from models.storage import StoredFile
from models.task import Task
from models.tensor_file import CheckpointError, dense, read_tensors, write_tensors

__all__ = ["Checkpoint", "CheckpointError", "load", "save", "weights_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights, and all that is needed to build the network that they belong to.

    `extra`: JSON values about the run, such as its seed and metrics.
    """

    weights: Mapping[str, Tensor]
    architecture: Architecture
    task: Task
    recipe: Recipe
    extra: Mapping[str, Any]

    def network(self) -> nn.Module:
        """The network with these weights, on the CPU, in evaluation mode.

        Raises:
            CheckpointError: the weights are not those of the architecture.
        """
        family = families[self.architecture.family]
        network = family.build(self.architecture, self.task, self.recipe)
        try:
            network.load_state_dict(dict(self.weights), strict=True)
        except RuntimeError as error:
            raise CheckpointError(f"the weights do not fit the architecture: {error}") from None
        return network.eval()

    def cost(self) -> dict[str, float]:
        """As of `models.cost.cost`."""
        return cost(self.architecture, self.task, self.recipe)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's state on the CPU, each tensor dense, row-major and of its own."""
    return {name: dense(tensor) for name, tensor in network.state_dict().items()}


def save(
    url: str,
    network: nn.Module,
    architecture: Architecture,
    task: Task,
    recipe: Recipe,
    extra: Mapping[str, Any],
) -> StoredFile:
    """Write the checkpoint whole or not at all (`models.storage.write_file`)."""
    document = {
        "architecture": architecture.to_json(),
        "extra": dict(extra),
        "recipe": recipe.model_dump(mode="json"),
        "task": task.to_json(),
    }
    return write_tensors(url, weights_of(network), document)


def load(url: str) -> Checkpoint:
    """
    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: a byte of it is not as it was written, or it is no checkpoint.
    """
    tensors, document = read_tensors(url)
    try:
        return Checkpoint(
            tensors,
            Architecture.from_json(document["architecture"]),
            Task.from_json(document["task"]),
            Recipe.from_json(document["recipe"]),
            document["extra"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{url} is no whole checkpoint: {error!r}") from None
