"""Where nodes stand."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random

import pytest

from models.drawing.layout import laid_out


@pytest.mark.parametrize("seed", range(5))
def test_no_node_hides_another_and_every_edge_leads_down(seed: int) -> None:
    rng = Random(seed)
    names = [f"node {number}" for number in range(30)]
    sizes = {name: (rng.uniform(20, 300), rng.uniform(20, 60)) for name in names}
    edges = [(a, b) for a, b in combinations(names, 2) if rng.random() < 0.08]
    layout = laid_out(sizes, edges)
    assert layout.boxes.keys() == sizes.keys()
    for one, other in combinations(layout.boxes.values(), 2):
        apart = abs(one.x - other.x) >= (one.width + other.width) / 2
        assert apart or abs(one.y - other.y) >= (one.height + other.height) / 2
    for source, target in edges:
        way = [
            layout.boxes[source].bottom,
            *layout.ways[source, target],
            layout.boxes[target].top,
        ]
        assert all(above[1] < below[1] + 0.01 for above, below in pairwise(way))
        for x, y in way[1:-1]:  # a long edge passes beside the nodes
            assert not any(
                abs(box.x - x) < box.width / 2 and abs(box.y - y) < box.height / 2 - 0.01
                for box in layout.boxes.values()
            )
    for box in layout.boxes.values():
        assert box.x - box.width / 2 >= -0.01 and box.x + box.width / 2 <= layout.width + 0.01
