"""What the arrays of a file are by the names that people and their tools give them. The same text
runs in a bundle: nothing here needs more than the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_INPUTS = "x|xs|xdata|inputs?|data|samples|features|images?|imgs?|pictures|pixels|sequences|signals"
_ANSWERS = "y|ys|ydata|outputs?|targets?|labels?|classes|class"
_PARTS = {
    "train": "train|training",
    "val": "val|valid|validation|dev",
    "test": "test|testing",
    "unlabelled": "unlabelled|unlabeled",
}
_PART = "|".join(_PARTS.values())
_NAME = re.compile(f"({_PART})?(?:({_INPUTS})|({_ANSWERS}))({_PART})?")

OF_SAMPLES = (
    "x (or images, data, inputs, features, samples) and y (or labels, targets, classes), each "
    "alone or with train, val or test, as in x_train, train_images or testLabels"
)
"""For people."""

OF_GRAPHS: Mapping[str, tuple[str, ...]] = {
    "x": ("features", "feature", "feat", "feats", "node_features", "node_feat", "node_attr"),
    "y": ("labels", "label", "node_labels", "node_label", "targets", "target"),
    "edge_index": ("edges", "edge_list", "edgelist", "edge_indices"),
    "edge_weight": ("edge_weights", "weights"),
    "adj": ("adjacency", "adj_matrix", "adjacency_matrix", "adj_mat", "a"),
    "x_data": ("attr_data",),
    "x_indices": ("attr_indices",),
    "x_indptr": ("attr_indptr",),
    "x_shape": ("attr_shape",),
}
"""Of an array of a graph, other names."""


def samples_name(name: str) -> str | None:
    """x, y, or one of them with the part of the data that it is of: x_train, y_val, x_test,
    x_unlabelled and so on; None: neither inputs nor answers are called so.
    """
    found = _NAME.fullmatch(re.sub(r"[\W_]", "", name).lower())
    if found is None or (found[1] and found[4]):
        return None
    said = found[1] or found[4]
    kind = "x" if found[2] else "y"
    parts = [part for part, words in _PARTS.items() if said in words.split("|")]
    return f"{kind}_{parts[0]}" if parts else kind


def graph_names(names: Iterable[str]) -> dict[str, str]:
    """Of arrays of a graph that go by another name, or are in capitals, what they are called here;
    none of those whose own name is there too.
    """
    given = list(names)
    known = {other: name for name, others in OF_GRAPHS.items() for other in (name, *others)}
    found = {name: known[name.lower()] for name in given if name.lower() in known}
    return {name: own for name, own in found.items() if own != name and own not in given}
