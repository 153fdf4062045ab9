"""Examples of the OpenAPI document. A test validates each against its schema, and resolves each
request.
"""

from __future__ import annotations

from typing import Any

from search.engine.stages.candidates import CANDIDATE
from search.trial import TrialState
from service.sql.states import DeliveryState, SearchState
from service.sql.webhooks import EVENTS

_SMALL: dict[str, Any] = {
    "dataset": "digits",
    "space": {"family": "cnn_cell"},
    "strategy": {"name": "regularized_evolution"},
}

_SEARCH: dict[str, Any] = {
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
        "epochs": 8,
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
    "baseline": "random",
    "resources": {"parallel_trials": 2, "cpus_per_trial": 1, "gpus_per_trial": 0},
    "final": {"top": 1, "seeds": 3, "epochs": 30},
    "seed": 0,
}

_ID = "srch_019aab3c-5d1e-7c40-8f00-2b1d5a9c7e11"
_PATH = f"/v1/searches/{_ID}"

_READ: dict[str, Any] = {
    "id": _ID,
    "name": "digits-cnn",
    "state": SearchState.RUNNING,
    "state_reason": None,
    "progress": {
        "trials_done": 12,
        "trials_total": 30,
        "baseline_done": 0,
        "baseline_total": 30,
        "epochs_done": 101,
        "elapsed_seconds": 61.5,
        "eta_seconds": 92.3,
    },
    "best": {"trial": 9, "metrics": {"val_accuracy": 0.9805, "val_loss": 0.071}},
    "created_at": "2026-11-22T13:00:00.120000Z",
    "started_at": "2026-11-22T13:00:00.480000Z",
    "ended_at": None,
    "spec": _SEARCH,
    "warnings": [],
    "baseline": {"val_accuracy": 0.1017, "val_loss": 2.3026},
    "dataset_fingerprint": "9d1c6a4e0b7f3825c1d4e8a96b20f7355e48c09ab7d61f32840ce95a7b13d6f2",
    "links": {
        "self": _PATH,
        "trials": f"{_PATH}/trials",
        "events": f"{_PATH}/events",
        "best": f"{_PATH}/best",
        "report": f"{_PATH}/report",
        "bundle": f"{_PATH}/best/bundle",
        "cancel": f"{_PATH}/cancel",
        "pause": f"{_PATH}/pause",
        "resume": f"{_PATH}/resume",
    },
}

_ARCHITECTURE: dict[str, Any] = {
    "family": "cnn_cell",
    "decisions": {"topology": "nasbench201", "nodes": 4, "cells": 1, "channels": 16},
}

_TRIAL: dict[str, Any] = {
    "number": 9,
    "kind": CANDIDATE.name,
    "state": TrialState.COMPLETED,
    "architecture": _ARCHITECTURE,
    "architecture_key": "5f0c7d0e9b1a2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5",
    "recipe": {"epochs": 2, "optimizer": "adam", "learning_rate": 0.004},
    "recipe_key": "1b9e2f4c6d8a0b3c5e7f9a1b2c4d6e8f0a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d",
    "weights_from": None,
    "supernet": None,
    "ensemble": None,
    "derived": None,
    "metrics": {"val_accuracy": 0.9805, "val_loss": 0.071, "parameters": 20842},
    "fitness": [0.9805],
    "violation": 0.0,
    "curve": [
        {"epoch": 1, "metrics": {"val_accuracy": 0.94, "val_loss": 0.2}, "derived": None},
        {"epoch": 2, "metrics": {"val_accuracy": 0.9805, "val_loss": 0.071}},
    ],
    "seconds": 3.9,
    "worker": "node-1/4711",
    "failure": None,
    "diagnosis": None,
    "source": None,
    "source_search": None,
    "origin": None,
    "seed": 0,
    "asked_after": 8,
    "asked_running": [7],
    "started_sequence": 41,
    "ended_sequence": 46,
    "attempts": 1,
    "started_at": "2026-11-22T13:00:41.000000Z",
    "ended_at": "2026-11-22T13:00:44.900000Z",
    "bundle": None,
}

_BEST: dict[str, Any] = {
    "items": [
        {
            "trial": 9,
            "architecture": _ARCHITECTURE,
            "search_metrics": {"val_accuracy": 0.9805, "parameters": 20842},
            "ensemble": None,
            "final_metrics": {
                "val_accuracy": {"mean": 0.9862, "std": 0.0021, "seeds": 3},
                "test_accuracy": {"mean": 0.9833, "std": 0.0026, "seeds": 3},
            },
            "baseline": {"val_accuracy": 0.1017, "val_loss": 2.3026},
            "verdict": None,
            "bundle": f"{_PATH}/trials/9/bundle",
        }
    ],
    "hypervolume": [],
}

_REMEMBERED: dict[str, Any] = {
    "search": "srch_019aab2f-11d0-7a3e-9c00-6d0f3b5e8a42",
    "dataset": "fashion_mnist",
    "dataset_fingerprint": "3f5a7c9e1b2d4f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8",
    "results": 300,
}

