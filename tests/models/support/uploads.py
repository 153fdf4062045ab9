"""Files as people upload them, small."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from models.datasets import Dataset
from models.datasets.formats import Options, Upload, format_of, formats

ROWS = 60


def people(**changes: list[str]) -> dict[str, list[str]]:
    """The columns of a table: two numbers, one of them with gaps, and a category."""
    rng = np.random.default_rng(0)
    columns = {
        "age": [f"{value:.1f}" for value in rng.normal(40, 10, ROWS)],
        "income": ["" if i % 7 == 3 else f"{1000 * i}" for i in range(ROWS)],
        "city": [["Rome", "Oslo", "Lima", ""][i % 4] for i in range(ROWS)],
        "label": [["yes", "no", "maybe"][i % 3] for i in range(ROWS)],
        "score": [f"{i / 7:.3f}" for i in range(ROWS)],
    }
    return {**columns, **changes}


def csv(columns: dict[str, list[str]]) -> bytes:
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    return "\n".join(lines).encode()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def upload(folder: Path, content: bytes, task: str, **options: Any) -> Upload:
    path = folder / "file"
    path.write_bytes(content)
    return Upload(path, "mine", task, Options.model_validate(options))


def read(folder: Path, content: bytes, task: str, **options: Any) -> Dataset:
    given = upload(folder, content, task, **options)
    found = formats[format_of(given)].read(given)
    assert isinstance(found, Dataset)
    return found
