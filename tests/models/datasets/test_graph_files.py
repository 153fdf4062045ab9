"""Graphs as people have them: without some classes, edges, features, and under many names."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.datasets import Dataset, RawGraphs
from models.datasets.formats import FormatError
from models.datasets.graphs import preprocess
from models.datasets.stored import load, save
from models.graph_samples import Nodes
from models.remarks import Remark
from search.testing.small_graphs import citations, molecules
from tests.models.support.uploads import npz, read

TASK, ZIP = "node_classification", "graph_classification"
NUMBERS = np.arange(60)
MASKS = {
    f"{part}_mask": NUMBERS % 5 == number for number, part in enumerate(("train", "val", "test"))
}
MASKED = [np.flatnonzero(mask).tolist() for mask in MASKS.values()]


def node_file(folder: Path, arrays: dict[str, Any], **options: Any) -> Dataset:
    return read(folder, npz(**arrays), TASK, **options)


def picked(found: Dataset) -> list[list[int]]:
    splits = [split.x for split in (found.train, found.validation, found.test)]
    return [split.picked.tolist() for split in splits if isinstance(split, Nodes)]


def told(found: Dataset) -> dict[str, Remark]:
    assert len({remark.code for remark in found.remarks}) == len(found.remarks)
    return {remark.code: remark for remark in found.remarks}


def links(found: Dataset) -> set[tuple[int, int]]:
    """Target and source of each, without those from a node to itself."""
    assert isinstance(found.train.x, Nodes)
    ends = (found.train.x.links.rows.tolist(), found.train.x.links.columns.tolist())
    return {(target, source) for target, source in zip(*ends, strict=True) if target != source}


def test_a_graph_without_faults_tells_nothing_of_itself(tmp_path: Path) -> None:
    found = node_file(tmp_path, {**citations(), **MASKS})
    assert set(told(found)) == {"few_samples"}


@pytest.mark.parametrize(
    "without",
    [
        lambda y, known: np.where(known, y, -1),
        lambda y, known: np.where(known, y.astype(np.float32), np.nan),
        lambda y, known: np.where(known, y, -1)[:, None],
        lambda y, known: np.where(known, np.array(["0", "1", "2"])[y], ""),
    ],
    ids=["-1", "NaN", "column", "empty"],
)
def test_nodes_without_a_class_are_in_no_split(without: Any, tmp_path: Path) -> None:
    arrays, known = citations(), NUMBERS >= 20
    arrays["y"] = without(arrays["y"], known)
    found = node_file(tmp_path, arrays)
    assert list(map(int, found.preprocessing["classes"])) == [0, 1, 2] and found.task.outputs == 3
    assert sorted(np.concatenate(picked(found))) == NUMBERS[known].tolist()
    for split, chosen in zip(
        (found.train, found.validation, found.test), picked(found), strict=True
    ):
        assert split.y.tolist() == (np.array(chosen) % 3).tolist()
    assert told(found)["unlabelled_nodes"].count == 20
    masked = node_file(tmp_path, {**arrays, **MASKS})
    assert picked(masked) == [[node for node in part if node >= 20] for part in MASKED]
    left_out = [remark for remark in masked.remarks if remark.code == "unlabelled_in_split"]
    assert [(r.where, r.count) for r in left_out] == [(name, 4) for name in MASKS]


def test_what_may_be_a_class_of_its_own_is_told(tmp_path: Path) -> None:
    signs = node_file(tmp_path, {**citations(), "y": NUMBERS % 2 * 2 - 1})
    assert signs.preprocessing["classes"] == [-1, 1] and sum(signs.sizes.values()) == 60
    assert told(signs)["minus_one_is_a_class"].count == 30
    steps = node_file(tmp_path, {**citations(), "y": NUMBERS % 4 - 2})
    assert steps.preprocessing["classes"] == [-2, -1, 0, 1]
    assert "other negative ones" in told(steps)["minus_one_is_a_class"].message


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(60, np.nan), "y has no class"),
        (np.where(NUMBERS < 5, np.nan, 7), "y has one class, 7"),
        (np.where(NUMBERS == 5, 1.5, NUMBERS % 3), r"whole numbers or NaN, got 1.5 at \[5\]"),
        (np.where(NUMBERS == 5, np.inf, NUMBERS % 3), r"whole numbers or NaN, got inf at \[5\]"),
        (np.where(MASKS["val_mask"], -1, NUMBERS % 3), "val_mask has no node with a class"),
    ],
)
def test_classes_that_are_none_are_refused(y: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        node_file(tmp_path, {**citations(), **MASKS, "y": y})


def test_edges_in_one_direction_are_told_and_made_undirected(tmp_path: Path) -> None:
    whole = citations()
    source, target = whole["edge_index"]
    half = {**whole, "edge_index": whole["edge_index"][:, source < target]}
    count = half["edge_index"].shape[1]
    directed = node_file(tmp_path, half)
    assert told(directed)["one_direction"].count == count == len(links(directed))
    both = node_file(tmp_path, half, undirected=True)
    assert told(both)["made_undirected"].count == count and "one_direction" not in told(both)
    assert links(both) == links(node_file(tmp_path, whole)) and len(links(both)) == 2 * count
    assert both.task.graph is not None and both.task.graph.edges == 2 * count
    assert both.fingerprint != directed.fingerprint
    save(both, tmp_path / "stored")
    assert links(load(tmp_path / "stored")) == links(both)  # type: ignore[arg-type]
    assert isinstance(both.raw_test, RawGraphs)
    raw = preprocess(dict(both.raw_test.x), dict(both.preprocessing))  # as a bundle does
    assert isinstance(both.test.x, Nodes)
    assert torch.equal(raw.links.rows, both.test.x.links.rows)
    assert torch.equal(raw.links.columns, both.test.x.links.columns)
    one_more = {**whole, "edge_index": whole["edge_index"][:, 1:]}
    assert told(node_file(tmp_path, one_more))["one_direction"].count == 1


def test_edges_that_change_nothing_and_nodes_without_any_are_told(tmp_path: Path) -> None:
    arrays = citations()
    edges = arrays["edge_index"][:, (arrays["edge_index"] != 7).all(axis=0)]
    more = np.hstack([edges, edges[:, :3], [[5, 6, 7], [5, 6, 7]]])
    found = node_file(tmp_path, {**arrays, "edge_index": more})
    counts = {code: remark.count for code, remark in told(found).items() if code != "few_samples"}
    assert counts == {"self_loops": 3, "duplicate_edges": 3, "isolated_nodes": 1}
    assert links(found) == links(node_file(tmp_path, {**arrays, "edge_index": edges}))


@pytest.mark.parametrize("name", ["edge_weight", "edge_attr"])
def test_weights_of_edges_are_told_where_they_differ(name: str, tmp_path: Path) -> None:
    arrays = citations()
    count = arrays["edge_index"].shape[1]
    plain = node_file(tmp_path, {**arrays, name: np.ones(count)})
    assert set(told(plain)) == {"few_samples"}
    found = node_file(tmp_path, {**arrays, name: np.arange(count)[:, None] / count})
    assert told(found)["edge_weights_ignored"].where == name
    assert found.fingerprint == plain.fingerprint
    with pytest.raises(ValueError, match=f"{name} has one row an edge of {count}, got"):
        node_file(tmp_path, {**arrays, name: np.ones(count + 1)})


def test_where_there_are_no_features_the_degree_is_one(tmp_path: Path) -> None:
    edges = np.array([[0, 0, 1, 3, 0, 4], [1, 2, 0, 3, 1, 0]])
    y = np.arange(12) % 2
    found = node_file(tmp_path, {"edge_index": edges, "y": y})
    assert told(found)["features_from_degree"].count == 12 and found.task.input_shape == (1,)
    assert isinstance(found.raw_test, RawGraphs)
    neighbours = np.array([3, 1, 1, 0, 1, *[0] * 7])  # worked out by hand; a loop is none
    rows = {"x_indptr", "x_indices", "x_data"} & found.raw_test.x.keys()
    raw = dict(found.raw_test.x)
    seen = np.zeros(12)
    if rows:
        starts = raw["x_indptr"].numpy()
        seen[np.flatnonzero(np.diff(starts))] = raw["x_data"].numpy()
    else:
        seen = raw["x"][:, 0].numpy()
    np.testing.assert_allclose(seen, np.log(1 + neighbours), rtol=1e-6)


def numbered(form: str, words: tuple[str, str, str]) -> dict[str, NDArray[Any]]:
    arrays = zip(words, MASKED, strict=True)
    return {form.format(word): np.array(chosen) for word, chosen in arrays}


@pytest.mark.parametrize(
    "split",
    [
        numbered("{}_idx", ("train", "valid", "test")),
        numbered("idx_{}", ("train", "val", "test")),
        numbered("{}_mask", ("train", "val", "test")),
        numbered("{}_index", ("train", "validation", "test")),
        {name: mask.astype(np.uint8) for name, mask in MASKS.items()},
        {name: mask.astype(np.float32) for name, mask in MASKS.items()},
        {name.replace("mask", "idx"): mask for name, mask in MASKS.items()},
    ],
    ids=["train_idx", "idx_train", "numbers", "validation", "uint8", "float", "booleans"],
)
def test_a_split_is_understood_under_its_usual_names(split: Any, tmp_path: Path) -> None:
    found = node_file(tmp_path, {**citations(), **split})
    expected = node_file(tmp_path, {**citations(), **MASKS})
    assert picked(found) == picked(expected) == MASKED
    assert found.fingerprint == expected.fingerprint


@pytest.mark.parametrize("axis", [0, 1])
def test_of_several_splits_the_first_is_used_and_told(axis: int, tmp_path: Path) -> None:
    several = {
        name: np.stack([mask, np.roll(mask, 1), np.roll(mask, 2)], axis=axis)
        for name, mask in MASKS.items()
    }
    several["test_mask"] = MASKS["test_mask"]
    found = node_file(tmp_path, {**citations(), **several})
    assert picked(found) == MASKED
    ignored = [remark for remark in found.remarks if remark.code == "splits_ignored"]
    assert [(r.where, r.count) for r in ignored] == [("train_mask", 2), ("val_mask", 2)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"idx_test": np.arange(3)}, "test_mask and idx_test name the same nodes"),
        ({"test_mask": np.array([2, 60])}, r"test_mask names nodes from 0 to 59, got 60 at \[1\]"),
        ({"test_mask": np.array([-1, 2])}, r"test_mask names nodes from 0 to 59, got -1 at \[0\]"),
        ({"test_mask": np.array([2, 7, 2])}, "test_mask names node 2 twice"),
        ({"test_mask": np.array([12, 5, 10])}, "node 5 is in two of train_mask, val_mask, test"),
        ({"test_mask": np.ones(59, bool)}, r"true or false for each of 60 nodes.*bool \(59,\)"),
        ({"test_mask": np.ones(60) / 2}, r"test_mask is true or false.*float64 \(60,\)"),
        ({"test_mask": np.array([], int)}, "test_mask is true or false for each"),
        ({"holdout": np.arange(3)}, "unknown array 'holdout'.*edge_index.*idx_train.*train_mask"),
    ],
)
def test_a_split_that_is_none_is_refused(changes: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((FormatError, ValueError), match=message):
        node_file(tmp_path, {**citations(), **MASKS, **changes})


@pytest.mark.parametrize(("left_out", "named"), [("val", "validation"), ("test", "test")])
def test_what_a_split_lacks_is_drawn_from_train_and_told(
    left_out: str, named: str, tmp_path: Path
) -> None:
    given = {key: mask for key, mask in MASKS.items() if key != f"{left_out}_mask"}
    found = node_file(tmp_path, {**citations(), **given})
    parts = dict(zip(("train", "val", "test"), picked(found), strict=True))
    whole = dict(zip(("train", "val", "test"), MASKED, strict=True))
    kept = next(name for name in ("val", "test") if name != left_out)
    assert parts[kept] == whole[kept]
    assert sorted(parts["train"] + parts[left_out]) == whole["train"]
    count = len(parts[left_out])
    assert count == round(0.2 * len(whole["train"]))
    remark = told(found)[f"{named}_from_train"]
    assert remark.count == count and f"{count} of {len(whole['train'])} samples" in remark.message


def tu_zip(labels: list[str], kinds: dict[str, str], half: bool = False) -> bytes:
    arrays = molecules()
    edges = arrays["edge_index"].T + 1
    files = {
        "A": "\n".join(f"{a}, {b}" for a, b in edges if not half or a < b),
        "graph_indicator": "\n".join(map(str, arrays["graph_of"] + 1)),
        "graph_labels": "\n".join(labels),
        **kinds,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for kind, text in files.items():
            archive.writestr(f"RINGS/RINGS_{kind}.txt", text)
        archive.writestr("RINGS/README.txt", "rings and chains")
        archive.writestr("__MACOSX/RINGS/._RINGS_A.txt", b"\0\1")
    return buffer.getvalue()


@pytest.mark.parametrize("without", ["-1", "nan"])
def test_graphs_of_a_zip_without_a_class_are_in_no_split(without: str, tmp_path: Path) -> None:
    labels = [without if number < 10 else str(number % 2) for number in range(40)]
    found = read(tmp_path, tu_zip(labels, {}), ZIP)
    assert found.preprocessing["classes"] == [0, 1] and sum(found.sizes.values()) == 30
    remarks = told(found)
    assert remarks["unlabelled_graphs"].count == 10
    assert remarks["files_ignored"].count == 2 and "README" in remarks["files_ignored"].message
    assert remarks["features_from_degree"].count == len(molecules()["graph_of"])


def test_a_zip_tells_of_its_edges(tmp_path: Path) -> None:
    labels = [str(number % 2) for number in range(40)]
    count = molecules()["edge_index"].shape[1]
    weights = {"edge_attributes": "\n".join(["0.5"] * (count // 2))}
    whole = read(tmp_path, tu_zip(labels, {}), ZIP)
    directed = read(tmp_path, tu_zip(labels, weights, half=True), ZIP)
    assert told(directed)["one_direction"].count == count // 2
    assert told(directed)["edge_weights_ignored"].where == "RINGS/RINGS_edge_attributes.txt"
    both = read(tmp_path, tu_zip(labels, weights, half=True), ZIP, undirected=True)
    assert told(both)["made_undirected"].count == count // 2
    assert both.task.graph == whole.task.graph and both.task.input_shape == whole.task.input_shape
