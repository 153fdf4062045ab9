"""Many graphs in text files, as TUDataset has them: Morris et al., 2020,
https://arxiv.org/abs/2007.08663. The same text runs in a bundle: nothing here needs more than torch
and the standard library.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from models.datasets.neighbours import neighbours_of

USED = ("A", "graph_indicator", "graph_labels", "node_attributes", "node_labels")
OF_EDGES = ("edge_attributes", "edge_labels")
"""One attribute an edge is its weight; labels are not used."""

MAX_DEGREE = 64
"""From this degree on, nodes without labels and attributes look the same."""


class GraphTextError(ValueError):
    """A file is missing or damaged; the message names file and line."""


class GraphTexts:
    """The text files of an archive, by the end of their names; `others` are no part of a graph."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.members: dict[str, zipfile.ZipInfo] = {}
        self.others: list[str] = []
        self._lines: dict[str, list[int]] = {}
        for member in archive.infolist():
            name = PurePosixPath(member.filename).name
            kind = "A" if name.endswith("_A.txt") else "_".join(name[:-4].split("_")[-2:])
            if kind in (*USED, *OF_EDGES) and name.endswith(".txt") and not name.startswith("._"):
                if kind in self.members:
                    raise GraphTextError(
                        f"{self.members[kind].filename} and {member.filename} are of two datasets"
                    )
                self.members[kind] = member
            elif not member.is_dir():
                self.others.append(member.filename)

    def numbers(self, kind: str, columns: int | None, missing: bool = False) -> Tensor | None:
        """(lines, columns) float64 of the file, or None where there is none; NaN where one may be
        `missing`.
        """
        member = self.members.get(kind)
        if member is None:
            return None
        rows: list[list[float]] = []
        numbers = self._lines[kind] = []
        with self._archive.open(member) as lines:
            for number, line in enumerate(lines, 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if not line.strip():
                    continue
                try:
                    row = [float(value) for value in line.split(b",")]
                except ValueError:
                    shown = line[:50].decode(errors="replace").strip()
                    raise GraphTextError(
                        f"{member.filename}, line {number}: not numbers with commas, got {shown!r}"
                    ) from None
                if len(row) != (columns or len((rows or [row])[0])):
                    raise GraphTextError(f"{member.filename}, line {number}: {len(row)} numbers")
                rows.append(row)
                numbers.append(number)
        table = torch.tensor(rows, dtype=torch.float64).reshape(
            len(rows), len(rows[0]) if rows else 1
        )
        fits = table.isfinite() | (table.isnan() & missing)
        self.refuse(kind, ~fits.all(dim=1), "a number is not finite")
        return table

    def whole(self, kind: str, columns: int, missing: bool = False) -> Tensor:
        """Whole numbers of a file that is needed, float64."""
        table = self.numbers(kind, columns, missing)
        if table is None or not len(table):
            raise GraphTextError(f"there is no file NAME_{kind}.txt with a line in the zip")
        is_whole = table.isnan() | ((table == table.round()) & (table.abs() <= 2**53))
        self.refuse(kind, ~is_whole.all(dim=1), "a number is no integer")
        return table

    def of_every_node(self, kind: str, nodes: int) -> Tensor | None:
        table = self.numbers(kind, None)
        if table is not None and len(table) != nodes:
            raise GraphTextError(f"NAME_{kind}.txt has {len(table)} lines for {nodes} nodes")
        return table

    def refuse(self, kind: str, wrong: Tensor, why: str) -> None:
        """
        Raises:
            GraphTextError: a row of the file is wrong, with the line of the first.
        """
        if wrong.any():
            line = self._lines[kind][int(wrong.to(torch.int8).argmax())]
            raise GraphTextError(f"{self.members[kind].filename}, line {line}: {why}")


def read_graphs(files: GraphTexts) -> dict[str, Tensor]:
    """`graph_of`, `edge_index`, and those that there are of `node_attributes`, `node_labels` and
    `edge_attributes`.

    Raises:
        GraphTextError: a file is missing or damaged.
    """
    graph_of = files.whole("graph_indicator", 1)[:, 0].to(torch.int64) - 1
    edges = files.whole("A", 2).T.to(torch.int64) - 1
    nodes = len(graph_of)
    steps = graph_of.diff(prepend=torch.tensor([-1]))
    files.refuse(
        "graph_indicator",
        (steps < 0) | (steps > 1) | (graph_of < 0),
        "graphs are numbered from 1, and the nodes of each are together",
    )
    outside = ((edges < 0) | (edges >= nodes)).any(dim=0)
    files.refuse("A", outside, f"nodes are numbered from 1 to {nodes}")
    ends = graph_of[edges]
    files.refuse("A", ends[0] != ends[1], "leads from one graph to another")
    found = {
        "graph_of": graph_of,
        "edge_index": edges,
        "node_attributes": files.of_every_node("node_attributes", nodes),
        "node_labels": files.of_every_node("node_labels", nodes),
        "edge_attributes": files.numbers("edge_attributes", None),
    }
    return {name: part for name, part in found.items() if part is not None}


def node_features(arrays: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[Tensor, int]:
    """What the nodes of `read_graphs` have: attributes, then labels one-hot, or where there are
    neither the number of their edges, one-hot; and how many nodes have a label, or such a number,
    that is not known.

    known: `attributes`, how many, and `labels`, the values of each column of them; or `degrees`,
        where they count, and `undirected`, whether of edges in whichever direction.

    Shapes:
        (nodes, features) float32

    Raises:
        GraphTextError: there are no such attributes or labels, or another number of them.
    """
    parts, nodes = [], len(arrays["graph_of"])
    new = torch.zeros(nodes, dtype=torch.bool)
    columns: list[Tensor] = []
    values = known["labels"] if "labels" in known else [known["degrees"]]
    if "degrees" in known:
        columns = [degrees(arrays["edge_index"], nodes, known["undirected"])]
    elif values:
        columns = list(columns_of(arrays, "node_labels", len(values)).T)
    if known.get("attributes"):
        parts.append(columns_of(arrays, "node_attributes", known["attributes"]))
    for column, options in zip(columns, values, strict=True):
        hot = column.unsqueeze(1) == torch.tensor(options, dtype=torch.float64)
        new |= ~hot.any(dim=1)
        parts.append(hot)
    return torch.cat([part.to(torch.float32) for part in parts], dim=1), int(new.sum())


def columns_of(arrays: Mapping[str, Any], name: str, count: int) -> Tensor:
    if name not in arrays:
        raise GraphTextError(f"there is no {name}, of which each node of training had {count}")
    found = torch.as_tensor(arrays[name]).to(torch.float64)
    if found.dim() != 2 or found.shape[1] != count:
        raise GraphTextError(f"{name} has {count} numbers a node, got {tuple(found.shape)}")
    return found


def degrees(edges: Tensor, nodes: int, undirected: bool) -> Tensor:
    """How many edges lead to each node, `MAX_DEGREE` at most.

    Shapes:
        (nodes,) float64
    """
    if undirected:
        counts = neighbours_of(edges, nodes)
    else:
        counts = torch.bincount(edges[1], minlength=nodes)
    return counts.clamp(max=MAX_DEGREE).to(torch.float64)
