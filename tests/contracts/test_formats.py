"""A format of uploads is tested by existing: it has an example here. So is what they make."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.datasets.formats import formats
from search.testing.datasets import FormatExample, check_content, check_dataset, check_format
from search.testing.small_datasets import SMALL
from search.testing.small_graphs import citations
from tests.models.support.uploads import csv, graph_zip, npz, people
from tests.search.support.tables import arrays

TWO = np.arange(40) % 2


def pictures() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(12):
            picture = io.BytesIO()
            Image.new("L", (4, 4), 20 * number).save(picture, "PNG")
            archive.writestr(f"{number % 2}/{number}.png", picture.getvalue())
    return buffer.getvalue()


def labelled_pictures() -> bytes:
    buffer = io.BytesIO()
    rows = "".join(f"{number}.png,{'odd;all' if number % 2 else 'all'}\n" for number in range(12))
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("labels.csv", f"file,labels\n{rows}")
        for number in range(12):
            picture = io.BytesIO()
            Image.new("L", (4, 4), 20 * number).save(picture, "PNG")
            archive.writestr(f"{number}.png", picture.getvalue())
    return buffer.getvalue()


def text_files() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(40):
            archive.writestr(f"{'ab'[number % 2]}/{number}.txt", f"a {number}")
    return buffer.getvalue()


def hours() -> dict[str, list[str]]:
    start = np.datetime64("2026-01-01T00:00")
    return {
        "date": [str(start + np.timedelta64(hour, "h")) for hour in range(100)],
        "heat": [f"{hour % 24 + hour / 50:.4f}" for hour in range(100)],
    }


FORECAST: dict[str, Any] = {"time": "date", "target": "heat", "window": 6, "horizon": 3}
OPINIONS = {"text": [f"a {n}" for n in range(40)], "label": ["x", "y"] * 20}
EXAMPLES = {
    "graph_arrays": FormatExample("node_classification", npz(**citations())),
    "graph_zip": FormatExample("graph_classification", graph_zip()),
    "image_arrays": FormatExample(
        "image_classification", npz(x=np.arange(1440, dtype=np.uint8).reshape(40, 6, 6), y=TWO)
    ),
    "image_folders": FormatExample("image_classification", pictures()),
    "labelled_images": FormatExample("multilabel_classification", labelled_pictures()),
    "labelled_texts": FormatExample("text_classification", csv(OPINIONS), {"target": "label"}),
    "plain_text": FormatExample("language_modeling", b"abc " * 300, {"window": 10}),
    "sequences": FormatExample(
        "sequence_classification", npz(x=np.arange(240.0).reshape(40, 3, 2), y=TWO)
    ),
    "series": FormatExample("forecasting", csv(hours()), FORECAST),
    "table": FormatExample("table", npz(**arrays())),
    "text_folders": FormatExample("text_classification", text_files()),
    "tabular": FormatExample("tabular_regression", csv(people()), {"target": "score"}),
}
"""A new format adds its own."""


@pytest.mark.parametrize("name", formats)
def test_a_format_keeps_its_contract(name: str, tmp_path: Path) -> None:
    assert name in EXAMPLES, f"the format {name} needs an example here"
    check_format(name, EXAMPLES[name], tmp_path)


@pytest.mark.parametrize("task", SMALL)
def test_a_dataset_keeps_its_contract(task: str, tmp_path: Path) -> None:
    dataset = SMALL[task]()
    assert dataset.task.name == task
    check_dataset(dataset)
    check_content(dataset, tmp_path)
