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
from scipy.sparse import csr_matrix, save_npz

from models.datasets import Dataset, RawGraphs
from models.datasets.formats import FormatError
from models.datasets.graphs import of_graphs, preprocess
from models.datasets.stored import load, save
from models.graph_samples import Graphs, Nodes
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


def weight_of(found: Dataset) -> dict[tuple[int, int], float]:
    """Of each link, target and source, those from a node to itself too."""
    graph = found.train.x
    assert isinstance(graph, Nodes) and graph.weights is not None
    ends = zip(graph.links.rows.tolist(), graph.links.columns.tolist(), strict=True)
    return dict(zip(ends, graph.weights.tolist(), strict=True))


@pytest.mark.parametrize("name", ["edge_weight", "edge_attr"])
def test_edges_have_the_weights_that_come_with_them(name: str, tmp_path: Path) -> None:
    arrays = citations()
    count = arrays["edge_index"].shape[1]
    plain = node_file(tmp_path, {**arrays, name: np.full(count, 7.0)})
    assert set(told(plain)) == {"few_samples"}, "all count the same"
    weights = np.arange(count)[:, None] / 10
    found = node_file(tmp_path, {**arrays, name: weights})
    assert told(found)["edge_weights"].where == name and found.fingerprint != plain.fingerprint
    expected = {
        (int(target), int(source)): value / weights.mean()
        for source, target, value in zip(*arrays["edge_index"], weights[:, 0], strict=True)
    }
    expected |= {(node, node): 1.0 for node in range(60)}
    assert weight_of(found) == pytest.approx(expected, rel=1e-5)
    save(found, tmp_path / "stored")
    assert weight_of(load(tmp_path / "stored")) == weight_of(found)  # type: ignore[arg-type]
    assert isinstance(found.raw_test, RawGraphs)
    raw = dict(found.raw_test.x)
    assert torch.equal(preprocess(raw, dict(found.preprocessing)).weights, found.train.x.weights)  # type: ignore[arg-type, union-attr]
    del raw[name]
    with pytest.raises(ValueError, match=f"had weights, and there is no {name}"):
        preprocess(raw, dict(found.preprocessing))
    with pytest.raises(ValueError, match=f"{name} has one row an edge of {count}, got"):
        node_file(tmp_path, {**arrays, name: np.ones(count + 1)})


def test_of_an_edge_that_is_there_twice_the_larger_weight_counts(tmp_path: Path) -> None:
    edges = np.array([[0, 1, 1, 2, 3, 3], [1, 0, 2, 2, 4, 4]])
    arrays = {"edge_index": edges, "y": np.arange(12) % 2, "x": np.eye(12, dtype=np.float32)}
    weights = np.array([1.0, 3.0, 2.0, 90.0, 1.0, 5.0])  # that of the loop means nothing
    found = weight_of(node_file(tmp_path, {**arrays, "edge_weight": weights}, undirected=True))
    mean = (1 + 3 + 2 + 1 + 5) / 5
    pairs = {(0, 1): 3, (1, 2): 2, (3, 4): 5}
    expected = {pair[::way]: value / mean for pair, value in pairs.items() for way in (1, -1)}
    assert found == pytest.approx(expected | {(node, node): 1.0 for node in range(12)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda values: values - 1, "cannot count less than not at all, and the least is -1"),
        (lambda values: np.stack([values, values], 1), "it has 2 numbers an edge"),
    ],
)
def test_what_is_no_weight_is_told(change: Any, reason: str, tmp_path: Path) -> None:
    arrays = citations()
    values = np.arange(arrays["edge_index"].shape[1]) / 1.0
    found = node_file(tmp_path, {**arrays, "edge_attr": change(values)})
    assert reason in told(found)["edge_weights_ignored"].message
    assert found.fingerprint == node_file(tmp_path, arrays).fingerprint
    with pytest.raises(ValueError, match="edge_attr is not finite in float32, first at"):
        node_file(tmp_path, {**arrays, "edge_attr": np.where(values == 3, np.inf, values)})
    other = node_file(tmp_path, {**arrays, "edge_weight": values, "edge_attr": values + 1})
    assert "edge_weight weighs the edges" in told(other)["edge_weights_ignored"].message


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


