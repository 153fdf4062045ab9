"""The card that a process computes on: its share of it, repeatable kernels, and what breaks it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch
from torch.utils import deterministic

CONTEXT_BYTES = 2**30
"""What a process takes of a card beside torch's allocator: its CUDA context, kernels, workspaces of
libraries. 700 MiB were measured on an H200 with torch 2.11 (`make test-gpu` measures it anew).
"""

WORKSPACE = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""Without it cuBLAS may add in another order each time. It is read when a process first multiplies
matrices on a card.
"""

STICKY_MESSAGES = (
    "device-side assert",
    "illegal memory access",
    "illegal instruction",
    "misaligned address",
    "invalid program counter",
    "unspecified launch failure",
    "hardware stack error",
    "uncorrectable ecc error",
    "launch timed out",
    "invalid address space",
)
"""Parts of what CUDA says of errors after which a process gets no more work done on its card; the
documentation of `cudaError` has them as leaving "the process in an inconsistent state".
"""


def use_card(share: float) -> torch.device:
    """The current CUDA device. Of less than a whole card, torch's allocator takes the share of its
    memory without what the process needs beside it.

    Raises:
        RuntimeError: this process sees no CUDA device.
    """
    if not torch.cuda.is_available():
        raise RuntimeError(f"gpus_per_trial is {share:g}, but this worker has no CUDA device")
    device = torch.device("cuda", torch.cuda.current_device())
    whole = int(torch.cuda.get_device_properties(device).total_memory)
    torch.cuda.set_per_process_memory_fraction(allocated_share(share, whole), device)
    return device


def numbered(device: str | torch.device) -> torch.device:
    """The device as its tensors name it: of "cuda" the current one."""
    device = torch.device(device)
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def allocated_share(share: float, whole: int) -> float:
    """Of a card with `whole` bytes, what the allocator of a process with a share of it may take."""
    if share >= 1:
        return 1.0
    return max(share - CONTEXT_BYTES / whole, share / 2)


def place_of(given: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """The number, in this process, of the first card that it was given by its name or number on the
    machine; None where it was given none. What `CUDA_VISIBLE_DEVICES` leaves visible is numbered
    anew, in its order.

    Raises:
        ValueError: the card is not among those that this process sees.
    """
    if not given:
        return None
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return int(given[0])
    names = [name.strip() for name in visible.split(",")]
    if given[0] not in names:
        raise ValueError(f"card {given[0]} is not visible: CUDA_VISIBLE_DEVICES is {visible!r}")
    return names.index(given[0])


def set_deterministic(is_deterministic: bool) -> None:
    """Whether operations of this process give the same bits each time on a card; one that cannot
    raises an error that names it. Takes effect on matrix products only before the first of them.
    """
    if is_deterministic:
        os.environ.update(WORKSPACE)
    torch.use_deterministic_algorithms(is_deterministic)
    torch.backends.cudnn.deterministic = is_deterministic
    # New memory need not be filled with NaN: nothing here reads it before it is written.
    deterministic.fill_uninitialized_memory = not is_deterministic  # type: ignore[attr-defined]


def is_sticky(error: BaseException) -> bool:
    """Whether CUDA refuses all further work of this process after the error."""
    if isinstance(error, torch.OutOfMemoryError) or not isinstance(error, RuntimeError):
        return False
    text = str(error).lower()
    is_of_cuda = isinstance(error, torch.AcceleratorError) or "cuda" in text
    return is_of_cuda and any(part in text for part in STICKY_MESSAGES)
