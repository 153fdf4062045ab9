"""What people have, as it stood in the file that they uploaded, gives the recorded scores."""

from __future__ import annotations

import importlib
import io
import sys
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_matrix

from models.datasets import Dataset
from models.datasets.stored import load, save
from models.exporters.fresh_process import Bundle
from models.exporters.prediction import Prediction
from search.testing.small_graphs import citations, molecules
from tests.models.support.bundles import files_of
from tests.models.support.uploads import csv, graph_zip, npz, people, read

RNG = np.random.default_rng(0)


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def picture(number: int) -> bytes:
    """Grey and coloured, of two sizes, PNG and JPEG."""
    shape = (9 + number % 2, 8) if number % 3 else (8, 8, 3)
    buffer = io.BytesIO()
    image = Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))
    image.save(buffer, "PNG" if number % 2 else "JPEG")
    return buffer.getvalue()


def folders() -> bytes:
    return packed({f"{'ab'[i % 2]}/{i}.png": picture(i) for i in range(40)})


def divided_folders() -> bytes:
    parts = ["train", "train", "val", "test"]
    return packed({f"{parts[i // 2 % 4]}/{'ab'[i % 2]}/{i}.png": picture(i) for i in range(40)})


def labelled_pictures() -> bytes:
    labels = "\n".join(["name,labels", *(f"{i}.png,{['x', 'y', 'x;y'][i % 3]}" for i in range(40))])
    return packed({"labels.csv": labels.encode(), **{f"{i}.png": picture(i) for i in range(40)}})


def texts() -> bytes:
    lines = [f'"Word{i % 7}, Ünd {i}",{"ab"[i % 2]}' for i in range(60)]
    return "\n".join(["text,label", *lines]).encode("utf-16")


def text_folders() -> bytes:
    parts = ["train", "train", "test"]
    names = [f"top/{parts[i // 2 % 3]}/{'ab'[i % 2]}/{i}.txt" for i in range(60)]
    return packed({n: f"Word{i % 7},\nÜnd {i}".encode() for i, n in enumerate(names)})


def series(newest_first: bool = False, panel: bool = False, step: str = "D") -> bytes:
    """With a gap, and a row whose number cannot be read, in the test part."""
    times = pd.date_range("2026-01-01", periods=150, freq=step)
    frame = pd.DataFrame({"t": times.strftime("%d.%m.%Y %H:%M")})
    frame["load"] = RNG.normal(size=150).cumsum().round(3)
    frame["price"] = RNG.normal(size=150).round(3)
    frame["sky"] = ["grey", "blue", ""] * 50
    frame["open"] = ["ja", "nein"] * 75
    if panel:
        frame = pd.concat([frame.assign(shop=shop) for shop in ("b", "a")])
        frame = frame.sample(frac=1, random_state=0).sort_values("t", key=_times, kind="stable")
    frame = frame.drop(frame.index[[139]]).reset_index(drop=True)
    frame["load"] = frame["load"].astype(str).str.replace(".", ",", regex=False)
    frame.loc[130, "load"] = "-999"
    return frame[:: -1 if newest_first else 1].to_csv(index=False, sep=";", decimal=",").encode()


def series_in_parts() -> bytes:
    """Of two shops and two goods, with day and hour apart, a unit and a duration."""
    times = pd.date_range("2026-03-01", periods=60, freq="h")
    parts = {"day": times.strftime("%d/%m/%Y"), "hr": times.hour + 1}
    frames = [
        pd.DataFrame({**parts, "shop": shop, "item": item, "load": RNG.normal(50, 9, 60).round(1)})
        for shop in ("a", "b")
        for item in (1, 2)
    ]
    frame = pd.concat(frames, ignore_index=True)
    frame["ran"] = [f"{row % 3}h {row % 60:02d}m" for row in range(len(frame))]
    frame["load"] = frame["load"].astype(str) + " kWh"
    return frame.to_csv(index=False).encode()


def _times(times: pd.Series) -> pd.Series:
    return pd.to_datetime(times, format="%d.%m.%Y %H:%M")


def by_rows() -> dict[str, Any]:
    """The edges, with weights, as a matrix."""
    arrays = citations()
    ends = arrays.pop("edge_index")
    matrix = csr_matrix((1.0 + np.arange(ends.shape[1]) % 3, tuple(ends)), (60, 60))
    parts = {name: getattr(matrix, name) for name in ("data", "indices", "indptr", "shape")}
    return {**arrays, **parts, "format": b"csr"}