_REPORT: dict[str, Any] = {
    "verdict": None,
    "supernets": [
        {
            "trial": 0,
            "method": "darts",
            "state": TrialState.COMPLETED,
            "epochs": [1, 2],
            "rows": ["cell 0-1"],
            "entropy": [[0.99, 0.97]],
            "skip_share": [0.0, 0.0],
            "hessian_eigenvalue": [0.031, None],
            "derived": [_ARCHITECTURE, _ARCHITECTURE],
            "derived_epoch": 2,
            "discretisation_gap": 0.08,
            "ending": "trained to the end, 2 epochs",
        }
    ],
    "simple": [
        {
            "name": "logistic_regression",
            "samples": 1078,
            "validation": {"val_accuracy": 0.9554},
            "test": {"test_accuracy": 0.9777},
            "seconds": 0.6,
            "failure": None,
        }
    ],
    "rank_correlations": {"synflow": {"spearman": 0.71, "kendall": 0.53, "trials": 30}},
    "reliability": {
        "val_accuracy": {"candidates": 3, "spearman": 0.5, "noise": 0.0021, "spread": 0.0034}
    },
    "ensemble": {
        "trial": 69,
        "finals": 9,
        "left_out": 0,
        "members": [
            {"trial": 61, "source": 9, "share": 0.6},
            {"trial": 64, "source": 4, "share": 0.4},
        ],
        "single": 61,
        "scores": [{"metric": "val_accuracy", "ensemble": 0.9944, "single": 0.9889}],
        "is_handed_out": True,
        "failure": None,
    },
    "memory": [
        {**_REMEMBERED, "recollections": 200, "tried": 4, "spearman": 0.8, "best_place": 0.997}
    ],
    "families": [
        {"family": "cnn_cell", "trials": 19, "seconds": 84.2, "best": {"val_accuracy": 0.9805}},
        {"family": "cnn_stages", "trials": 11, "seconds": 41.7, "best": {"val_accuracy": 0.9721}},
    ],
    "objectives": [
        {
            "metric": "val_accuracy",
            "goal": "maximize",
            "strategy": {
                "trials": 30,
                "best_so_far": [{"trials": 1, "value": 0.94}, {"trials": 9, "value": 0.9805}],
            },
            "baseline": {"trials": 30, "best_so_far": [{"trials": 1, "value": 0.9721}]},
            "floor": 0.1017,
            "presets": [{"preset": "lenet-5", "trial": 60, "value": 0.9694, "final_metrics": None}],
            "difference": {
                "trials": 30,
                "final": {"difference": 0.0084, "low": None, "high": None},
                "mean": {"difference": 0.031, "low": 0.012, "high": 0.049},
            },
            "importance": [
                {"decision": "training.learning_rate", "share": 0.52},
                {"decision": "channels", "share": 0.21},
            ],
        }
    ],
}


def _problem(status: int, kind: str, title: str, detail: str, **more: Any) -> dict[str, Any]:
    return {
        "type": f"urn:nasmith:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/v1/searches",
        **more,
    }


_WEBHOOK: dict[str, Any] = {
    "id": "hook_019aab3c-5d1e-7c40-8f00-2b1d5a9c7e12",
    "url": "https://example.org/nasmith",
    "events": list(EVENTS),
    "created_at": "2026-11-22T12:00:00Z",
}

_DELIVERY: dict[str, Any] = {
    "id": "msg_019aab3c-5d1e-7c40-8f00-2b1d5a9c7e13",
    "type": EVENTS[0],
    "search": _ID,
    "state": DeliveryState.PENDING,
    "attempts": 2,
    "status": 503,
    "error": "answered 503",
    "payload": {
        "type": EVENTS[0],
        "timestamp": "2026-11-22T13:05:00+00:00",
        "data": {
            "id": _ID,
            "name": "digits-cnn",
            "state": SearchState.SUCCEEDED,
            "state_reason": None,
            "best": {"trial": 9, "metrics": {"val_accuracy": 0.9805}},
        },
    },
    "created_at": "2026-11-22T13:05:00Z",
    "next_at": "2026-11-22T13:05:35Z",
    "ended_at": None,
}

