"""Files as people upload them, small."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from models.datasets import Dataset
from models.datasets.formats import Options, Upload, format_of, formats
from search.testing.small_graphs import molecules

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


def graph_zip(**changes: str | None) -> bytes:
    """The molecules as TUDataset has them; a file of None is left out."""
    arrays = molecules()
    lines = {
        "A": "\n".join(f"{target + 1}, {source + 1}" for source, target in arrays["edge_index"].T),
        "graph_indicator": "\n".join(map(str, arrays["graph_of"] + 1)),
        "graph_labels": "\n".join(str(2 * label - 1) for label in arrays["y"]),
        "node_labels": "\n".join(str(7 * row.argmax()) for row in arrays["x"]),
        **changes,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for kind, text in lines.items():
            if text is not None:
                archive.writestr(f"RINGS/RINGS_{kind}.txt", text)
    return buffer.getvalue()