OF_SERIES: dict[str, Any] = {"time": "t", "target": ["load"], "window": 4, "horizon": 3}
OF_SERIES |= {"missing": ["-999"]}
Y = np.arange(60) % 3
DIRECTED = {name: values for name, values in citations().items() if name != "x"}
WEIGHTS = 1 + np.arange(molecules()["edge_index"].shape[1]) % 3
FORMATS: dict[str, tuple[str, str, Callable[[], bytes], dict[str, Any]]] = {
    "table": ("tabular_classification", "mlp", lambda: csv(people()), {"target": "label"}),
    "values": ("tabular_regression", "mlp", lambda: csv(people()), {"target": "score"}),
    "texts": ("text_classification", "transformer", texts, {"target": "label"}),
    "text_folders": ("text_classification", "bag", text_folders, {}),
    "image_arrays": (
        "image_classification",
        "cnn_stages",
        lambda: npz(x=RNG.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), y=Y),
        {},
    ),
    "image_folders": ("image_classification", "cnn_stages", folders, {}),
    "divided_image_folders": ("image_classification", "cnn_stages", divided_folders, {}),
    "labelled_images": (
        "multilabel_classification",
        "cnn_stages",
        labelled_pictures,
        {"target": "labels"},
    ),
    "series": ("forecasting", "rnn", series, OF_SERIES),
    "series_newest_first": (
        "forecasting",
        "rnn",
        lambda: series(newest_first=True),
        {**OF_SERIES, "known": ["price", "sky", "open", "calendar"]},
    ),
    "several_series": (
        "forecasting",
        "rnn",
        lambda: series(panel=True),
        {**OF_SERIES, "series": "shop", "known": ["calendar"]},
    ),
    "series_in_parts": (
        "forecasting",
        "rnn",
        series_in_parts,
        {**OF_SERIES, "time": ["day", "hr"], "series": ["shop", "item"], "known": ["calendar"]},
    ),
    "resampled_series": (
        "forecasting",
        "rnn",
        lambda: series(step="9h"),
        {**OF_SERIES, "frequency": "D"},
    ),
    "sequences": (
        "sequence_classification",
        "rnn",
        lambda: npz(x=RNG.normal(size=(60, 6, 2)).astype(np.float32), y=Y),
        {},
    ),
    "nodes": (
        "node_classification",
        "gnn",
        lambda: npz(**{**citations(), "y": np.array(["u", "v", "w"])[Y]}),
        {"undirected": True},
    ),
    "zip_of_graphs": (
        "graph_classification",
        "gnn",
        lambda: graph_zip(edge_attributes="\n".join(map(str, WEIGHTS))),
        {},
    ),
    "zip_of_graphs_without_features": (
        "graph_classification",
        "gnn",
        lambda: graph_zip(node_labels=None),
        {"undirected": True},
    ),
    "nodes_and_a_matrix": ("node_classification", "gnn", lambda: npz(**by_rows()), {}),
    "nodes_without_features": ("node_classification", "gnn", lambda: npz(**DIRECTED), {}),
}


HANGS_ON_OTHERS = """
_forward = Network.forward
Network.forward = lambda self, x: _forward(self, x) + {}
"""


@pytest.mark.parametrize(
    ("added", "is_refused"),
    [
        ("1e-5 * x.to(float).mean()", True),
        ("3e-6 * (len(x) > 1) * (x.dtype == torch.float32)", False),
    ],
    ids=["the others", "rounding"],
)
def test_a_sample_alone_has_the_outputs_that_it_has_among_others(
    added: str, is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hangs on other samples is found; what float32 alone does is no fault."""
    dataset = read(tmp_path, csv(people()), "tabular_classification", target="label")
    folder, samples = files_of(dataset, "mlp", tmp_path)
    with (folder / "model.py").open("a") as file:
        file.write(HANGS_ON_OTHERS.format(added))
    monkeypatch.syspath_prepend(folder)
    for name in ("model", "predict"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    bundle = Bundle(folder, samples)
    predictor = importlib.import_module("predict").load(folder)
    asked = bundle.asked(predictor)
    among = bundle.answered(predictor, asked)[0]
    with pytest.raises(ValueError, match="alone differs") if is_refused else nullcontext():
        bundle.check_alone(predictor, asked, among)
    assert torch.equal(bundle.answered(predictor, asked)[0], among)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_file_gives_the_recorded_scores(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, family, content, options = FORMATS[kind]
    save(read(tmp_path, content(), task, **options), tmp_path / "stored")
    dataset = load(tmp_path / "stored")
    assert isinstance(dataset, Dataset)
    folder, samples = files_of(dataset, family, tmp_path)
    monkeypatch.syspath_prepend(folder)
    for name in ("model", "predict"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    bundle = Bundle(folder, samples)
    Prediction.check(bundle)
    with torch.inference_mode():
        network = bundle.network
        for parameter in network.parameters():
            parameter.mul_(1.01)
    (folder / "model.safetensors").rename(folder / "old")
    from safetensors.torch import save_model

    save_model(network, str(folder / "model.safetensors"))
    with pytest.raises(ValueError, match="recorded was"):
        Prediction.check(Bundle(folder, samples))
