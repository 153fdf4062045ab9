"""A table of known results, as people upload one."""

from __future__ import annotations

import io

import numpy as np

from models.architecture import canonical_json

DIMENSIONS = [{"name": name, "options": [0, 1, 2, 3, 4]} for name in "abc"]
CODES = np.stack(np.meshgrid(*[np.arange(5)] * 3, indexing="ij"), -1).reshape(-1, 3)[:-5]
SCORES = (CODES * [25, 5, 1]).sum(axis=1)


def table_file() -> bytes:
    """120 of 125 combinations: the last five are infeasible. The best is (4, 3, 4), 119."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        dimensions=canonical_json(DIMENSIONS),
        codes=CODES.astype(np.int8),
        search_score=SCORES.astype(float),
        final_score=SCORES / 2,
        parameters=np.arange(120),
    )
    return buffer.getvalue()
