"""Graph datasets: what becomes of the arrays, and that wrong ones are refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from models.datasets import RawGraphs
from models.datasets.formats import FormatError
from models.datasets.graphs import of_graphs, of_nodes, preprocess
from models.datasets.stored import load, save
from models.graph import Features
from models.graph_samples import Graphs, Nodes
from search.testing.small_graphs import citations, molecules
from tests.models.support.uploads import graph_zip, npz, read

MASKS = {
    name: np.arange(60) % 5 == number
    for number, name in enumerate(("train_mask", "val_mask", "test_mask"))
}


def dense(x: Any) -> torch.Tensor:
    return x.times(torch.eye(x.places.width)) if isinstance(x, Features) else x


def test_a_bag_of_words_is_normalised_by_rows_however_it_is_stored(tmp_path: Path) -> None:
    arrays = citations()
    rows = csr_matrix(arrays["x"])
    parts = {
        "x_data": rows.data,
        "x_indices": rows.indices,
        "x_indptr": rows.indptr,
        "x_shape": np.array(rows.shape),
    }
    by_rows = {key: value for key, value in arrays.items() if key != "x"} | parts
    one = read(tmp_path, npz(**arrays, **MASKS), "node_classification")
    other = read(tmp_path, npz(**by_rows, **MASKS), "node_classification")
    assert one.fingerprint == other.fingerprint
    expected = arrays["x"] / np.maximum(arrays["x"].sum(1, keepdims=True), 1)
    for found in (one, other):
        assert isinstance(found.train.x, Nodes)
        np.testing.assert_allclose(dense(found.train.x.x), expected, rtol=1e-6)
        assert found.train.x.picked.tolist() == np.flatnonzero(MASKS["train_mask"]).tolist()
        assert found.test.y.tolist() == arrays["y"][MASKS["test_mask"]].tolist()
        assert found.task.graph is not None and found.task.graph.nodes == 60
        assert found.task.graph.edges == arrays["edge_index"].shape[1]


def test_numbers_are_standardised_by_the_train_nodes_and_edges_count_once() -> None:
    arrays = citations()
    arrays["x"] = np.random.default_rng(0).normal(3, 2, (60, 4)).astype(np.float32)
    doubled = np.hstack([arrays["edge_index"], arrays["edge_index"][:, :5], [[3], [3]]])
    found = of_nodes("numbers", {**arrays, "edge_index": doubled, **MASKS})
    train = arrays["x"][MASKS["train_mask"]]
    expected = (arrays["x"] - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(found.train.x.x, expected, rtol=1e-4, atol=1e-5)
    assert len(found.train.x.links) == arrays["edge_index"].shape[1] + 60
    assert found.sizes == {"train": 12, "validation": 12, "test": 12}
    drawn = of_nodes("drawn", arrays)
    assert drawn.sizes == {"train": 36, "validation": 12, "test": 12}
    assert drawn.fingerprint != found.fingerprint


@pytest.mark.parametrize(("make", "arrays"), [(of_nodes, citations()), (of_graphs, molecules())])
def test_the_raw_test_split_becomes_the_test_split_and_storage_keeps_all(
    make: Any, arrays: Any, tmp_path: Path
) -> None:
    found = make("small", arrays)
    save(found, tmp_path / "stored")
    again = load(tmp_path / "stored")
    assert again.task == found.task and again.fingerprint == found.fingerprint
    for dataset in (found, again):
        assert isinstance(dataset.raw_test, RawGraphs)
        raw = preprocess(dict(dataset.raw_test.x), dict(dataset.preprocessing))
        split = dataset.test.x
        assert isinstance(split, Nodes | Graphs)
        assert torch.equal(dense(raw.x), dense(split.x))
        for name in ("rows", "columns"):
            assert torch.equal(getattr(raw.links, name), getattr(split.links, name))
        for name in ("picked", "graph_of"):
            one, other = getattr(raw, name), getattr(split, name)
            assert one is other is None or torch.equal(one, other)
        assert torch.equal(dataset.raw_test.y, found.test.y)
        assert torch.equal(dataset.train.y, found.train.y)


def test_a_zip_of_tudataset_is_its_arrays(tmp_path: Path) -> None:
    found = read(tmp_path, graph_zip(), "graph_classification")
    expected = of_graphs("file", molecules())
    assert found.preprocessing["classes"] == [-1, 1]
    assert torch.equal(dense(found.train.x.x), dense(expected.train.x.x))
    assert torch.equal(found.train.x.links.columns, expected.train.x.links.columns)
    assert torch.equal(found.train.y, expected.train.y)
    by_degree = read(tmp_path, graph_zip(node_labels=None), "graph_classification")
    assert by_degree.task.input_shape == (2,)  # the ends of chains have one neighbour, others two


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": "1, 2\n2; 1"}, r"RINGS_A.txt, line 2: not numbers with commas, got '2; 1'"),
        ({"A": "1, 2\n2"}, r"RINGS_A.txt, line 2: 1 numbers"),
        ({"A": "1, 2\n\n1, 9999"}, r"RINGS_A.txt, line 3: nodes are numbered from 1 to \d+$"),
        ({"A": "0, 1"}, r"RINGS_A.txt, line 1: nodes are numbered from 1 to \d+$"),
        ({"A": "1, 2\n1, 20"}, "RINGS_A.txt, line 2: leads from one graph to another"),
        ({"graph_labels": None}, "no file NAME_graph_labels.txt"),
        ({"graph_labels": "1\n2"}, "NAME_graph_labels.txt has 2 lines for 40 graphs"),
        ({"node_labels": "1\n2"}, "has 2 lines for"),
        ({"node_labels": "1\ninf"}, "RINGS_node_labels.txt, line 2: a number is not finite"),
        (
            {"graph_indicator": "1\n1.5"},
            "RINGS_graph_indicator.txt, line 2: a number is no integer",
        ),
        ({"graph_indicator": "1\n1\n3"}, "RINGS_graph_indicator.txt, line 3: graphs are numbered"),
        ({"graph_indicator": "1\n2\n1"}, "RINGS_graph_indicator.txt, line 3: graphs are numbered"),
        ({"graph_indicator": "0\n1"}, "RINGS_graph_indicator.txt, line 1: graphs are numbered"),
    ],
)
def test_a_wrong_zip_is_refused_by_file_and_line(
    changes: dict[str, str | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises((FormatError, ValueError), match=message):
        read(tmp_path, graph_zip(**changes), "graph_classification")


def test_equal_graphs_of_different_classes_are_told(tmp_path: Path) -> None:
    """Rings of three and four nodes, the same but for the order of their nodes; three are called
    otherwise.
    """
    rings, of, start = [], [], 0
    for number in range(20):
        size = 3 + number % 2
        rings += [f"{start + i + 1}, {start + (i + 1) % size + 1}" for i in range(size)]
        of += [number + 1] * size
        start += size
    labels = [number % 2 for number in range(20)]
    for number in (0, 2, 5):
        labels[number] = 1 - labels[number]
    lines = {
        "A": "\n".join([*rings, *(", ".join(r.split(", ")[::-1]) for r in rings)]),
        "graph_indicator": "\n".join(map(str, of)),
        "graph_labels": "\n".join(map(str, labels)),
        "node_labels": "\n".join(
            ["1", *["0"] * (len(of) - 1)]
        ),  # the first ring is of its own kind
    }
    found = read(tmp_path, graph_zip(**lines), "graph_classification")
    (told,) = [remark for remark in found.remarks if remark.code == "contradictions"]
    # nine rings of three, of which number 2 is called otherwise; ten of four with number 5
    assert told.count == 19 and "19 of 20 graphs" in told.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"x": None, "x_data": np.ones(3)},
            "there is no x, and of its parts by rows no x_indices, x_indptr, x_shape",
        ),
        (
            {"x": np.where(np.arange(180) == 17, np.nan, 1.0).reshape(60, 3)},
            r"x is not finite, first at \[5, 2\]",
        ),
        ({"x": np.zeros(60)}, r"x is numbers of shape \(nodes, features\), got float64 \(60,\)"),
        ({"edge_index": np.zeros((3, 4), int)}, r"edge_index is integers of \(2, edges\)"),
        ({"edge_index": np.array([[0], [60]])}, r"nodes from 0 to 59, got 60 at \[1, 0\]"),
        ({"edge_index": np.array([[3, -1], [5, 5]])}, r"nodes from 0 to 59, got -1 at \[0, 1\]"),
        ({"y": np.zeros(60, int)}, "one class"),
        ({"y": np.arange(59)}, r"one class a node of 60, got int64 \(59,\)"),
        ({"train_mask": np.ones(60, bool)}, "train_mask comes with .* got only train_mask"),
        (
            {key: mask for key, mask in MASKS.items() if key != "train_mask"},
            "train_mask comes with .* got only val_mask, test_mask",
        ),
        ({**MASKS, "val_mask": MASKS["test_mask"]}, "node 2 is in two of"),
        ({**MASKS, "val_mask": np.zeros(60, bool)}, "val_mask is true or false for each"),
    ],
)
def test_wrong_arrays_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    arrays = {**citations(), **changes}
    with pytest.raises(ValueError, match=message):
        of_nodes("wrong", {key: value for key, value in arrays.items() if value is not None})
