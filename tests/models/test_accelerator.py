"""The card of a process: its share, its number, and errors that end it, as CUDA words them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
import torch

from models.accelerator import (
    CONTEXT_BYTES,
    allocated_share,
    is_sticky,
    place_of,
    set_deterministic,
    use_card,
)
from models.memory import available_bytes

GIB = 2**30


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.AcceleratorError("CUDA error: device-side assert triggered\nCUDA kernel"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: unspecified launch failure"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), False),
        (torch.AcceleratorError("CUDA error: invalid argument"), False),
        (RuntimeError("the text speaks of an illegal memory access of its own"), False),
        (ValueError("CUDA error: device-side assert triggered"), False),
    ],
)
def test_errors_after_which_a_card_refuses_all_work_are_told_apart(
    error: Exception, expected: bool
) -> None:
    assert is_sticky(error) is expected


def test_shares_of_one_card_and_what_processes_need_beside_them_fit_on_it() -> None:
    for whole, parts in ((80 * GIB, 8), (16 * GIB, 4), (8 * GIB, 2)):
        of_one = allocated_share(1 / parts, whole) * whole + CONTEXT_BYTES
        assert of_one * parts == pytest.approx(whole)
    assert allocated_share(1, 80 * GIB) == 1
    assert allocated_share(0.05, 8 * GIB) == 0.025  # too little for a context; some is left


@pytest.mark.parametrize(
    ("given", "environment", "place"),
    [
        ([], {}, None),
        (["2"], {"CUDA_VISIBLE_DEVICES": "2"}, 0),
        (["2"], {"CUDA_VISIBLE_DEVICES": "0,2,3"}, 1),
        (["2"], {}, 2),
        (["GPU-8a"], {"CUDA_VISIBLE_DEVICES": "GPU-1f, GPU-8a"}, 1),
    ],
)
def test_a_card_is_found_where_this_process_sees_it(
    given: list[str], environment: Mapping[str, str], place: int | None
) -> None:
    assert place_of(given, environment) == place


def test_a_card_that_is_hidden_is_said() -> None:
    with pytest.raises(ValueError, match="card 1 is not visible: CUDA_VISIBLE_DEVICES is '0'"):
        place_of(["1"], {"CUDA_VISIBLE_DEVICES": "0"})


def test_a_quarter_of_a_card_is_what_a_trial_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is described; nothing computes on it."""
    shares: dict[torch.device, float] = {}
    card = torch.device("cuda", 1)
    for name, value in {
        "is_available": lambda: True,
        "current_device": lambda: 1,
        "get_device_properties": lambda device: SimpleNamespace(total_memory=80 * GIB),
        "set_per_process_memory_fraction": lambda share, device: shares.update({device: share}),
        "get_per_process_memory_fraction": shares.__getitem__,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    assert use_card(0.25) == card
    assert available_bytes(card) == 20 * GIB - CONTEXT_BYTES
    assert use_card(1) == card and available_bytes(card) == 80 * GIB


def test_operations_that_repeat_are_asked_for_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    try:
        set_deterministic(True)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        set_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.gpu
def test_more_than_its_share_of_a_card_is_refused_to_a_process() -> None:
    try:
        device = use_card(0.1)
        room = available_bytes(device)
        assert room < 0.1 * torch.cuda.get_device_properties(device).total_memory
        held = torch.empty(int(0.8 * room), dtype=torch.uint8, device=device)
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(int(0.4 * room), dtype=torch.uint8, device=device)
        del held
    finally:
        torch.cuda.empty_cache()
        use_card(1)


@pytest.mark.gpu
def test_a_context_takes_no_more_of_a_card_than_is_left_for_it() -> None:
    program = """
import torch
from torch import nn
_, whole = torch.cuda.mem_get_info()
x = torch.randn(64, 8, 32, 32, device="cuda", requires_grad=True)
nn.Conv2d(8, 8, 3, device="cuda")(x).sum().backward()
torch.randn(512, 512, device="cuda") @ torch.randn(512, 512, device="cuda")
torch.cuda.synchronize()
print(whole - torch.cuda.mem_get_info()[0] - torch.cuda.memory_reserved())
"""
    before = torch.cuda.mem_get_info()
    used_by_others = before[1] - before[0]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    of_one = int(done.stdout) - used_by_others
    print(f"a context takes {of_one / 2**20:.0f} MiB")
    assert 0 < of_one < CONTEXT_BYTES


@pytest.mark.gpu
def test_a_card_refuses_work_after_what_counts_as_sticky() -> None:
    program = """
import torch
from models.accelerator import is_sticky
said = []
for _ in range(2):
    try:
        torch.zeros(4, device="cuda")[torch.tensor([9], device="cuda")].sum().item()
        said.append(None)
    except RuntimeError as error:
        said.append(is_sticky(error))
try:
    torch.ones(1, device="cuda").item()
    said.append(None)
except RuntimeError as error:
    said.append(is_sticky(error))
print(said)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[True, True, True]", done.stderr
