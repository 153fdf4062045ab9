"""Graphs: one whose nodes have classes, or many that have a class each.

A raw graph is a set of arrays, the same in an upload, in the check of a bundle and in use:

    x                               (nodes, features), or its parts by rows (CSR)
    x_data, x_indices, x_indptr     (entries,), (entries,), (nodes + 1,)
    edge_index                      (2, edges): source, target; both directions of an undirected
                                    one, or one of them where a step takes it in both
    edge_weight                     (edges,) or (edges, 1), where the edges of training had weights,
                                    under the name that they had there
    picked                          (samples,) nodes whose classes are asked for; left out: all
    graph_of                        (nodes,) ascending, where there are many graphs
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets import Dataset, RawGraphs, Split, findings
from models.datasets.edges import WEIGHTS, features_from, of_edges, weights_in
from models.datasets.equal_graphs import equal_graphs, kinds_of_graphs
from models.datasets.fingerprint import fingerprint
from models.datasets.graph_labels import read_labels
from models.datasets.masks import divided
from models.datasets.npz import npz_of
from models.datasets.raw_files import RawFiles
from models.datasets.splits import stratified
from models.graph import Features, Graph, Sparse
from models.graph_samples import Graphs, Nodes
from models.remarks import Remark, in_number
from models.task import GraphSize, Task

Array = NDArray[Any]
CSR = ("x_data", "x_indices", "x_indptr", "x_shape")
MAX_FEATURE = 1e15
"""Beyond it the squares of many add up to more than a float32."""

SPARSE_SHARE = 0.2
"""Features with fewer entries that are not zero are a bag of words, and stored by rows."""


def preprocess(raw: dict[str, Tensor], preprocessing: dict[str, Any]) -> Graph:
    """Turn raw graphs into what the network takes. An edge counts once; a node is linked to itself
    whether or not an edge says so, with weight 1. Of an edge that is there twice the larger weight
    counts.
    """
    (features,) = preprocessing["input"]["shape"]
    x: Tensor | Features
    if "x" in raw:
        nodes, width = raw["x"].shape
        if width != features:
            raise ValueError(f"a node has {features} features, got {width}")
        x = raw["x"].to(torch.float32)
    else:
        starts = raw["x_indptr"].to(torch.int64)
        nodes = len(starts) - 1
        rows = torch.arange(nodes, device=starts.device).repeat_interleave(starts.diff())
        columns = raw["x_indices"].to(torch.int64)
        x = Features(Sparse(rows, columns, nodes, features), raw["x_data"].to(torch.float32))
    edges = raw["edge_index"].to(torch.int64)
    named, weights = preprocessing["input"].get("weights"), None
    if named is not None:
        if named not in raw:
            raise ValueError(f"the edges of training had weights, and there is no {named}")
        weights = raw[named].to(torch.float32).reshape(-1)
        if len(weights) != edges.shape[1]:
            raise ValueError(
                f"{named} has a number an edge of {edges.shape[1]}, got {len(weights)}"
            )
    for step in preprocessing["steps"]:
        if step["op"] == "undirected":
            edges = torch.cat([edges, edges.flip(0)], dim=1)
            weights = None if weights is None else torch.cat([weights, weights])
        elif step["op"] == "scale_weights":  # so that their mean is 1
            weights = None if weights is None else weights / step["mean"]
        elif step["op"] == "normalize_rows":  # every node's magnitudes add up to 1
            if isinstance(x, Tensor):
                x = x / x.abs().sum(1, keepdim=True).clamp(min=1e-12)
            else:
                rows = x.places.rows
                sums = x.values.new_zeros(nodes).index_add(0, rows, x.values.abs())
                x = Features(x.places, x.values / sums.clamp(min=1e-12)[rows])
        elif step["op"] == "standardize":  # one mean and deviation a feature
            x = x if isinstance(x, Tensor) else x.times(torch.eye(features))
            mean, deviation = (
                torch.tensor(step[name], device=x.device) for name in ("mean", "std")
            )
            x = (x - mean) / deviation
        else:
            raise ValueError(f"unknown preprocessing step {step['op']!r}")
    source, target = edges
    loops = torch.arange(nodes, device=source.device)
    links = torch.cat([target * nodes + source, loops * nodes + loops])
    graph_of = raw.get("graph_of")
    graphs = 1 if graph_of is None or not len(graph_of) else int(graph_of[-1]) + 1
    links, place_of = torch.unique(links, return_inverse=True)
    places = Sparse(links // nodes, links % nodes, nodes, nodes)
    if weights is not None:
        whole = torch.cat([weights, weights.new_ones(nodes)])
        weights = whole.new_zeros(len(links)).scatter_reduce(0, place_of, whole, "amax")
        weights = weights.masked_fill(places.rows == places.columns, 1.0)
    return Graph(x, places, raw.get("picked"), graph_of, graphs, weights)


def of_nodes(
    name: str,
    arrays: Mapping[str, Array],
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    undirected: bool = False,
) -> Dataset:
    """One graph whose nodes have classes.

    `arrays`: `x`, or `x_data`, `x_indices`, `x_indptr` and `x_shape`, or none of them, and the
    degree stands in; `edge_index`; `y`, one class a node as `graph_labels.read_labels` takes it;
    `train_mask`, `val_mask` and `test_mask`, or what `masks.NAMES` calls them; what is not given
    of validation and test is drawn from train, without any mask from all nodes, stratified. Every
    split is of nodes of the one graph that have a class: a network sees the features and edges of
    all, and is trained by the classes of some (transductive). `undirected`: an edge counts in both
    directions, also of a graph to predict.

    Raises:
        ValueError: arrays that make no such dataset, with the array at fault.
    """
    classes, labels, remarks = read_labels(arrays.get("y"), "node")
    nodes, features, raw, told = _check(arrays, len(labels))
    if len(labels) != nodes:
        raise ValueError(
            f"y is integers or strings, one class a node of {nodes}, "
            f"got {arrays['y'].dtype} {arrays['y'].shape}"
        )
    division, of_masks = divided(arrays, labels >= 0)
    if division.parts is None:
        picked = _drawn(labels, (validation, test), seed)
    else:
        picked = division.sets(nodes, (validation, test), seed, labels)
        of_masks += findings.of_drawn_parts(division.drawn, list(map(len, picked)))
    preprocessing = _fit(raw, picked[0], classes, features, undirected)
    preprocessing = _with_weights(preprocessing, raw, slice(None))
    if not any(part in arrays for part in ("x", *CSR)):
        preprocessing["features"] = "degree"
    graph = preprocess(raw, preprocessing)
    task = Task("node_classification", (features,), len(classes), graph=_size(graph))
    splits = [
        Split(Nodes(graph, torch.from_numpy(chosen)), torch.from_numpy(labels[chosen]))
        for chosen in picked
    ]
    asked = raw | {"picked": torch.from_numpy(picked[2])}
    found = _dataset(
        name, task, splits, asked, preprocessing, _content(raw, labels, undirected, picked)
    )
    found = replace(found, raw_files=RawFiles.of([npz_of(**arrays)], ".npz", asked["picked"]))
    return _told(found, [*remarks, *of_masks, *told], raw, nodes, undirected)


def of_graphs(
    name: str,
    arrays: Mapping[str, Array],
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    sets: list[NDArray[np.int64]] | None = None,
    undirected: bool = False,
    file: RawFiles | None = None,
) -> Dataset:
    """Many graphs with a class each.

    `arrays`: the features and `edge_index` of all nodes, `graph_of`, and `y`, one class a graph.
    `sets`: the graphs of train, validation and test; else they are drawn, stratified, of those that
    have a class. `undirected`: as of `of_nodes`. `file`: what they were read from, all of them in
    their order.

    Raises:
        ValueError: arrays that make no such dataset, with the array at fault.
    """
    nodes, features, raw, told = _check(arrays, len(arrays.get("graph_of", ())))
    graph_of = _integers(arrays, "graph_of", (nodes,))
    if (np.diff(graph_of) < 0).any() or graph_of[0] != 0:
        raise ValueError("graph_of is ascending from 0: the nodes of a graph are together")
    classes, labels, remarks = read_labels(arrays.get("y"), "graph")
    if len(np.unique(graph_of)) != len(labels) or graph_of[-1] + 1 != len(labels):
        raise ValueError(f"graph_of has {len(np.unique(graph_of))} graphs, y {len(labels)}")
    edges = raw["edge_index"].numpy()
    if (crossing := np.flatnonzero(graph_of[edges[0]] != graph_of[edges[1]])).size:
        raise ValueError(f"edge {crossing[0]} of edge_index leads from one graph to another")
    raw["graph_of"] = torch.from_numpy(graph_of)
    kinds = kinds_of_graphs(raw, len(labels), undirected=undirected)
    equal = equal_graphs(kinds)
    told += findings.of_equal_samples(equal, len(labels), "graphs")
    told += findings.of_contradictions(kinds[labels >= 0], labels[labels >= 0], "graphs")
    picked = sets or _drawn(labels, (validation, test), seed, equal)
    of_train = np.isin(graph_of, picked[0])
    preprocessing = _fit(raw, np.flatnonzero(of_train), classes, features, undirected)
    preprocessing = _with_weights(preprocessing, raw, torch.from_numpy(of_train[edges[0]]))
    graph = preprocess(raw, preprocessing)
    every = Graphs(graph.x, graph.links, raw["graph_of"], len(labels), graph.weights)
    task = Task("graph_classification", (features,), len(classes), graph=_size(graph))
    splits = [
        Split(every.index_select(0, torch.from_numpy(chosen)), torch.from_numpy(labels[chosen]))
        for chosen in picked
    ]
    asked = _subset(raw, picked[2])
    found = _dataset(
        name, task, splits, asked, preprocessing, _content(raw, labels, undirected, picked)
    )
    if file is not None:
        found = replace(found, raw_files=replace(file, picked=torch.from_numpy(picked[2])))
    return _told(found, [*remarks, *told], raw, nodes, undirected)


def _drawn(
    labels: NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
    equal: NDArray[np.int64] | None = None,
) -> list[NDArray[np.int64]]:
    known = np.flatnonzero(labels >= 0)
    groups = None if equal is None else equal[known]
    return [known[chosen] for chosen in stratified(labels[known], shares, seed, groups)]


def _content(
    raw: Mapping[str, Tensor],
    labels: NDArray[np.int64],
    undirected: bool,
    picked: Sequence[NDArray[np.int64]],
) -> dict[str, Array]:
    """What makes it this dataset."""
    content: dict[str, Array] = {key: part.numpy() for key, part in raw.items()} | {"y": labels}
    if undirected:
        content["undirected"] = np.array([True])
    return content | dict(zip(("train", "validation", "test"), picked, strict=True))


def _dataset(
    name: str,
    task: Task,
    splits: Sequence[Split],
    raw_test: Mapping[str, Tensor],
    preprocessing: dict[str, Any],
    content: Mapping[str, Array],
) -> Dataset:
    train, validation, test = splits
    return Dataset(
        name=name,
        task=task,
        train=train,
        validation=validation,
        test=test,
        raw_test=RawGraphs(raw_test, test.y),
        preprocessing=preprocessing,
        fingerprint=fingerprint(content),
    )


def _told(
    dataset: Dataset,
    remarks: Iterable[Remark],
    raw: Mapping[str, Tensor],
    nodes: int,
    undirected: bool,
) -> Dataset:
    edges = raw["edge_index"].numpy()
    of_links = of_edges(edges, nodes, undirected)
    return replace(dataset, remarks=(*remarks, *of_links, *findings.of_samples(dataset)))


def _check(
    arrays: Mapping[str, Array], nodes: int
) -> tuple[int, int, dict[str, Tensor], list[Remark]]:
    """The numbers of nodes and features, and the raw graph, by rows where most features are 0.

    `nodes`: where there are no features.
    """
    remarks = []
    if not any(name in arrays for name in ("x", *CSR)):
        arrays = {**arrays, "x": features_from(_edges(arrays, nodes), nodes)}
        message = "there is no x: log(1 + number of neighbours) is the one feature of a node"
        remarks.append(Remark("features_from_degree", message, "x", nodes))
    parts = _dense(arrays["x"]) if "x" in arrays else _rows(arrays)
    values = parts["x"] if "x" in parts else parts["x_data"]
    finite = np.isfinite(values)
    if not finite.all():
        array = "x" if "x" in parts else "x_data"
        raise ValueError(
            f"{array} is not finite, first at {np.argwhere(~finite)[0].tolist()}; features of all "
            "nodes are known, or filled in before, with their mean for example"
        )
    if values.size and (most := np.abs(values).max()) > MAX_FEATURE:
        raise ValueError(f"a feature of a node is {most:g}, at most {MAX_FEATURE:g} is allowed")
    nodes = len(parts["x"]) if "x" in parts else len(parts["x_indptr"]) - 1
    edges = _edges(arrays, nodes)
    types = {"x": np.float32, "x_data": np.float32}
    raw = {key: torch.tensor(part.astype(types.get(key, np.int64))) for key, part in parts.items()}
    features = int(arrays["x"].shape[1] if "x" in arrays else arrays["x_shape"][1])
    raw["edge_index"] = torch.from_numpy(edges)
    named, weights, of_weights = weights_in(arrays, edges.shape[1])
    if named is not None:
        raw[named] = torch.from_numpy(np.ascontiguousarray(weights))
    return nodes, features, raw, [*remarks, *_of_constant(raw, features), *of_weights]


def _of_constant(raw: Mapping[str, Tensor], features: int) -> Iterator[Remark]:
    """Of features that are the same for every node."""
    if "x" in raw:
        same = int((raw["x"] == raw["x"][:1]).all(dim=0).sum())
    else:
        same = features - len(np.unique(raw["x_indices"].numpy()))
    if same:
        what = in_number(same, "feature is", "features are")
        message = f"{what} the same for every node, of {features}, and {_TELLS[same == features]}"
        yield Remark("constant_features", message, "x", same)


_TELLS = ("tell nothing", "a model knows nodes by their edges alone")


def _edges(arrays: Mapping[str, Array], nodes: int) -> NDArray[np.int64]:
    edges = _integers(arrays, "edge_index", (2, None))
    if edges.size and not (0 <= edges.min() and edges.max() < nodes):
        row, edge = np.argwhere((edges < 0) | (edges >= nodes))[0]
        from_one = edges.min() == 1 and edges.max() == nodes
        raise ValueError(
            f"edge_index names nodes from 0 to {nodes - 1}, got {edges[row, edge]} "
            f"at [{row}, {edge}]"
            + ("; it seems to count from 1, where edge_index - 1 is meant" if from_one else "")
        )
    return edges


def _dense(x: Array) -> dict[str, Array]:
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "fiub":
        raise ValueError(f"x is numbers of shape (nodes, features), got {x.dtype} {x.shape}")
    if np.count_nonzero(x) >= SPARSE_SHARE * x.size:
        return {"x": x}
    rows, columns = np.nonzero(x)
    starts = np.searchsorted(rows, np.arange(len(x) + 1))
    return {"x_data": x[rows, columns], "x_indices": columns, "x_indptr": starts}


def _rows(arrays: Mapping[str, Array]) -> dict[str, Array]:
    if missing := [part for part in CSR if part not in arrays]:
        raise ValueError(f"there is no x, and of its parts by rows no {', '.join(missing)}")
    shape = _integers(arrays, "x_shape", (2,))
    if (shape < 1).any():
        raise ValueError(f"x_shape is (nodes, features), both positive, got {shape.tolist()}")
    values = arrays["x_data"]
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise ValueError(
            f"x_data is numbers of shape (entries,), got {values.dtype} {values.shape}"
        )
    columns = _integers(arrays, "x_indices", (len(values),))
    starts = _integers(arrays, "x_indptr", (int(shape[0]) + 1,))
    if columns.size and not (0 <= columns.min() and columns.max() < shape[1]):
        raise ValueError(f"x_indices is from 0 to {shape[1] - 1}, got up to {columns.max()}")
    if starts[0] != 0 or starts[-1] != len(values) or (np.diff(starts) < 0).any():
        raise ValueError(f"x_indptr ascends from 0 to {len(values)}, the entries of x_data")
    return {"x_data": values, "x_indices": columns, "x_indptr": starts}


def _integers(
    arrays: Mapping[str, Array], name: str, shape: tuple[int | None, ...]
) -> NDArray[np.int64]:
    array = arrays.get(name)
    if array is None:
        raise ValueError(f"{name} is missing")
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in "iu":
        expected = ", ".join("edges" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} is integers of ({expected}), got {array.dtype} {array.shape}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _fit(
    raw: Mapping[str, Tensor],
    train: NDArray[np.int64],
    classes: list[Any],
    features: int,
    undirected: bool,
) -> dict[str, Any]:
    """Bags of words by rows, which needs no statistics; other features standardised by the nodes
    of the train split.
    """
    step: dict[str, Any] = {"op": "normalize_rows"}
    if "x" in raw:
        variance, mean = torch.var_mean(raw["x"][torch.from_numpy(train)], dim=0, correction=0)
        deviation = torch.where(variance > 0, variance.sqrt(), 1.0)
        mean = torch.where(variance > 0, mean, mean - 1)  # what never changes becomes 1
        step = {"op": "standardize", "mean": mean.tolist(), "std": deviation.tolist()}
    shape = {"kind": "graph", "shape": [features], "dtype": "float32"}
    steps = [{"op": "undirected"}, step] if undirected else [step]
    return {"input": shape, "steps": steps, "classes": classes}


def _with_weights(
    preprocessing: dict[str, Any], raw: Mapping[str, Tensor], train: slice | Tensor
) -> dict[str, Any]:
    """With the array that weighs the edges, if there is one: so that their mean is 1, of those that
    are in `train` and link two nodes.
    """
    named = next((name for name in WEIGHTS if name in raw), None)
    if named is None:
        return preprocessing
    source, target = raw["edge_index"][:, train]
    weights = raw[named][train][source != target]
    mean = weights.double().mean().item() if len(weights) else 0.0
    step = {"op": "scale_weights", "mean": mean or 1.0}
    shape = {**preprocessing["input"], "weights": named}
    return {**preprocessing, "input": shape, "steps": [step, *preprocessing["steps"]]}


def _size(graph: Graph) -> GraphSize:
    """Of one of the graphs, the mean rounded up."""
    edges = len(graph.links) - graph.links.height
    entries = None if isinstance(graph.x, Tensor) else len(graph.x.places)
    nodes, edges, known = (
        math.ceil(total / graph.graphs) for total in (graph.links.height, edges, entries or 0)
    )
    return GraphSize(nodes, edges, None if entries is None else known)


def _subset(raw: Mapping[str, Tensor], chosen: NDArray[np.int64]) -> dict[str, Tensor]:
    """The raw arrays of some of the graphs, numbered anew."""
    graph_of = raw["graph_of"]
    kept = torch.isin(graph_of, torch.from_numpy(chosen))
    number = kept.cumsum(0) - 1
    edges = raw["edge_index"]
    part = {
        "graph_of": torch.unique(graph_of[kept], return_inverse=True)[1],
        "edge_index": number[edges[:, kept[edges[0]]]],
        **{name: raw[name][kept[edges[0]]] for name in WEIGHTS if name in raw},
    }
    if "x" in raw:
        return part | {"x": raw["x"][kept]}
    counts = raw["x_indptr"].diff()
    entries = kept.repeat_interleave(counts)
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts[kept].cumsum(0)])
    return part | {
        "x_data": raw["x_data"][entries],
        "x_indices": raw["x_indices"][entries],
        "x_indptr": starts,
    }