@pytest.mark.parametrize("prefix", ["", "adj_"])
def test_edges_may_come_as_a_matrix_by_rows(prefix: str, tmp_path: Path) -> None:
    """As SciPy saves it: its entry in row i and column j is an edge from i to j."""
    arrays = citations()
    source, target = arrays.pop("edge_index")
    weights = 1.0 + np.arange(len(source)) % 3
    matrix = csr_matrix((weights, (source, target)), (60, 60))
    save_npz(tmp_path / "edges.npz", matrix)
    with np.load(tmp_path / "edges.npz") as saved:
        parts = {prefix + name if name != "format" else name: saved[name] for name in saved}
    found = node_file(tmp_path, {**arrays, **parts})
    edges = np.array([source, target])
    expected = node_file(tmp_path, {**arrays, "edge_index": edges, "edge_weight": weights})
    assert links(found) == links(expected) and told(found).keys() == told(expected).keys()
    assert torch.equal(found.train.x.weights, expected.train.x.weights)
    ones = {**parts, f"{prefix}data": np.ones(len(source))}
    assert node_file(tmp_path, {**arrays, **ones}).train.x.weights is None
    for change, message in (
        ({f"{prefix}shape": np.array([60, 61])}, "shape is nodes and nodes"),
        ({"format": np.array(b"csc")}, "format is 'csc'"),
        ({"edge_index": edges}, "both say the edges"),
        ({f"{prefix}indptr": matrix.indptr[::-1]}, "ascends from 0"),
    ):
        with pytest.raises(ValueError, match=message):
            node_file(tmp_path, {**arrays, **parts, **change})


@pytest.mark.parametrize("form", ["adj", "Adjacency", "coo"])
def test_edges_may_come_as_a_whole_matrix_or_its_entries(form: str, tmp_path: Path) -> None:
    arrays = citations()
    source, target = edges = arrays.pop("edge_index")
    weights = 1.0 + np.arange(len(source)) % 3
    matrix = csr_matrix((weights, (source, target)), (60, 60))
    save_npz(tmp_path / "edges.npz", matrix.tocoo())
    with np.load(tmp_path / "edges.npz") as saved:
        parts = dict(saved) if form == "coo" else {form: matrix.toarray()}
    found = node_file(tmp_path, {**arrays, **parts})
    expected = node_file(tmp_path, {**arrays, "edge_index": edges, "edge_weight": weights})
    assert links(found) == links(expected)
    assert found.train.x.weights.sum() == pytest.approx(float(expected.train.x.weights.sum()))
    ones = {"adj": matrix.toarray() > 0}
    assert node_file(tmp_path, {**arrays, **ones}).train.x.weights is None
    with pytest.raises(ValueError, match=r"adj is a matrix of nodes and nodes, got \(60, 59\)"):
        node_file(tmp_path, {**arrays, "adj": matrix.toarray()[:, 1:]})


def test_counts_that_programs_save_are_passed_over_and_told(tmp_path: Path) -> None:
    arrays = citations()
    found = node_file(tmp_path, {**arrays, "num_classes": np.array(3), "num_nodes": np.array([60])})
    assert told(found)["arrays_ignored"].count == 2
    assert found.fingerprint == node_file(tmp_path, arrays).fingerprint


def test_features_that_are_the_same_for_every_node_are_told(tmp_path: Path) -> None:
    arrays = citations()
    nodes = len(arrays["x"])
    alone = node_file(tmp_path, {**arrays, "x": np.ones((nodes, 2))})
    assert "by their edges alone" in told(alone)["constant_features"].message
    some = np.stack([np.arange(nodes), np.ones(nodes), np.arange(nodes) % 2], axis=1)
    found = node_file(tmp_path, {**arrays, "x": some})
    assert told(found)["constant_features"].count == 1
    assert "1 feature is the same" in told(found)["constant_features"].message