REQUESTS: dict[str, dict[str, Any]] = {
    "createWebhook": {
        "ends": {"summary": "Of every end", "value": {"url": "https://example.org/nasmith"}},
        "failures": {
            "summary": "Of failures alone",
            "value": {"url": "https://example.org/nasmith", "events": [EVENTS[1]]},
        },
    },
    "createSearch": {
        "smallest": {"summary": "Everything else has a default", "value": _SMALL},
        "full": {"summary": "Architecture and recipe, searched jointly", "value": _SEARCH},
    },
    "updateSearch": {
        "budget": {"summary": "More time", "value": {"budget": {"trials": 60, "seconds": None}}},
        "width": {
            "summary": "Another name, more at a time",
            "value": {"name": "digits, wide", "resources": {"parallel_trials": 4}},
        },
    },
    "predictBest": {
        "rows": {
            "summary": "Rows of a table",
            "value": {
                "rows": [
                    {"age": 41.5, "city": "Ulm", "member": True},
                    {"age": None, "city": "Rom", "member": "no"},
                ]
            },
        },
        "texts": {"summary": "Texts", "value": {"rows": ["never again", "would buy it again"]}},
    },
    "validateSpace": {
        "dataset": {
            "summary": "For a dataset",
            "value": {"dataset": "digits", "space": {"family": "cnn_cell"}},
        },
        "task": {
            "summary": "For a task without its data",
            "value": {
                "task": {
                    "name": "image_classification",
                    "input_shape": [3, 32, 32],
                    "outputs": 10,
                },
                "space": {"family": "cnn_cell", "topology": "nasbench201"},
            },
        },
        "text": {
            "summary": "For the characters of a text",
            "value": {
                "task": {
                    "name": "language_modeling",
                    "input_shape": [64],
                    "outputs": 65,
                    "vocabulary": 65,
                },
                "space": {"family": "transformer", "layers": {"low": 2, "high": 4}},
            },
        },
        "series": {
            "summary": "For a forecast of 24 steps of 7 series from 96",
            "value": {
                "task": {"name": "forecasting", "input_shape": [96, 7], "outputs": 168},
                "space": {"family": "rnn", "cell": "darts", "nodes": 8},
            },
        },
    },
}
"""By operation id."""

RESPONSES: dict[tuple[str, str], dict[str, Any]] = {
    ("createSearch", "202"): _READ,
    ("getSearch", "200"): _READ,
    ("updateSearch", "200"): _READ,
    ("cancelSearch", "202"): _READ,
    ("pauseSearch", "202"): _READ,
    ("resumeSearch", "202"): _READ,
    ("listSearches", "200"): {"items": [_READ], "next_page_token": None},
    ("getTrial", "200"): _TRIAL,
    ("listTrials", "200"): {"items": [_TRIAL], "next_page_token": None},
    ("getBest", "200"): _BEST,
    ("getReport", "200"): _REPORT,
    ("getMemory", "200"): {
        "items": [
            {
                **_REMEMBERED,
                "recollections": [
                    {
                        "architecture": _ARCHITECTURE,
                        "recipe": _TRIAL["recipe"],
                        "architecture_key": _TRIAL["architecture_key"],
                        "recipe_key": _TRIAL["recipe_key"],
                        "place": 0.9983,
                    }
                ],
            }
        ]
    },
    ("compareSearches", "200"): {
        "differences": [
            {
                "metric": "val_accuracy",
                "goal": "maximize",
                "trials": 30,
                "final": {"difference": 0.0028, "low": None, "high": None},
                "mean": {"difference": 0.012, "low": 0.003, "high": 0.021},
            }
        ],
        "over_seeds": [
            {
                "metric": "val_accuracy",
                "goal": "maximize",
                "score": "final",
                "seeds": 5,
                "difference": 0.0031,
                "low": -0.0012,
                "high": 0.0074,
                "better": 4,
            }
        ],
    },
    ("createWebhook", "201"): {**_WEBHOOK, "secret": "whsec_c2VjcmV0IG9mIGFuIGV4YW1wbGU="},
    ("getWebhook", "200"): _WEBHOOK,
    ("listWebhooks", "200"): {"items": [_WEBHOOK]},
    ("listWebhookDeliveries", "200"): {"items": [_DELIVERY], "next_page_token": None},
    ("predictBest", "200"): {
        "trial": 31,
        "predictions": [
            {"label": "yes", "probability_no": 0.125, "probability_yes": 0.875},
            {"label": "no", "probability_no": 0.75, "probability_yes": 0.25},
        ],
        "unknown": {"city": 1},
        "unreadable": {},
        "empty": {"age": 1},
        "unsigned": {},
        "filled": [],
        "ignored": [],
        "turned": False,
        "no_forecast": {},
    },
    ("*", "404"): _problem(404, "not-found", "Not Found", f"there is no search {_ID!r}"),
    ("*", "409"): _problem(
        409,
        "conflict",
        "Conflict",
        "the search is succeeded and cannot be paused; it could be while it is paused or queued "
        "or running",
        state=SearchState.SUCCEEDED,
        allowed_states=[SearchState.PAUSED, SearchState.QUEUED, SearchState.RUNNING],
    ),
    ("*", "422"): _problem(
        422,
        "invalid-request",
        "Invalid request",
        '1 error in the body; the first at /dataset: unknown dataset "digit", known are '
        "breast_cancer, diabetes, digits, wine",
        errors=[
            {
                "in": "body",
                "pointer": "/dataset",
                "detail": 'unknown dataset "digit", known are breast_cancer, diabetes, digits, '
                "wine",
            }
        ],
    ),
    ("*", "503"): _problem(
        503,
        "database-away",
        "Service Unavailable",
        "the database cannot be reached; nothing was changed",
    ),
}
"""By operation id, `*` for all, and status."""
