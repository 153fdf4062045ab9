"""The canonical form of cells: what is one network has one key, and nothing else has."""

from __future__ import annotations

import itertools
from collections import defaultdict
from random import Random
from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.architecture import Architecture
from models.cost import cost
from models.family import families
from models.recipe import Recipe
from models.task import Task
from tests.models.support.sampling import cells

FAMILY = families["cnn_cell"]
DIGITS = Task("image_classification", (1, 8, 8), 10)
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def key(architecture: Architecture) -> str:
    return FAMILY.canonical(architecture).key


def nasbench201(names: tuple[str, ...]) -> Architecture:
    edges = {f"edge_{a}_{b}": name for (a, b), name in zip(EDGES, names, strict=True)}
    fixed = {"topology": "nasbench201", "nodes": 4, "channels": 4, "cells": 1}
    return Architecture("cnn_cell", {**fixed, **edges})


@pytest.fixture(scope="module")
def classes() -> list[list[tuple[str, ...]]]:
    """The 15,625 cells of NAS-Bench-201 by key."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for names in itertools.product(OPERATIONS, repeat=6):
        found[key(nasbench201(names))].append(names)
    return list(found.values())


def test_nasbench201_has_6466_classes(classes: list[list[tuple[str, ...]]]) -> None:
    """Dong & Yang 2020, section 2.1: "6,466 unique topology structures" of 15,625."""
    assert sum(map(len, classes)) == 15_625
    assert len(classes) == 6_466


def expressions(names: tuple[str, ...]) -> dict[int, tuple[Any, ...]]:
    """Each node as a multiset of terms under full algebra: the sum is flat and has no zeros."""
    found: dict[int, tuple[Any, ...]] = {0: ("input",)}
    for node in (1, 2, 3):
        terms: list[Any] = []
        for (source, target), name in zip(EDGES, names, strict=True):
            if target == node and name != "none" and found[source]:
                terms += found[source] if name == "skip_connect" else [(name, found[source])]
        found[node] = tuple(sorted(terms, key=repr))
    return found


def tied(names: tuple[str, ...]) -> nn.Module:
    """The network whose weights on an edge depend on nothing but the edge's expression."""
    torch.manual_seed(0)
    network = FAMILY.build(nasbench201(names), DIGITS, Recipe()).double()
    found = expressions(names)
    for name, parameter in network.named_parameters():
        stage, _, edge, rest = [*name.split(".", 3), "", ""][:4]
        seed = name
        if edge.startswith("node"):
            target, source = int(edge[5]), int(edge.rsplit("_", 1)[1])
            operation = names[EDGES.index((source, target))]
            seed = f"{stage} {operation} {found[source]} {rest}"
        generator = torch.Generator().manual_seed(Random(seed).getrandbits(32))
        nn.init.normal_(parameter, generator=generator)
    return network.eval()


def test_cells_of_a_class_compute_the_same_with_the_same_weights(
    classes: list[list[tuple[str, ...]]],
) -> None:
    images = torch.randn(2, 1, 8, 8, dtype=torch.double, generator=torch.manual_seed(0))
    rng = Random(0)
    several = [group for group in classes if len(group) > 1 and expressions(group[0])[3]]
    for group in rng.sample(several, 20):
        first, *others = [tied(names)(images) for names in rng.sample(group, min(3, len(group)))]
        assert first.abs().sum() > 0
        for other in others:
            torch.testing.assert_close(other, first, rtol=1e-9, atol=0)


def test_a_class_is_never_split_by_algebra(classes: list[list[tuple[str, ...]]]) -> None:
    """The benchmark's classes refine those of full algebra, of which there are 4,930."""
    merged = [{repr(expressions(names)[3]) for names in group} for group in classes]
    assert all(len(texts) == 1 for texts in merged)
    assert len(set.union(*merged)) == 4_930


def test_cells_of_a_class_that_share_no_expression_cost_the_same(
    classes: list[list[tuple[str, ...]]],
) -> None:
    """Where no expression stands twice, no weights can be shared, so the cost is determined."""

    def repeats(names: tuple[str, ...]) -> bool:
        found = expressions(names)
        seen = [
            (name, found[a])
            for (a, _), name in zip(EDGES, names, strict=True)
            if found[a] and name.startswith("nor_conv")
        ]
        return len(set(seen)) < len(seen) or str(found[3]).count("nor_conv") != len(seen)

    rng = Random(1)
    groups = [
        [names for names in group if not repeats(names)]
        for group in classes
        if expressions(group[0])[3]
    ]
    for group in rng.sample([group for group in groups if len(group) > 1], 25):
        costs = [cost(nasbench201(names), DIGITS, Recipe()) for names in rng.sample(group, 2)]
        assert costs[0] == costs[1]


# DARTS

NAMES = ("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3")
Terms = dict[int, tuple[tuple[int, str], tuple[int, str]]]


@st.composite
def darts_cells(draw: st.DrawFn, sizes: tuple[int, int] = (1, 5)) -> Terms:
    """Node -> its two terms (source, operation)."""
    terms = {}
    for node in range(2, 2 + draw(st.integers(*sizes))):
        pairs = list(itertools.combinations(range(node), 2))
        a, b = draw(st.sampled_from(pairs))
        terms[node] = tuple((source, draw(st.sampled_from(NAMES))) for source in (a, b))
    return terms


