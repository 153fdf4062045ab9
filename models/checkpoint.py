"""Checkpoints: a safetensors file whose header says which network its weights belong to.

The header's `__metadata__` has one entry, `netsmith`: canonical JSON of architecture, task, recipe,
extra values and `content_sha256`. That is the SHA-256 of the whole file with its own 64 digits
replaced by zeros, so one file proves itself whole and any changed bit is found. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor, nn

from models.architecture import Architecture, canonical_json
from models.families import families
from models.storage import StoredFile, read_file, write_file
from models.task import Task
from models.training.recipe import Recipe

_NO_DIGEST = "0" * 64


class CheckpointError(ValueError):
    """The file is no checkpoint, or not the one that was written."""


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


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's state on the CPU, each tensor dense, row-major and of its own."""
    return {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }


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
        "content_sha256": _NO_DIGEST,
        "extra": dict(extra),
        "recipe": recipe.model_dump(mode="json"),
        "task": task.to_json(),
    }
    content = format_tensors(weights_of(network), {"netsmith": canonical_json(document)})
    return write_file(url, _with_digest(content, hashlib.sha256(content).hexdigest()))


def load(url: str) -> Checkpoint:
    """
    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: a byte of it is not as it was written, or it is no checkpoint.
    """
    content = read_file(url)
    try:
        document = json.loads(_header(content)["__metadata__"]["netsmith"])
        digest = document.pop("content_sha256")
        if hashlib.sha256(_with_digest(content, _NO_DIGEST, old=digest)).hexdigest() != digest:
            raise CheckpointError(f"{url} is damaged: its content does not match its SHA-256")
        return Checkpoint(
            parse_tensors(content),
            Architecture.from_json(document["architecture"]),
            Task.from_json(document["task"]),
            Recipe.model_validate(document["recipe"]),
            document["extra"],
        )
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{url} is no whole checkpoint: {error!r}") from None


def _header(content: bytes) -> dict[str, Any]:
    """The JSON after the eight bytes of its length (the format of safetensors)."""
    end = 8 + int.from_bytes(content[:8], "little")
    if not 8 < end <= len(content):
        raise ValueError(f"a header of {end - 8} bytes in a file of {len(content)}")
    header: dict[str, Any] = json.loads(content[8:end])
    return header


def _with_digest(content: bytes, new: str, old: str = _NO_DIGEST) -> bytes:
    """`content` with its digest exchanged. The quotes are escaped: JSON inside of JSON."""
    before, after = (rf"\"content_sha256\":\"{digest}\"".encode() for digest in (old, new))
    if content.count(before) != 1:
        raise ValueError("the digest's place is not unique")
    return content.replace(before, after)
