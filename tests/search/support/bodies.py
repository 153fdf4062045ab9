"""Requests, and what is wrong with them, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import pytest

from search.request.resolve import SpecError, resolve

MINIMAL: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "regularized_evolution"},
}
FULL: dict[str, Any] = {
    "name": "digits-cnn",
    "dataset": "digits",
    "space": {
        "family": "cnn_cell",
        "nodes": 3,
        "operations": ["none", "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "max_pool_3x3"],
        "channels": {"choice": [8, 16]},
        "cells": {"low": 1, "high": 3},
    },
    "training": {
        "epochs": {"choice": [4, 8]},
        "batch_size": 64,
        "optimizer": {"choice": ["momentum", "adam"]},
        "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        "l2": 0.0001,
        "dropout": 0.1,
    },
    "strategy": {"name": "regularized_evolution", "population_size": 10, "sample_size": 3},
    "objectives": [{"metric": "val_accuracy", "goal": "maximize"}],
    "constraints": [{"metric": "parameters", "max": 200000}],
    "budget": {"trials": 30, "seconds": 600},
    "resources": {"parallel_trials": 2, "cpus_per_trial": 1, "gpus_per_trial": 0},
    "final": {"top": 1, "seeds": 3, "epochs": 30},
    "seed": 0,
}


def problems(body: object) -> dict[str, str]:
    with pytest.raises(SpecError) as raised:
        resolve(body)
    found = {problem.pointer: problem.message for problem in raised.value.problems}
    assert len(found) == len(raised.value.problems), "one problem a place"
    return found
