"""Memory of a supernet's step: what was said beforehand against the measured peak."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from torch.nn import functional

from models.families.cnn_cell import CnnCellSettings
from models.memory import PeakMemory
from models.supernets import Supernet, supernets
from models.supernets.memory import step_bytes
from models.task import Task

TASK = Task("image_classification", (1, 16, 16), 10)
SETTINGS = CnnCellSettings.model_validate(
    {"topology": "nasbench201", "nodes": 4, "cells": 2, "channels": 8}
)
BATCH = 256


def supernet(recomputes: bool) -> Supernet:
    built = supernets["cnn_cell"].build(SETTINGS, TASK)
    built.recomputes = recomputes
    return built


def mix_of(network: Supernet) -> dict[str, torch.Tensor]:
    return {
        name: torch.full((len(group.rows), len(group.options)), 0.2, requires_grad=True)
        for name, group in network.groups.items()
    }


def said(recomputes: bool, *, halved: bool = False) -> int:
    with torch.device("meta"):
        network = supernet(recomputes)
    return step_bytes(network, TASK, mix_of(network), BATCH, halved=halved)


@pytest.mark.parametrize("recomputes", [True, False])
def test_a_real_step_takes_what_was_said_and_not_much_more(recomputes: bool) -> None:
    """In a process of its own: what earlier tests have freed would be taken again."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        taken = fresh.submit(_taken, recomputes).result()
    assert 10e6 < said(recomputes) < taken < 2.5 * said(recomputes)


def _taken(recomputes: bool) -> int:
    """The bytes of a step."""
    network = supernet(recomputes)
    mix = mix_of(network)
    x = torch.randn(BATCH, *TASK.input_shape).contiguous(memory_format=torch.channels_last)
    y = torch.randint(10, (BATCH,))
    functional.cross_entropy(network(x[:2], mix), y[:2]).backward()  # loads kernels
    network.zero_grad()
    peak = PeakMemory(torch.device("cpu"))
    before = peak.bytes()
    functional.cross_entropy(network(x, mix), y).backward()
    return peak.bytes() - before


def test_what_takes_less_memory_is_said_to() -> None:
    whole = said(recomputes=False)
    assert said(recomputes=True) < 0.5 * whole
    assert 0.5 * whole < said(recomputes=False, halved=True) < 0.6 * whole
    with torch.device("meta"):
        network = supernet(recomputes=False)
    path = {name: part.detach().clone() for name, part in mix_of(network).items()}
    for part in path.values():
        part[:, 1:] = 0  # `none` alone is left
        part.requires_grad_()
    assert step_bytes(network, TASK, path, BATCH) < 0.2 * whole