def test_files_of_windows_are_read_as_others(tmp_path: Path) -> None:
    labels = [str(number % 2) for number in range(40)]
    with zipfile.ZipFile(io.BytesIO(tu_zip(labels, {}))) as given:
        texts = {name: given.read(name) for name in given.namelist()}
    marked = io.BytesIO()
    with zipfile.ZipFile(marked, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n") + b"\r\n")
    found = read(tmp_path, marked.getvalue(), ZIP)
    assert found.fingerprint == read(tmp_path, tu_zip(labels, {}), ZIP).fingerprint


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
    weights = {
        "edge_attributes": "\n".join(f"0.5, {number}" for number in range(count // 2)),
        "edge_labels": "\n".join(["1"] * (count // 2)),
    }
    whole = read(tmp_path, tu_zip(labels, {}), ZIP)
    directed = read(tmp_path, tu_zip(labels, weights, half=True), ZIP)
    assert {r.code: r for r in directed.remarks}["one_direction"].count == count // 2
    ignored = [r for r in directed.remarks if r.code == "edge_weights_ignored"]
    assert [r.where for r in ignored] == ["RINGS/RINGS_edge_labels.txt", "edge_attributes"]
    both = read(tmp_path, tu_zip(labels, weights, half=True), ZIP, undirected=True)
    assert {r.code: r for r in both.remarks}["made_undirected"].count == count // 2
    assert both.task.graph == whole.task.graph and both.task.input_shape == whole.task.input_shape


def test_one_attribute_of_the_edges_of_a_zip_weighs_them(tmp_path: Path) -> None:
    labels = [str(number % 2) for number in range(40)]
    count = molecules()["edge_index"].shape[1]
    weights = {"edge_attributes": "\n".join(str(1 + number % 3) for number in range(count))}
    found = read(tmp_path, tu_zip(labels, weights), ZIP)
    assert told(found)["edge_weights"].where == "edge_attributes"
    assert isinstance(found.raw_test, RawGraphs) and isinstance(found.test.x, Graphs)
    again = preprocess(dict(found.raw_test.x), dict(found.preprocessing))
    assert again.weights is not None and found.test.x.weights is not None
    torch.testing.assert_close(again.weights, found.test.x.weights)
    loops = again.links.rows == again.links.columns
    assert set(again.weights[loops].tolist()) == {1.0}


def trees(count: int, seed: int = 0) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Features and edges of random trees with seven nodes, no two of them equal."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        parents = np.array([rng.integers(0, node) for node in range(1, 7)])
        edges = np.array([np.r_[np.arange(1, 7), parents], np.r_[parents, np.arange(1, 7)]])
        made.append((rng.normal(size=(7, 2)).astype(np.float32), edges))
    return made


def test_graphs_that_differ_in_the_order_of_their_nodes_are_in_one_split() -> None:
    rng, whole = np.random.default_rng(1), trees(60)
    copies = []
    for x, edges in whole[:20]:
        order = rng.permutation(7)
        copies.append((x[np.argsort(order)], order[edges][:, rng.permutation(edges.shape[1])]))
    graphs = [*whole, *copies]
    arrays = {
        "x": np.concatenate([x for x, _ in graphs]),
        "edge_index": np.concatenate([e + 7 * n for n, (_, e) in enumerate(graphs)], axis=1),
        "graph_of": np.repeat(np.arange(80), 7),
        "y": np.arange(80) % 2,
    }
    found = of_graphs("trees", arrays)
    assert told(found)["duplicates"].count == 20
    sets = [stored_in(found, part) for part in ("train", "validation", "test")]
    assert sum(map(len, sets)) == 80
    first = {
        tuple(np.sort(x[:, 0]).round(3).tolist()): number for number, (x, _) in enumerate(whole)
    }
    places: dict[int, set[int]] = {}
    for place, members in enumerate(sets):
        for values in members:
            places.setdefault(first[values], set()).add(place)
    assert all(len(where) == 1 for where in places.values())
    other = of_graphs("trees", {**arrays, "x": arrays["x"] + np.repeat(np.arange(80), 7)[:, None]})
    assert "duplicates" not in told(other)
    few = of_graphs("rings", molecules(80) | {"x": np.ones((len(molecules(80)["x"]), 1))})
    assert "duplicates" not in told(few), "eight kinds of graphs are no copies"


def stored_in(found: Dataset, part: str) -> list[tuple[float, ...]]:
    """The first features of each graph of a split, sorted, as they were before standardising."""
    graphs = getattr(found, part).x
    step = found.preprocessing["steps"][-1]
    x = graphs.x[:, 0].double() * step["std"][0] + step["mean"][0]
    return [
        tuple(np.sort(x[graphs.graph_of == number].float().numpy()).round(3).tolist())
        for number in range(len(graphs))
    ]
