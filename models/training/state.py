"""The state of a run in a file, to go on from in another process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.storage import StoredFile
from models.tensor_file import CheckpointError, read_tensors, write_tensors
from models.training.trainer import TrainingState


def save_state(url: str, state: TrainingState, extra: Mapping[str, Any]) -> StoredFile:
    """Write the state whole or not at all, with `extra` JSON values about the run."""
    document = {"epoch": state.epoch, "values": dict(state.values), "extra": dict(extra)}
    return write_tensors(url, state.tensors, document)


def load_state(url: str) -> tuple[TrainingState, dict[str, Any]]:
    """The state and `extra`.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is damaged, or no state of a run.
    """
    tensors, document = read_tensors(url)
    try:
        return TrainingState(document["epoch"], tensors, document["values"]), document["extra"]
    except KeyError as error:
        raise CheckpointError(f"{url} is no state of a run, it lacks {error}") from None
