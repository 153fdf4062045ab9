"""Small tables of known results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

DIMENSIONS = [{"name": "a", "options": ["x", "y", "z"]}, {"name": "b", "options": [1, 2]}]


def arrays(**changes: Any) -> dict[str, Any]:
    """Five rows of six combinations: (z, 2) is missing. None takes an array away."""
    values = {
        "dimensions": json.dumps(DIMENSIONS),
        "codes": np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0]], dtype=np.int8),
        "search_score": np.array([10.0, 20.0, 30.0, 40.0, 50.0], dtype=np.float32),
        "final_score": np.array([11.0, 22.0, 55.0, 44.0, 33.0], dtype=np.float32),
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "small.npz"
    np.savez(file, **arrays(**changes))
    return file


def product_table(folder: Path, seed: int = 0) -> Path:
    """Every combination of four choices of five; each option has its worth, and pairs a bonus."""
    rng = np.random.default_rng(seed)
    codes = np.stack(np.meshgrid(*[np.arange(5)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    worth, pairs = rng.normal(size=(4, 5)), rng.normal(size=(5, 5))
    search = worth[range(4), codes].sum(axis=1) + pairs[codes[:, 0], codes[:, 3]]
    dimensions = [{"name": f"d{i}", "options": list("abcde")} for i in range(4)]
    file = folder / "product.npz"
    np.savez(
        file,
        dimensions=json.dumps(dimensions),
        codes=codes.astype(np.int8),
        search_score=search,
        final_score=search + rng.normal(scale=0.1, size=len(search)),
    )
    return file