def darts(normal: Terms, reduction: Terms | None = None, number: int = 1) -> Architecture:
    decisions: dict[str, Any] = {
        "topology": "darts",
        "nodes": len(normal),
        "channels": 4,
        "cells": number,
    }
    for kind, terms in (("normal", normal), ("reduction", reduction or {})):
        for node, pair in terms.items():
            (a, first), (b, second) = sorted(pair)
            decisions[f"{kind}_node_{node}_inputs"] = f"{a}-{b}"
            decisions[f"{kind}_node_{node}_first"] = first
            decisions[f"{kind}_node_{node}_second"] = second
    return Architecture("cnn_cell", decisions)


def relabelled(terms: Terms, rng: Random) -> Terms:
    """The same cell with its nodes in another order, each still after its sources."""
    number = {0: 0, 1: 1}
    while len(number) < len(terms) + 2:
        ready = [
            node
            for node, pair in terms.items()
            if node not in number and all(source in number for source, _ in pair)
        ]
        number[rng.choice(ready)] = len(number)
    moved = {
        number[node]: tuple((number[source], name) for source, name in pair)
        for node, pair in terms.items()
    }
    return dict(sorted(moved.items()))


@settings(deadline=None)
@given(darts_cells(), st.randoms(use_true_random=False))
def test_relabelling_the_nodes_changes_nothing(terms: Terms, rng: Random) -> None:
    assert key(darts(terms)) == key(darts(relabelled(terms, rng)))


def test_relabelled_cells_cost_the_same() -> None:
    rng = Random(0)
    for seed in range(12):
        values = cells(DIGITS, seed, nodes=4, cells=1, operations=list(NAMES[1:])).decisions
        terms: Terms = {}
        for node in range(2, 6):
            a, b = str(values[f"normal_node_{node}_inputs"]).split("-")
            first = str(values[f"normal_node_{node}_first"])
            second = str(values[f"normal_node_{node}_second"])
            terms[node] = ((int(a), first), (int(b), second))
        costs = [cost(darts(t), DIGITS, Recipe()) for t in (terms, relabelled(terms, rng))]
        assert costs[0] == costs[1]


def graph(terms: Terms) -> nx.DiGraph:
    """What of a cell is not zero, with labels."""
    drawn = nx.DiGraph()
    drawn.add_node(0, role="input 0")
    drawn.add_node(1, role="input 1")
    for node, pair in terms.items():
        for source, name in pair:
            if name != "none" and source in drawn:
                drawn.add_node(node, role="node")
                drawn.add_edge(source, node, operation=name)
    return drawn


def test_equal_keys_are_isomorphic_graphs_and_only_those() -> None:
    rng = Random(0)
    drawn = []
    for _ in range(150):
        terms: Terms = {}
        for node in range(2, 5):
            first, second = rng.sample(range(node), 2)
            names = rng.choices(("none", "skip_connect", "sep_conv_3x3"), (1, 4, 4), k=2)
            terms[node] = ((first, names[0]), (second, names[1]))
        drawn += [terms, relabelled(terms, rng)]
    found = [(key(darts(terms)), graph(terms)) for terms in drawn]
    equal = 0
    for (one, first), (other, second) in itertools.combinations(found, 2):
        same = nx.is_isomorphic(
            first,
            second,
            node_match=lambda a, b: a["role"] == b["role"],
            edge_match=lambda a, b: a["operation"] == b["operation"],
        )
        assert (one == other) == same
        equal += same
    assert equal > 150  # not only the pairs that were made to be equal


@settings(deadline=None)
@given(darts_cells((1, 3)), darts_cells((1, 3)), st.integers(1, 5))
def test_the_canonical_form_is_its_own(normal: Terms, reduction: Terms, number: int) -> None:
    if len(normal) != len(reduction):
        reduction = normal
    once = FAMILY.canonical(darts(normal, reduction, number))
    assert FAMILY.canonical(once) == once
    assert Architecture.from_json(once.to_json()) == once


def test_many_equal_nodes_take_no_time() -> None:
    """Of eight equal nodes there are 40,320 orders, which are not tried one by one."""
    skips = ("skip_connect", "skip_connect")
    star = {node: ((0, skips[0]), (1, skips[1])) for node in range(2, 10)}
    assert key(darts(star)) == key(darts(relabelled(star, Random(3))))
    pairs = {n: ((0, skips[0]), (1 if n < 6 else n - 4, skips[1])) for n in range(2, 10)}
    assert key(darts(pairs)) == key(darts(relabelled(pairs, Random(3))))
    assert key(darts(pairs)) != key(darts(star))


def test_a_cell_that_the_network_does_not_use_does_not_count() -> None:
    reads_the_stem = {2: ((0, "sep_conv_3x3"), (1, "none"))}
    one = darts({2: ((0, "sep_conv_3x3"), (1, "none"))}, reads_the_stem, 2)
    other = darts({2: ((0, "max_pool_3x3"), (1, "none"))}, reads_the_stem, 2)
    assert key(one) == key(other)
    assert cost(one, DIGITS, Recipe()) == cost(other, DIGITS, Recipe())


def test_what_differs_keeps_different_keys() -> None:
    base = cells(DIGITS, 5, channels=8, cells=3)
    values = base.decisions
    assert key(base) != key(Architecture("cnn_cell", {**values, "channels": 16}))
    assert key(base) != key(Architecture("cnn_cell", {**values, "cells": 4}))
    swapped = darts({2: ((0, "sep_conv_3x3"), (1, "skip_connect"))})
    assert key(swapped) != key(darts({2: ((0, "skip_connect"), (1, "sep_conv_3x3"))}))
